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

/** The approximation of `gelu` by a hyperbolic tangent. */
export function tanhGelu(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(tf.add(tf.mul(tf.mul(tf.square(x), x), 0.044715), x), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** x * sigmoid(x). */
export function silu(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.sigmoid(x));
}

const activations: Readonly<Record<string, (x: tf.Tensor) => tf.Tensor>> = {
  gelu,
  gelu_new: tanhGelu,
  gelu_pytorch_tanh: tanhGelu,
  quick_gelu: quickGelu,
  relu: tf.relu,
  silu,
  swish: silu,
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

/** Zero mean and unit variance along one axis, which must not be a named dimension. */
export function standardise(x: tf.Tensor, axis: number, epsilon: number): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, axis, true));
  const variance = tf.mean(tf.square(centred), axis, true);
  return tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon)));
}

/** Normalises the last axis of `x [..., hidden]`, then scales and shifts by `weight` and `bias`. */
export function layerNorm(parameters: Parameters, x: tf.Tensor, epsilon: number): tf.Tensor {
  return tf.add(tf.mul(standardise(x, -1, epsilon), parameters.get('weight')), parameters.get('bias'));
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
 * @param scoreBias added to the scores before the softmax, `[batch, heads, queries, keys]`
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
  scoreBias?: tf.Tensor,
): tf.Tensor {
  const hidden = query.shape[1]!;
  const scaled = tf.mul(splitHeads(query, querySize, heads), (hidden / heads) ** -0.5);
  const products = tf.matMul(scaled, splitHeads(key, keySize, heads), false, true);
  const scores = scoreBias === undefined ? products : tf.add(products, scoreBias);
  const context = tf.matMul(dropProbabilities(tf.softmax(scores)), splitHeads(value, keySize, heads));
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [querySize.batch * querySize.tokens, hidden]);
}

/** What the four linear layers of an attention are called. */
export interface ProjectionNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
}

const usualProjections: ProjectionNames = {
  query: 'q_proj',
  key: 'k_proj',
  value: 'v_proj',
  output: 'out_proj',
};

/**
 * Self-attention without mask. `x [batch * tokens, hidden]`.
 * @param options `names` of the projections where they are not the usual ones; `scoreBias` as for `attend`
 */
export function selfAttention(
  parameters: Parameters,
  x: tf.Tensor,
  heads: number,
  size: SequenceSize,
  { names = usualProjections, scoreBias }: { names?: ProjectionNames; scoreBias?: tf.Tensor } = {},
): tf.Tensor {
  const project = (name: string): tf.Tensor => linear(parameters.at(name), x);
  const [query, key, value] = [project(names.query), project(names.key), project(names.value)];
  const context = attend(query, key, value, heads, size, size, undefined, scoreBias);
  return linear(parameters.at(names.output), context);
}
