import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  publishedQformer,
  type QformerConfig,
  qformerForward,
  qformerTensorPlan,
} from '../../fusion/qformer.ts';
import { registerEagerDropout, rowKeys } from '../../src/engine/dropout.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { TensorMap } from '../../src/engine/types.ts';
import { expectGolden, type Fixture, loadFixture, maxAbsDifference, toTensor } from '../support/fixture.ts';

let fixture: Fixture;

beforeAll(async () => {
  await tf.setBackend('cpu');
  registerEagerDropout('cpu');
  fixture = await loadFixture('bert_qformer');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const config: QformerConfig = {
  hiddenSize: 48,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  intermediateSize: 96,
  layerNormEps: 1e-12,
  crossAttentionFrequency: 1,
  dropout: 0.1,
};

/** The published name of a tensor that BLIP-2's class in transformers names otherwise. */
const publishedName = (name: string): string =>
  `multi_Qformer.bert.${name.replace(/attention\.attention\./, 'attention.self.').replace(/^layernorm/, 'embeddings.LayerNorm')}`;

const weights = (): TensorMap =>
  Object.fromEntries(
    Object.entries(fixture.weights).map(([name, tensor]) => [publishedName(name), toTensor(tensor)]),
  );

const input = (name: string): tf.Tensor => toTensor(fixture.tensors[name]!);

describe('the Q-Former', () => {
  it('agrees with BLIP-2 in its output and in every gradient', () => {
    const variables: TensorMap = {
      ...weights(),
      queries: input('queries'),
      encoder_hidden_states: input('encoder_hidden_states'),
    };
    const { gradients } = valueAndGradients((tensors) => {
      const bert = new Parameters(tensors, 'multi_Qformer.bert');
      const output = qformerForward(config, bert, tensors.queries!, tensors.encoder_hidden_states!);
      expectGolden(fixture, 'last_hidden_state', output);
      return tf.sum(tf.mul(output, input('cotangent'))) as tf.Scalar;
    }, variables);
    for (const name of Object.keys(fixture.weights)) {
      if (name.endsWith('attention.key.bias')) continue; // Zero in exact arithmetic; what is stored is noise.
      expectGolden(fixture, `grad.${name}`, gradients[publishedName(name)]!);
    }
    expectGolden(fixture, 'grad.queries', gradients.queries!);
    expectGolden(fixture, 'grad.encoder_hidden_states', gradients.encoder_hidden_states!);
  });

  it('lists the tensors that it reads', () => {
    const plan = qformerTensorPlan(config, 'multi', 6, 40);
    const shapes = Object.fromEntries(Object.entries(plan).map(([name, { shape }]) => [name, shape]));
    const expected = Object.fromEntries(
      Object.entries(weights()).map(([name, tensor]) => [name, tensor.shape]),
    );
    expect(shapes).toEqual({ ...expected, multi_query_tokens: [1, 6, 48] });
  });

  it('has the published number of parameters', () => {
    const count = (width: number): number =>
      Object.entries(qformerTensorPlan(publishedQformer, 'multi', 1, width))
        .filter(([name]) => name.includes('.bert.'))
        .reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b), 0);
    expect(count(1024)).toBe(19_691_520);
    expect(count(768)).toBe(18_905_088);
  });

  it('drops per sample in training: the same sample alike in any batch, another one otherwise', () => {
    const bert = new Parameters(weights(), 'multi_Qformer.bert');
    const [first] = tf.split(input('encoder_hidden_states'), 2, 0);
    const run = (names: string[]): number[][] => {
      const features = tf.concat(names.map(() => first!) as tf.Tensor[], 0);
      const keys = tf.tensor1d(rowKeys({ seed: 1, step: 2, names, tokens: 1 }), 'int32');
      const output = qformerForward(config, bert, input('queries'), features, keys);
      return tf.reshape(output, [names.length, 6 * 48]).arraySync() as number[][];
    };
    const [a, b] = run(['a', 'b']);
    const [onlyB] = run(['b']);
    expect(maxAbsDifference(onlyB!, b!)).toBeLessThan(1e-5);
    expect(maxAbsDifference(a!, b!)).toBeGreaterThan(0.1);
    const still = qformerForward(config, bert, input('queries'), first!).dataSync();
    expect(maxAbsDifference(still, a!)).toBeGreaterThan(0.1);
  });
});
