import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { AudioEncoder, EncoderOutput } from './encoder.ts';
import type { SpeechConfig } from './speech-config.ts';
import { drawTensors, type TensorPlan, tensorShapes } from './tensor-plan.ts';
import { activationByName, layerNorm, type SequenceSize, selfAttention } from './transformer.ts';
import { convolveWaveforms } from './waveform-convolutions.ts';
import { clipSamples, parseWaveformPreprocessing, preprocessWaveforms } from './waveform-preprocessing.ts';

/** Attention of one layer: the view of its parameters and rows `[clips * time, hidden]` to as many rows. */
export type LayerAttention = (parameters: Parameters, rows: tf.Tensor) => tf.Tensor;

/** What makes one speech encoder different from another. */
export interface SpeechModules {
  /** Position information that is added; `parameters` is the view of `encoder.pos_conv_embed`, x `[clips, time, hidden]`. */
  positions(parameters: Parameters, x: tf.Tensor): tf.Tensor;
  /** Made once a run from the view of `encoder`. Default: plain self-attention. */
  attention?(parameters: Parameters, size: SequenceSize): LayerAttention;
}

/** One vector a clip: the mean of the last four hidden states, then over time. `[clips, hidden]`. */
export function meanOfLastFour(hiddenStates: readonly tf.Tensor[]): tf.Tensor {
  return tf.mean(tf.mul(tf.addN(hiddenStates.slice(-4)), 0.25), 1);
}

/**
 * A speech encoder of wav2vec 2.0's kind without masking and dropout. `waveforms [clips, samples]`, normalised.
 *
 * @returns `features [clips, hidden]`; `convFeatures [clips, time, channels]`; `hiddenStates [clips, time, hidden]` each:
 * the input of the first layer, then the output of every layer. With stable layer norm the last one is after the encoder's
 * final norm (transformers 4; version 5 records `lastLayerBeforeNorm`).
 */
export function speechForward(
  config: SpeechConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
  modules: SpeechModules,
): EncoderOutput {
  const { hiddenSize, layerNormEps: eps, numAttentionHeads, doStableLayerNorm: stable } = config;
  const activation = activationByName(config.hiddenAct);
  const convFeatures = convolveWaveforms(config, parameters.at('feature_extractor'), waveforms);
  const [clips, time, channels] = convFeatures.shape as [number, number, number];
  const size = { batch: clips, tokens: time };
  const sequence = (rows: tf.Tensor): tf.Tensor => tf.reshape(rows, [clips, time, hiddenSize]);

  const projection = parameters.at('feature_projection');
  let features = tf.reshape(convFeatures, [clips * time, channels]);
  if (config.featProjLayerNorm) features = layerNorm(projection.at('layer_norm'), features, eps);
  const projected = sequence(linear(projection.at('projection'), features));

  const encoder = parameters.at('encoder');
  const attention: LayerAttention =
    modules.attention?.(encoder, size) ??
    ((layer, rows) => selfAttention(layer, rows, numAttentionHeads, size));
  const positions = modules.positions(encoder.at('pos_conv_embed'), projected);
  let x = tf.reshape(tf.add(projected, positions), [clips * time, hiddenSize]);
  if (!stable) x = layerNorm(encoder.at('layer_norm'), x, eps);
  const hiddenStates = [sequence(x)];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = encoder.at('layers').at(index);
    const attend = (rows: tf.Tensor): tf.Tensor => attention(layer.at('attention'), rows);
    const feedForward = (rows: tf.Tensor): tf.Tensor => {
      const inner = activation(linear(layer.at('feed_forward.intermediate_dense'), rows));
      return linear(layer.at('feed_forward.output_dense'), inner);
    };
    const attentionNorm = (rows: tf.Tensor): tf.Tensor => layerNorm(layer.at('layer_norm'), rows, eps);
    const finalNorm = (rows: tf.Tensor): tf.Tensor => layerNorm(layer.at('final_layer_norm'), rows, eps);
    if (stable) {
      x = tf.add(x, attend(attentionNorm(x)));
      x = tf.add(x, feedForward(finalNorm(x)));
    } else {
      x = attentionNorm(tf.add(x, attend(x)));
      x = finalNorm(tf.add(x, feedForward(x)));
    }
    hiddenStates.push(sequence(x));
  }
  const lastLayerBeforeNorm = hiddenStates.at(-1)!;
  if (stable) hiddenStates[config.numHiddenLayers] = sequence(layerNorm(encoder.at('layer_norm'), x, eps));
  return {
    features: meanOfLastFour(hiddenStates),
    intermediates: { convFeatures, hiddenStates, lastLayerBeforeNorm },
  };
}

/** An encoder of clips of `clipSamples`, from its configuration and the content of `preprocessor_config.json`. */
export function makeSpeechEncoder(parts: {
  readonly type: string;
  readonly hiddenSize: number;
  readonly plan: TensorPlan;
  readonly tensorAliases?: AudioEncoder['tensorAliases'];
  readonly tensorPrefixes: readonly string[];
  readonly preprocessor: unknown;
  /** `waveforms [clips, samples]` */
  forward(parameters: Parameters, waveforms: tf.Tensor): EncoderOutput;
}): AudioEncoder {
  const { plan } = parts;
  const preprocessing = parseWaveformPreprocessing(parts.preprocessor);
  return {
    type: parts.type,
    modality: 'audio',
    outputDimension: parts.hiddenSize,
    tensorShapes: tensorShapes(plan),
    tensorAliases: parts.tensorAliases ?? {},
    tensorPrefixes: parts.tensorPrefixes,
    init: (seed) => drawTensors(plan, seed),
    inputs: { inputValues: { dtype: 'float32', shape: ['clips', clipSamples] } },
    preprocessing,
    preprocess: (waveforms, policy) => ({
      inputValues: preprocessWaveforms(waveforms, policy, preprocessing.doNormalize),
    }),
    forward: (tensors, { inputValues }) => parts.forward(tensors, inputValues!),
  };
}
