import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Parameters } from '../src/engine/parameters.ts';
import { count } from './model-file.ts';
import type { SpeechConfig } from './speech-config.ts';
import { constant, normal, type TensorPlan } from './tensor-plan.ts';
import { activationByName } from './transformer.ts';
import { convolve } from './waveform-convolutions.ts';

/** Positions from one wide weight-normed convolution, as HuBERT and WavLM have them. */
export interface ConvolutionalPositionConfig extends SpeechConfig {
  readonly numConvPosEmbeddings: number;
}

/** Keys of `config.json` about it, with Hugging Face's defaults. */
export const positionFields = {
  num_conv_pos_embeddings: count.default(128),
  feat_extract_norm: z.enum(['layer', 'group']).default('group'),
  do_stable_layer_norm: z.boolean().default(false),
};

const name = 'encoder.pos_conv_embed.conv';

/** The kernel as a direction and, for each of its taps, a length. */
export function convolutionalPositionPlan(config: ConvolutionalPositionConfig): TensorPlan {
  const { hiddenSize, numConvPosEmbeddings: kernel } = config;
  const perGroup = hiddenSize / config.numConvPosEmbeddingGroups;
  const std = 2 / Math.sqrt(kernel * hiddenSize);
  return {
    [`${name}.weight_v`]: { shape: [hiddenSize, perGroup, kernel], init: normal(std) },
    // The expected norm of weight_v, so that the normed weight starts with the same spread.
    [`${name}.weight_g`]: {
      shape: [1, 1, kernel],
      init: constant(std * Math.sqrt(hiddenSize * perGroup)),
    },
    [`${name}.bias`]: { shape: [hiddenSize], init: constant(0) },
  };
}

/** PyTorch's newer names of the two. */
export const weightNormAliases = {
  [`${name}.weight_g`]: [`${name}.parametrizations.weight.original0`],
  [`${name}.weight_v`]: [`${name}.parametrizations.weight.original1`],
};

/**
 * A grouped convolution over time that leaves the length as it is. tfjs has no grouped convolution: the channels are
 * split, convolved group by group and joined.
 * @param x `[clips, time, hidden]`
 * @param kernel `[hidden, hidden / groups, width]`
 */
export function groupedConvolution(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor,
  groups: number,
): tf.Tensor {
  const width = kernel.shape[2]!;
  const before = Math.floor(width / 2);
  // As long as the input: an even kernel would give one position more, which is dropped.
  const padded = tf.pad(x, [
    [0, 0],
    [before, width - 1 - before],
    [0, 0],
  ]);
  const kernels = tf.split(kernel, groups, 0);
  const convolved = tf.split(padded, groups, 2).map((part, group) => convolve(part, kernels[group]!, 1));
  return tf.add(tf.concat(convolved, 2), bias);
}

/**
 * Position information from a wide convolution over time. `x [clips, time, hidden]`.
 * @param parameters the view of `encoder.pos_conv_embed`
 */
export function convolutionalPositions(
  config: ConvolutionalPositionConfig,
  parameters: Parameters,
  x: tf.Tensor,
): tf.Tensor {
  const direction = parameters.get('conv.weight_v');
  const length = tf.sqrt(tf.sum(tf.square(direction), [0, 1], true));
  const kernel = tf.mul(direction, tf.div(parameters.get('conv.weight_g'), length));
  const groups = config.numConvPosEmbeddingGroups;
  const activation = activationByName(config.featExtractActivation);
  return activation(groupedConvolution(x, kernel, parameters.get('conv.bias'), groups));
}
