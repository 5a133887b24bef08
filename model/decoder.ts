import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { AttentionInputs, KeyValue } from './attention.ts';
import { adapterOfRows, selfAttention } from './attention.ts';
import type { DecoderConfig } from './decoder-config.ts';

export type { AttentionInputs, KeyValue } from './attention.ts';
export { causalBias, maskedScore, ropeFrequencies, ropeTables } from './attention.ts';
export type { DecoderConfig } from './decoder-config.ts';
export {
  decoderParameterCount,
  decoderTensorShapes,
  initDecoderWeights,
  parseDecoderConfig,
} from './decoder-config.ts';

export interface DecoderInputs extends AttentionInputs {
  /** float32 `[batch, tokens, hidden]`, from `embedTokens` and whatever was spliced in. */
  readonly inputsEmbeds: tf.Tensor;
  /** One entry per layer, as `present` of the call before; absent at the first. */
  readonly past?: readonly KeyValue[] | undefined;
  /** int32 `[n]`, indices into `[batch * tokens]`: the rows that are wanted; absent: all. */
  readonly rows?: tf.Tensor | undefined;
}

/** The layer that a parameter of the decoder belongs to, adapters included; undefined for what is in none. */
export const layerOf = (name: string): string | undefined => /^model\.layers\.(\d+)\./.exec(name)?.[1];

/** `x / sqrt(mean(x^2) + epsilon)` over the last axis, with its own gradient (half of the operations). */
function normalise(x: tf.Tensor, epsilon: number): tf.Tensor {
  const operation = tf.customGrad((...[input, save]: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const meanSquare = tf.mean(tf.square(input as tf.Tensor), -1, true);
    const inverse = tf.rsqrt(tf.add(meanSquare, epsilon));
    const value = tf.mul(input as tf.Tensor, inverse);
    (save as tf.GradSaveFunc)([value, inverse]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [normal, scale] = saved as [tf.Tensor, tf.Tensor];
      return tf.mul(tf.sub(dy, tf.mul(normal, tf.mean(tf.mul(dy, normal), -1, true))), scale);
    };
    return { value, gradFunc };
  });
  return operation(x);
}

/**
 * Root mean square normalisation over the last axis (Zhang and Sennrich 2019).
 *
 * @param parameters `weight [hidden]`
 * @param x `[rows, hidden]`
 */
export function rmsNorm(parameters: Parameters, x: tf.Tensor, epsilon: number): tf.Tensor {
  return tf.mul(normalise(x, epsilon), parameters.get('weight'));
}

/** `silu(gate) * up` (Shazeer 2020), with a gradient that keeps three tensors and needs no exponential. */
export function swiGlu(gate: tf.Tensor, up: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((...[g, u, save]: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const sigmoid = tf.sigmoid(g as tf.Tensor);
    const silu = tf.mul(g as tf.Tensor, sigmoid);
    (save as tf.GradSaveFunc)([u as tf.Tensor, sigmoid, silu]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [upSaved, s, a] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const slope = tf.add(s, tf.mul(a, tf.sub(1, s)));
      return [tf.mul(tf.mul(dy, upSaved), slope), tf.mul(dy, a)];
    };
    return { value: tf.mul(silu, u as tf.Tensor), gradFunc };
  });
  return operation(gate, up);
}

/**
 * Embeddings of token ids.
 *
 * @param parameters the decoder's, with `model.embed_tokens.weight`
 * @param ids int32 `[batch, tokens]`
 * @returns `[batch, tokens, hidden]`
 */
export function embedTokens(parameters: Parameters, ids: tf.Tensor): tf.Tensor {
  return tf.gather(parameters.get('model.embed_tokens.weight'), ids as tf.Tensor2D);
}

/**
 * The decoder's layers and final norm, as `Qwen2Model` and `LlamaModel` of Hugging Face compute them. Where only some rows
 * are wanted, the last layer computes what follows its attention for those alone: nothing else depends on the others.
 *
 * @param parameters weights under Hugging Face names, with adapters beside the weights they change
 * @returns `hidden [batch * tokens, hidden]`, or `[n, hidden]`, after the final norm, and `present`, the keys and values of each layer
 *   including the past
 * @throws InputError `PARAMETER_MISSING`, `ADAPTER_SCALE_MISSING`
 */
export function decoderForward(
  parameters: Parameters,
  config: DecoderConfig,
  inputs: DecoderInputs,
): { hidden: tf.Tensor; present: KeyValue[] } {
  const [batch, tokens] = inputs.inputsEmbeds.shape as [number, number, number];
  const { rmsNormEps } = config;
  const present: KeyValue[] = [];
  let hidden = tf.reshape(inputs.inputsEmbeds, [batch * tokens, config.hiddenSize]);
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const layer = parameters.at('model.layers').at(i);
    const normed = rmsNorm(layer.at('input_layernorm'), hidden, rmsNormEps);
    const rows = i === config.numHiddenLayers - 1 ? inputs.rows : undefined;
    const attention = selfAttention(
      layer.at('self_attn'),
      config,
      normed,
      batch,
      inputs,
      inputs.past?.[i],
      rows,
    );
    const adapter = rows === undefined ? inputs.adapter : adapterOfRows(inputs.adapter, rows);
    hidden = tf.add(rows === undefined ? hidden : tf.gather(hidden, rows as tf.Tensor1D), attention.output);
    present.push(attention.present);

    const mlp = layer.at('mlp');
    const mlpInput = rmsNorm(layer.at('post_attention_layernorm'), hidden, rmsNormEps);
    const gated = swiGlu(
      linear(mlp.at('gate_proj'), mlpInput, adapter),
      linear(mlp.at('up_proj'), mlpInput, adapter),
    );
    hidden = tf.add(hidden, linear(mlp.at('down_proj'), gated, adapter));
  }
  return { hidden: rmsNorm(parameters.at('model.norm'), hidden, rmsNormEps), present };
}

/**
 * Scores of all tokens of the vocabulary, for the rows that are asked for (they are by far the largest tensors).
 *
 * @param rows `[n, hidden]`, of `decoderForward`'s hidden
 * @returns `[n, vocab]`
 */
export function logits(parameters: Parameters, config: DecoderConfig, rows: tf.Tensor): tf.Tensor {
  return linear(parameters.at(config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head'), rows);
}

/**
 * The scores of given tokens, one a row, for less than all scores take.
 *
 * @param rows `[n, hidden]`, as for `logits`
 * @param targets int32 `[n]`
 * @returns `[n]`
 */
export function targetLogits(
  parameters: Parameters,
  config: DecoderConfig,
  rows: tf.Tensor,
  targets: tf.Tensor,
): tf.Tensor {
  const weight = parameters.at(config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head').get('weight');
  return tf.sum(tf.mul(rows, tf.gather(weight, targets as tf.Tensor1D)), -1);
}
