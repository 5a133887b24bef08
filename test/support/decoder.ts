import * as tf from '@tensorflow/tfjs';
import type { AdapterContext } from '../../lora/linear.ts';
import type { DecoderConfig, KeyValue } from '../../model/decoder.ts';
import { causalBias, decoderForward, embedTokens, logits, ropeTables } from '../../model/decoder.ts';
import { crossEntropy, supervisedPositions } from '../../model/loss.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensor, TensorMap } from '../../src/engine/types.ts';
import { toTensor } from './fixture.ts';

export const int32 = (values: ArrayLike<number>, shape: number[]): HostTensor => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from(values),
});

/** Runs the decoder eagerly on right-padded rows whose positions count from 0 (after `past`). */
export function runDecoder(
  tensors: TensorMap,
  config: DecoderConfig,
  inputs: { ids: HostTensor; mask: HostTensor } | { inputsEmbeds: tf.Tensor; mask: HostTensor },
  options: { adapter?: AdapterContext; past?: readonly KeyValue[] } = {},
): { hidden: tf.Tensor; present: KeyValue[] } {
  const parameters = new Parameters(tensors);
  const embeds =
    'ids' in inputs ? embedTokens(parameters, toTensor(inputs.ids)) : (inputs.inputsEmbeds as tf.Tensor);
  const past = options.past?.[0]?.key.shape[2] ?? 0;
  const tokens = embeds.shape[1]!;
  const tables = ropeTables(
    config,
    Array.from({ length: tokens }, (_, i) => past + i),
  );
  return decoderForward(parameters, config, {
    inputsEmbeds: embeds,
    cos: toTensor(tables.cos),
    sin: toTensor(tables.sin),
    attentionBias: toTensor(causalBias(inputs.mask, past)),
    past: options.past,
    adapter: options.adapter,
  });
}

/** Logits of all rows `[batch * tokens, vocab]`. */
export function runLogits(...[tensors, config, inputs, options]: Parameters_): tf.Tensor {
  return tf.tidy(() =>
    logits(new Parameters(tensors), config, runDecoder(tensors, config, inputs, options).hidden),
  );
}
type Parameters_ = globalThis.Parameters<typeof runDecoder>;

/** Mean loss over the supervised tokens, as Hugging Face's causal models compute it. */
export function meanLoss(labels: HostTensor, ...[tensors, config, inputs, options]: Parameters_): tf.Scalar {
  const { positions, targets } = supervisedPositions(labels);
  const { hidden } = runDecoder(tensors, config, inputs, options);
  const rows = tf.gather(hidden, tf.tensor1d(positions, 'int32'));
  const scores = logits(new Parameters(tensors), config, rows);
  const { lossSum } = crossEntropy(scores, tf.tensor1d(targets, 'int32'), tf.ones([targets.length]));
  return tf.div(lossSum, targets.length) as tf.Scalar;
}
