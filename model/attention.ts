import * as tf from '@tensorflow/tfjs';
import type { AdapterContext } from '../lora/linear.ts';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { HostTensor } from '../src/engine/types.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** Rotated keys and values of one layer, each `[batch, keyValueHeads, length, headDim]`. */
export interface KeyValue {
  readonly key: tf.Tensor;
  readonly value: tf.Tensor;
}

/** What attention needs to know of positions, the same for all layers. */
export interface AttentionInputs {
  /** From `ropeTables`: `[batch or 1, 1, tokens, headDim]`. */
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
  /** From `causalBias`: `[batch or 1, 1, tokens, total]`, total = past + tokens. */
  readonly attentionBias: tf.Tensor;
  readonly adapter?: AdapterContext | undefined;
}

/** Where only some rows go on, int32 `[n]`, indices into `[batch * tokens]`: their dropout is what it is among all rows. */
export function adapterOfRows(
  adapter: AdapterContext | undefined,
  rows: tf.Tensor,
): AdapterContext | undefined {
  if (adapter?.dropout === undefined) return adapter;
  const rowKeys = tf.gather(adapter.dropout.rowKeys, rows as tf.Tensor1D);
  return { ...adapter, dropout: { ...adapter.dropout, rowKeys } };
}

/**
 * Added to the scores of what may not be seen. Finite, so that a row that sees nothing (left padding) gives the mean
 * of everything rather than NaN, and beyond any score, so that what is hidden gets a weight of exactly 0 elsewhere.
 */
export const maskedScore = -1e9;

/** Angle from one position to the next, for each pair of elements of a head, `headDim / 2` numbers. */
export const ropeFrequencies = ({
  headDim,
  ropeTheta,
}: Pick<DecoderConfig, 'headDim' | 'ropeTheta'>): Float32Array =>
  Float32Array.from({ length: headDim / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(ropeTheta ** Math.fround((2 * i) / headDim))),
  );

/**
 * Rotary position tables, on the host.
 *
 * `sin` carries the signs of "rotate half": its first half is negated, so that rotating is
 * `x * cos + swapHalves(x) * sin`. Angles are rounded to float32 as in Hugging Face.
 *
 * @param positions of the tokens, row after row: `batch * tokens` integers. One row serves any batch whose rows all
 *   count alike (right padding).
 * @returns cos and sin, float32 `[batch, 1, tokens, headDim]`
 */
export function ropeTables(
  config: Pick<DecoderConfig, 'headDim' | 'ropeTheta'>,
  positions: ArrayLike<number>,
  batch = 1,
): { cos: HostTensor; sin: HostTensor } {
  const { headDim, ropeTheta } = config;
  const half = headDim / 2;
  const frequencies = ropeFrequencies({ headDim, ropeTheta });
  const shape = [batch, 1, positions.length / batch, headDim];
  const cos = new Float32Array(positions.length * headDim);
  const sin = new Float32Array(positions.length * headDim);
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(positions[row]! * frequencies[i]!);
      const at = row * headDim + i;
      cos[at] = cos[at + half] = Math.cos(angle);
      sin[at + half] = Math.sin(angle);
      sin[at] = -sin[at + half]!;
    }
  }
  return { cos: { dtype: 'float32', shape, data: cos }, sin: { dtype: 'float32', shape, data: sin } };
}

/**
 * What each new token may attend to, on the host: itself and what stands before it, as far as the mask is not 0.
 *
 * @param attentionMask `[batch, total]`, 1 for a token and 0 for padding, past and new tokens together
 * @param pastLength how many of `total` are already in the cache
 * @returns float32 `[batch, 1, tokens, total]`, 0 or `maskedScore`; tokens = total - pastLength
 */
export function causalBias(attentionMask: HostTensor, pastLength = 0): HostTensor {
  const [batch, total] = attentionMask.shape as [number, number];
  const tokens = total - pastLength;
  const data = new Float32Array(batch * tokens * total).fill(maskedScore);
  for (let row = 0; row < batch; row++) {
    for (let token = 0; token < tokens; token++) {
      const offset = (row * tokens + token) * total;
      for (let seen = 0; seen <= pastLength + token; seen++) {
        if (attentionMask.data[row * total + seen] !== 0) data[offset + seen] = 0;
      }
    }
  }
  return { dtype: 'float32', shape: [batch, 1, tokens, total], data };
}

const swapHalves = (x: tf.Tensor): tf.Tensor => {
  const [first, second] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.concat([second, first], -1);
};

/**
 * Applies rotary positions to `x [batch, heads, tokens, headDim]`. Own gradient: swapping halves is its own
 * transpose, and one split and concat replace the pads of two slices.
 */
export function rotate(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((...[input, save]: (tf.Tensor | tf.GradSaveFunc)[]) => {
    (save as tf.GradSaveFunc)([cos, sin]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [savedCos, savedSin] = saved as [tf.Tensor, tf.Tensor];
      return tf.add(tf.mul(dy, savedCos), swapHalves(tf.mul(dy, savedSin)));
    };
    const value = tf.add(tf.mul(input as tf.Tensor, cos), tf.mul(swapHalves(input as tf.Tensor), sin));
    return { value, gradFunc };
  });
  return operation(x);
}

/**
 * `softmax(scores) value`, batched over the leading axes. Own gradient: the sum over each row of weights times their
 * gradients is taken as that of the result times its gradient (Dao et al. 2022, section 3.1), which is as long as a head
 * instead of as the sequence.
 *
 * @param scores `[..., queries, keys]`, masked
 * @param value `[..., keys, headDim]`
 */
function attend(scores: tf.Tensor, value: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((...[s, v, save]: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const weights = tf.softmax(s as tf.Tensor, -1);
    const context = tf.matMul(weights, v as tf.Tensor);
    (save as tf.GradSaveFunc)([weights, v as tf.Tensor, context]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [w, values, result] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const sums = tf.sum(tf.mul(dy, result), -1, true);
      const dScores = tf.mul(w, tf.sub(tf.matMul(dy, values, false, true), sums));
      return [dScores, tf.matMul(w, dy, true, false)];
    };
    return { value: context, gradFunc };
  });
  return operation(scores, value);
}

/**
 * Causal self-attention with grouped key/value heads. Keys and values are not repeated: the query heads of a group
 * are stacked along the token axis, so that each key/value head multiplies all of its queries at once.
 *
 * @param parameters q_proj, k_proj, v_proj, o_proj
 * @param x `[batch * tokens, hidden]`
 * @param batch number of rows in x's leading axis
 * @param past keys and values of earlier tokens
 * @param rows int32 `[n]`, the rows whose output is wanted; absent: all
 * @returns `output [batch * tokens, hidden]`, or `[n, hidden]`, and `present`, past and new keys and values together
 */
export function selfAttention(
  parameters: Parameters,
  config: DecoderConfig,
  x: tf.Tensor,
  batch: number,
  { cos, sin, attentionBias, adapter }: AttentionInputs,
  past?: KeyValue,
  rows?: tf.Tensor,
): { output: tf.Tensor; present: KeyValue } {
  const { numAttentionHeads, numKeyValueHeads, headDim } = config;
  const tokens = x.shape[0]! / batch;
  const heads = (name: string, count: number) =>
    tf.transpose(
      tf.reshape(linear(parameters.at(name), x, adapter), [batch, tokens, count, headDim]),
      [0, 2, 1, 3],
    );
  const query = tf.mul(rotate(heads('q_proj', numAttentionHeads), cos, sin), 1 / Math.sqrt(headDim));
  const newKey = rotate(heads('k_proj', numKeyValueHeads), cos, sin);
  const newValue = heads('v_proj', numKeyValueHeads);
  const key = past === undefined ? newKey : tf.concat([past.key, newKey], 2);
  const value = past === undefined ? newValue : tf.concat([past.value, newValue], 2);

  const group = numAttentionHeads / numKeyValueHeads;
  const grouped = tf.reshape(query, [batch, numKeyValueHeads, group * tokens, headDim]);
  // The mask takes the sizes of the scores rather than they those of the mask: it is the same for all layers, and
  // nothing stands between the products and the softmax, so that compilers join the addition and the softmax.
  const bias = tf.tile(attentionBias, [1, 1, group, 1]);
  const context = attend(tf.add(tf.matMul(grouped, key, false, true), bias), value);
  const merged = tf.reshape(
    tf.transpose(tf.reshape(context, [batch, numAttentionHeads, tokens, headDim]), [0, 2, 1, 3]),
    [batch * tokens, numAttentionHeads * headDim],
  );
  const output =
    rows === undefined
      ? linear(parameters.at('o_proj'), merged, adapter)
      : linear(parameters.at('o_proj'), tf.gather(merged, rows as tf.Tensor1D), adapterOfRows(adapter, rows));
  return { output, present: { key, value } };
}
