import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { InputError } from '../src/errors.ts';

/** Sizes of a batch of equally long sequences held as `[batch * tokens, hidden]`. */
export interface SequenceSize {
  readonly batch: number;
  readonly tokens: number;
}

/** x * Phi(x) with the exact normal distribution function. */
export function gelu(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
}

/** x * sigmoid(1.702 x), the approximation that CLIP was trained with. */
export function quickGelu(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
}

const activations: Readonly<Record<string, (x: tf.Tensor) => tf.Tensor>> = {
  gelu,
  quick_gelu: quickGelu,
  relu: tf.relu,
};

/** Looks an activation up by its name in a Hugging Face configuration. @throws InputError `ACTIVATION_UNKNOWN` */
export function activationByName(name: string): (x: tf.Tensor) => tf.Tensor {
  const activation = activations[name];
  if (activation === undefined) {
    throw new InputError(
      'ACTIVATION_UNKNOWN',
      `The model configuration asks for the activation "${name}"; known are ${Object.keys(activations).join(', ')}.`,
    );
  }
  return activation;
}

/** Normalises the last axis of `x [..., hidden]`, then scales and shifts by `weight` and `bias`. */
export function layerNorm(parameters: Parameters, x: tf.Tensor, epsilon: number): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  const normalised = tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(normalised, parameters.get('weight')), parameters.get('bias'));
}

/**
 * The same for every sample: `x [1, ...]` to `[batch, ...]`. Not `tf.tile`, whose gradient is a loop over the batch.
 */
export function repeatForBatch(x: tf.Tensor, batch: number): tf.Tensor {
  return tf.add(tf.zeros([batch, ...x.shape.slice(1)]), x);
}

/** `[batch * tokens, hidden]` to `[batch, heads, tokens, hidden / heads]`. */
function splitHeads(x: tf.Tensor, { batch, tokens }: SequenceSize, heads: number): tf.Tensor {
  return tf.transpose(tf.reshape(x, [batch, tokens, heads, x.shape[1]! / heads]), [0, 2, 1, 3]);
}

/**
 * Scaled dot-product attention without mask between projected sequences.
 * @param query `[batch * querySize.tokens, hidden]`
 * @param key `[batch * keySize.tokens, hidden]`
 * @param value as `key`
 * @param dropProbabilities applied to the probabilities `[batch, heads, queries, keys]` while training
 * @returns `[batch * querySize.tokens, hidden]`
 */
export function attend(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  heads: number,
  querySize: SequenceSize,
  keySize: SequenceSize,
  dropProbabilities: (probabilities: tf.Tensor) => tf.Tensor = (probabilities) => probabilities,
): tf.Tensor {
  const hidden = query.shape[1]!;
  const scaled = tf.mul(splitHeads(query, querySize, heads), (hidden / heads) ** -0.5);
  const scores = tf.matMul(scaled, splitHeads(key, keySize, heads), false, true);
  const context = tf.matMul(dropProbabilities(tf.softmax(scores)), splitHeads(value, keySize, heads));
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [querySize.batch * querySize.tokens, hidden]);
}

/** Self-attention with the projections `q_proj`, `k_proj`, `v_proj`, `out_proj`. `x [batch * tokens, hidden]`. */
export function selfAttention(
  parameters: Parameters,
  x: tf.Tensor,
  heads: number,
  size: SequenceSize,
): tf.Tensor {
  const project = (name: string): tf.Tensor => linear(parameters.at(name), x);
  const context = attend(project('q_proj'), project('k_proj'), project('v_proj'), heads, size, size);
  return linear(parameters.at('out_proj'), context);
}
