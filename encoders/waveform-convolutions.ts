import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Parameters } from '../src/engine/parameters.ts';
import { count } from './model-file.ts';
import { constant, normal, normPlan, type TensorPlan } from './tensor-plan.ts';
import { activationByName, layerNorm, standardise } from './transformer.ts';

/** The convolutions over the waveform that wav2vec 2.0 and its relatives begin with. */
export interface WaveformConvolutionConfig {
  /** Channels, kernel and stride of each convolution. */
  readonly convolutions: readonly {
    readonly channels: number;
    readonly kernel: number;
    readonly stride: number;
  }[];
  readonly convBias: boolean;
  /** `layer`: every convolution is normalised over channels; `group`: the first one over time. */
  readonly featExtractNorm: 'layer' | 'group';
  readonly featExtractActivation: string;
}

const counts = z.array(count).nonempty();

/** Keys of `config.json` about the convolutions, with Hugging Face's defaults. */
export const convolutionFields = {
  conv_dim: counts.default([512, 512, 512, 512, 512, 512, 512]),
  conv_kernel: counts.default([10, 3, 3, 3, 3, 2, 2]),
  conv_stride: counts.default([5, 2, 2, 2, 2, 2, 2]),
  conv_bias: z.boolean().default(false),
  feat_extract_activation: z.string().default('gelu'),
};

/** Epsilon of the norms between the convolutions; not configurable in Hugging Face's classes. */
export const convolutionNormEps = 1e-5;

const hasNorm = (config: WaveformConvolutionConfig, index: number): boolean =>
  config.featExtractNorm === 'layer' || index === 0;

/** The tensors below `feature_extractor`. */
export function waveformConvolutionPlan(config: WaveformConvolutionConfig): TensorPlan {
  const plan: TensorPlan = {};
  let inputs = 1;
  config.convolutions.forEach(({ channels, kernel }, index) => {
    const prefix = `feature_extractor.conv_layers.${index}`;
    const init = normal(Math.sqrt(2 / (inputs * kernel)));
    plan[`${prefix}.conv.weight`] = { shape: [channels, inputs, kernel], init };
    if (config.convBias) plan[`${prefix}.conv.bias`] = { shape: [channels], init: constant(0) };
    if (hasNorm(config, index)) Object.assign(plan, normPlan(`${prefix}.layer_norm`, channels));
    inputs = channels;
  });
  return plan;
}

/** Normalises every channel of `[clips, time, channels]` over time (a group norm with one channel a group). */
function normOverTime(parameters: Parameters, x: tf.Tensor): tf.Tensor {
  const normalised = standardise(x, 1, convolutionNormEps);
  return tf.add(tf.mul(normalised, parameters.get('weight')), parameters.get('bias'));
}

/** Hugging Face's kernel `[out, in, width]` applied to `x [clips, time, in]` without padding. */
export function convolve(x: tf.Tensor, kernel: tf.Tensor, stride: number): tf.Tensor {
  return tf.conv1d(x as tf.Tensor3D, tf.transpose(kernel, [2, 1, 0]) as tf.Tensor3D, stride, 'valid');
}

/**
 * `waveforms [clips, samples]` to `[clips, time, channels]`.
 * @param parameters the view of `feature_extractor`
 */
export function convolveWaveforms(
  config: WaveformConvolutionConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
): tf.Tensor {
  const activation = activationByName(config.featExtractActivation);
  let x = tf.expandDims(waveforms, 2);
  config.convolutions.forEach(({ stride }, index) => {
    const layer = parameters.at(`conv_layers.${index}`);
    x = convolve(x, layer.get('conv.weight'), stride);
    if (config.convBias) x = tf.add(x, layer.get('conv.bias'));
    if (hasNorm(config, index)) {
      const norm = layer.at('layer_norm');
      x = config.featExtractNorm === 'layer' ? layerNorm(norm, x, convolutionNormEps) : normOverTime(norm, x);
    }
    x = activation(x);
  });
  return x;
}
