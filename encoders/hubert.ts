import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { type EncoderDefinition, type EncoderOutput, parseModelFile } from './encoder.ts';
import {
  type HubertConfig,
  hasConvolutionNorm,
  hubertTensorPlan,
  parseHubertConfig,
} from './hubert-config.ts';
import { drawTensors, tensorShapes } from './tensor-plan.ts';
import { activationByName, layerNorm, selfAttention } from './transformer.ts';
import { preprocessWaveforms } from './waveform-preprocessing.ts';

/** Two seconds at 16 kHz: the length of every clip. */
export const clipSamples = 32_000;
/** Epsilon of the norms between the convolutions; not configurable in Hugging Face's class. */
const convolutionNormEps = 1e-5;

/** Normalises every channel of `[clips, time, channels]` over time (a group norm with one channel a group). */
function normOverTime(parameters: Parameters, x: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, 1, true));
  const variance = tf.mean(tf.square(centred), 1, true);
  const normalised = tf.mul(centred, tf.rsqrt(tf.add(variance, convolutionNormEps)));
  return tf.add(tf.mul(normalised, parameters.get('weight')), parameters.get('bias'));
}

/** Hugging Face's kernel `[out, in, width]` applied to `x [clips, time, in]` without padding. */
function convolve(x: tf.Tensor, kernel: tf.Tensor, stride: number): tf.Tensor {
  return tf.conv1d(x as tf.Tensor3D, tf.transpose(kernel, [2, 1, 0]) as tf.Tensor3D, stride, 'valid');
}

/** The convolutions over the waveform: `[clips, samples]` to `[clips, time, channels]`. */
function convolutionStack(config: HubertConfig, parameters: Parameters, waveforms: tf.Tensor): tf.Tensor {
  const activation = activationByName(config.featExtractActivation);
  let x = tf.expandDims(waveforms, 2);
  config.convolutions.forEach(({ stride }, index) => {
    const layer = parameters.at(`feature_extractor.conv_layers.${index}`);
    x = convolve(x, layer.get('conv.weight'), stride);
    if (config.convBias) x = tf.add(x, layer.get('conv.bias'));
    if (hasConvolutionNorm(config, index)) {
      const norm = layer.at('layer_norm');
      x = config.featExtractNorm === 'layer' ? layerNorm(norm, x, convolutionNormEps) : normOverTime(norm, x);
    }
    x = activation(x);
  });
  return x;
}

/**
 * Position information from a wide grouped convolution over time. tfjs has no grouped convolution: the channels are
 * split, convolved group by group and joined. The kernel is stored weight-normed: a direction `weight_v` and, for
 * each of its taps, a length `weight_g`. `x [clips, time, hidden]`.
 */
function convolutionalPositions(config: HubertConfig, parameters: Parameters, x: tf.Tensor): tf.Tensor {
  const direction = parameters.get('conv.weight_v');
  const length = tf.sqrt(tf.sum(tf.square(direction), [0, 1], true));
  const weight = tf.mul(direction, tf.div(parameters.get('conv.weight_g'), length));

  const width = config.numConvPosEmbeddings;
  const before = Math.floor(width / 2);
  // As long as the input: an even kernel would give one position more, which is dropped.
  const padded = tf.pad(x, [
    [0, 0],
    [before, width - 1 - before],
    [0, 0],
  ]);
  const groups = config.numConvPosEmbeddingGroups;
  const kernels = tf.split(weight, groups, 0);
  const convolved = tf.split(padded, groups, 2).map((part, group) => convolve(part, kernels[group]!, 1));
  const activation = activationByName(config.featExtractActivation);
  return activation(tf.add(tf.concat(convolved, 2), parameters.get('conv.bias')));
}

/** One vector a clip: the mean of the last four hidden states, then over time. `[clips, hidden]`. */
export function meanOfLastFour(hiddenStates: readonly tf.Tensor[]): tf.Tensor {
  return tf.mean(tf.mul(tf.addN(hiddenStates.slice(-4)), 0.25), 1);
}

/**
 * HuBERT (Hsu et al. 2021) without masking and dropout. `waveforms [clips, samples]`, normalised.
 *
 * @returns `features [clips, hidden]`; `convFeatures [clips, time, channels]`; `hiddenStates [clips, time, hidden]` each:
 * the input of the first layer, then the output of every layer. With stable layer norm the last one is after the encoder's
 * final norm (transformers 4; version 5 records `lastLayerBeforeNorm`).
 */
export function hubertForward(
  config: HubertConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
): EncoderOutput {
  const { hiddenSize, layerNormEps: eps, numAttentionHeads, doStableLayerNorm: stable } = config;
  const activation = activationByName(config.hiddenAct);
  const convolutionFeatures = convolutionStack(config, parameters, waveforms);
  const [clips, time, channels] = convolutionFeatures.shape as [number, number, number];
  const size = { batch: clips, tokens: time };
  const sequence = (rows: tf.Tensor): tf.Tensor => tf.reshape(rows, [clips, time, hiddenSize]);

  const projection = parameters.at('feature_projection');
  let features = tf.reshape(convolutionFeatures, [clips * time, channels]);
  if (config.featProjLayerNorm) features = layerNorm(projection.at('layer_norm'), features, eps);
  const projected = sequence(linear(projection.at('projection'), features));

  const encoder = parameters.at('encoder');
  const positions = convolutionalPositions(config, encoder.at('pos_conv_embed'), projected);
  let x = tf.reshape(tf.add(projected, positions), [clips * time, hiddenSize]);
  if (!stable) x = layerNorm(encoder.at('layer_norm'), x, eps);
  const hiddenStates = [sequence(x)];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = encoder.at('layers').at(index);
    const attention = (rows: tf.Tensor): tf.Tensor =>
      selfAttention(layer.at('attention'), rows, numAttentionHeads, size);
    const feedForward = (rows: tf.Tensor): tf.Tensor => {
      const inner = activation(linear(layer.at('feed_forward.intermediate_dense'), rows));
      return linear(layer.at('feed_forward.output_dense'), inner);
    };
    const attentionNorm = (rows: tf.Tensor): tf.Tensor => layerNorm(layer.at('layer_norm'), rows, eps);
    const finalNorm = (rows: tf.Tensor): tf.Tensor => layerNorm(layer.at('final_layer_norm'), rows, eps);
    if (stable) {
      x = tf.add(x, attention(attentionNorm(x)));
      x = tf.add(x, feedForward(finalNorm(x)));
    } else {
      x = attentionNorm(tf.add(x, attention(x)));
      x = finalNorm(tf.add(x, feedForward(x)));
    }
    hiddenStates.push(sequence(x));
  }
  const lastLayerBeforeNorm = hiddenStates.at(-1)!;
  if (stable) hiddenStates[config.numHiddenLayers] = sequence(layerNorm(encoder.at('layer_norm'), x, eps));
  return {
    features: meanOfLastFour(hiddenStates),
    intermediates: { convFeatures: convolutionFeatures, hiddenStates, lastLayerBeforeNorm },
  };
}

const preprocessorSchema = z.looseObject({
  do_normalize: z.boolean().default(true),
  sampling_rate: z.literal(16_000, 'only 16000 Hz is supported').default(16_000),
});

export const hubert: EncoderDefinition = {
  type: 'hubert',
  modality: 'audio',
  create(files) {
    const config = parseHubertConfig(files.config);
    for (const name of [config.hiddenAct, config.featExtractActivation]) activationByName(name);
    const preprocessor = parseModelFile(preprocessorSchema, files.preprocessor, 'preprocessor_config.json');
    const plan = hubertTensorPlan(config);
    const weightNorm = 'encoder.pos_conv_embed.conv';
    return {
      type: 'hubert',
      modality: 'audio',
      outputDimension: config.hiddenSize,
      tensorShapes: tensorShapes(plan),
      tensorAliases: {
        [`${weightNorm}.weight_g`]: [`${weightNorm}.parametrizations.weight.original0`],
        [`${weightNorm}.weight_v`]: [`${weightNorm}.parametrizations.weight.original1`],
      },
      tensorPrefixes: ['hubert.'],
      init: (seed) => drawTensors(plan, seed),
      inputs: { inputValues: { dtype: 'float32', shape: ['clips', clipSamples] } },
      preprocess: (waveforms, policy) => ({
        inputValues: preprocessWaveforms(waveforms, policy, preprocessor.do_normalize),
      }),
      forward: (parameters, { inputValues }) => hubertForward(config, parameters, inputValues!),
    };
  },
};
