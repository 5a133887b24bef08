import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import {
  causalBias,
  decoderForward,
  decoderTensorShapes,
  embedTokens,
  initDecoderWeights,
  logits,
  parseDecoderConfig,
  ropeTables,
  targetLogits,
} from '../../model/decoder.ts';
import { crossEntropy } from '../../model/loss.ts';
import { registerEagerDropout, rowKeys } from '../../src/engine/dropout.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { int32 } from '../support/decoder.ts';
import { toTensor } from '../support/fixture.ts';

const config = parseDecoderConfig({
  model_type: 'qwen2',
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 24,
  vocab_size: 30,
  tie_word_embeddings: true,
});
const [batch, tokens] = [2, 5];
const rows = [1, 3, 8, 8];

const values = (tensor: tf.Tensor) => [...tensor.dataSync()];
const expectClose = (actual: tf.Tensor, expected: tf.Tensor, digits: number) => {
  const other = values(expected);
  expect(actual.shape).toEqual(expected.shape);
  values(actual).forEach((value, i) => {
    expect(value).toBeCloseTo(other[i]!, digits);
  });
};

let parameters: Parameters;
let run: (rows?: tf.Tensor) => tf.Tensor;

beforeAll(async () => {
  await tf.setBackend('cpu');
  registerEagerDropout('cpu');
  const shapes = adapterTensorShapes(decoderTensorShapes(config), {
    rank: 2,
    targets: ['q_proj', 'o_proj', 'gate_proj', 'down_proj'],
  });
  const adapter = initAdapter(shapes, 1);
  // As drawn, lora_B is zero, and dropping would change nothing.
  for (const { data } of Object.values(adapter)) {
    for (const i of data.keys()) data[i] = data[i]! + Math.sin(i) / 4;
  }
  const tensors = { ...initDecoderWeights(config, 2), ...adapter };
  parameters = new Parameters(
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, toTensor(tensor)])),
  );
  const ids = int32(
    Array.from({ length: batch * tokens }, (_, i) => (i * 7) % 30),
    [batch, tokens],
  );
  const tables = ropeTables(config, [0, 1, 2, 3, 4]);
  const keys = rowKeys({ seed: 1, step: 2, names: ['a', 'b'], tokens });
  run = (wanted) =>
    decoderForward(parameters, config, {
      inputsEmbeds: embedTokens(parameters, toTensor(ids)),
      cos: toTensor(tables.cos),
      sin: toTensor(tables.sin),
      attentionBias: toTensor(causalBias(int32(new Int32Array(batch * tokens).fill(1), [batch, tokens]))),
      adapter: { scale: 2, dropout: { rate: 0.4, rowKeys: tf.tensor1d(keys, 'int32') } },
      rows: wanted,
    }).hidden;
});

describe('a decoder of which some rows are wanted', () => {
  it('gives these rows, in their order and as often as asked for, dropout included', () => {
    const wanted = tf.tensor1d(rows, 'int32');
    expectClose(run(wanted), tf.gather(run(), wanted), 5);
  });
});

describe('scores of the targets', () => {
  it('are those in the table of all scores, and give the same loss and gradient', () => {
    const hidden = run(tf.tensor1d(rows, 'int32'));
    const targets = tf.tensor1d([3, 0, 29, 3], 'int32');
    const weights = tf.tensor1d([1, 0.5, 0, 1]);
    const table = logits(parameters, config, hidden);
    const chosen = targetLogits(parameters, config, hidden, targets);
    expectClose(
      chosen,
      tf.sum(tf.mul(table, tf.cast(tf.oneHot(targets as tf.Tensor1D, 30), 'float32')), -1),
      5,
    );
    const loss = (known: boolean) => (x: tf.Tensor) =>
      crossEntropy(
        logits(parameters, config, x),
        targets,
        weights,
        known ? targetLogits(parameters, config, x, targets) : undefined,
      ).lossSum;
    const [known, picked] = [true, false].map((way) => tf.valueAndGrad(loss(way))(hidden));
    expectClose(known!.value, picked!.value, 5);
    expectClose(known!.grad, picked!.grad, 5);
  });
});
