import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DecoderConfig } from '../../model/decoder.ts';
import {
  causalBias,
  decoderTensorShapes,
  initDecoderWeights,
  maskedScore,
  parseDecoderConfig,
  ropeTables,
} from '../../model/decoder.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import type { TensorMap } from '../../src/engine/types.ts';
import { int32, meanLoss, runDecoder, runLogits } from '../support/decoder.ts';
import type { Fixture } from '../support/fixture.ts';
import { expectGolden, loadFixture, maxAbsDifference, toTensor, toTensors } from '../support/fixture.ts';

let fixture: Fixture;
let config: DecoderConfig;
let weights: TensorMap;
const input = (name: string) => fixture.tensors[name]!;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('qwen2');
  config = parseDecoderConfig(fixture.config);
  weights = toTensors(fixture.weights);
});

describe('decoder against Qwen2ForCausalLM', () => {
  const notPadding = (index: number) =>
    input('attention_mask').data[Math.floor(index / config.vocabSize)] === 1;

  it('names exactly the tensors of the checkpoint, with their shapes', () => {
    const stored = Object.fromEntries(Object.entries(fixture.weights).map(([name, t]) => [name, t.shape]));
    expect(decoderTensorShapes(config)).toEqual(stored);
  });

  it('gives its logits from ids and from embeddings', () => {
    const mask = input('attention_mask');
    const actual = runLogits(weights, config, { ids: input('input_ids'), mask });
    expectGolden(fixture, 'logits', actual, notPadding);
    const inputsEmbeds = toTensor(input('inputs_embeds'));
    expectGolden(fixture, 'embeds.logits', runLogits(weights, config, { inputsEmbeds, mask }), notPadding);
  });

  it('gives its loss and gradients of the weights', () => {
    const { value, gradients } = valueAndGradients(
      (tensors) =>
        meanLoss(input('labels'), tensors, config, {
          ids: input('input_ids'),
          mask: input('attention_mask'),
        }),
      weights,
    );
    expectGolden(fixture, 'loss', value);
    const compared = Object.keys(fixture.golden.tensors).filter((name) => name.startsWith('grad.'));
    expect(compared.length).toBe(5);
    for (const name of compared) expectGolden(fixture, name, gradients[name.slice('grad.'.length)]!);
    expect(Object.values(gradients).every((gradient) => gradient !== null)).toBe(true);
  });

  it('gives its loss and gradient of the input embeddings', () => {
    const { value, gradients } = valueAndGradients(
      ({ inputsEmbeds }) =>
        meanLoss(input('labels'), weights, config, {
          inputsEmbeds: inputsEmbeds!,
          mask: input('attention_mask'),
        }),
      { inputsEmbeds: toTensor(input('inputs_embeds')) },
    );
    expectGolden(fixture, 'embeds.loss', value);
    expectGolden(fixture, 'embeds.grad', gradients.inputsEmbeds!);
  });

  it('gives the same for a prompt run at once and in three pieces with cached keys and values', () => {
    const ids = Array.from(input('prompt_ids').data);
    const whole = runDecoder(weights, config, {
      ids: int32(ids, [1, 7]),
      mask: int32(Array(7).fill(1), [1, 7]),
    });
    let past: typeof whole.present | undefined;
    const parts: number[] = [];
    for (const [from, to] of [
      [0, 3],
      [3, 4],
      [4, 7],
    ] as const) {
      const piece = int32(ids.slice(from, to), [1, to - from]);
      const mask = int32(Array(to).fill(1), [1, to]);
      const result = runDecoder(weights, config, { ids: piece, mask }, past === undefined ? {} : { past });
      parts.push(...result.hidden.dataSync());
      past = result.present;
    }
    expect(past?.[1]?.key.shape).toEqual([1, 2, 7, 16]);
    expect(maxAbsDifference(parts, whole.hidden.dataSync())).toBeLessThan(1e-5);
    expect(maxAbsDifference(past![1]!.value.dataSync(), whole.present[1]!.value.dataSync())).toBeLessThan(
      1e-5,
    );
  });

  it('keeps rows finite that are padding from the left, and does not let padding leak', () => {
    const ids = Array.from(input('prompt_ids').data);
    const alone = runLogits(weights, config, {
      ids: int32(ids, [1, 7]),
      mask: int32(Array(7).fill(1), [1, 7]),
    });
    const mask = int32([0, 0, ...Array(7).fill(1)], [1, 9]);
    // Rotary positions are relative: the shift by two pads changes nothing.
    const padded = runLogits(weights, config, { ids: int32([5, 9, ...ids], [1, 9]), mask }).dataSync();
    expect(padded.every(Number.isFinite)).toBe(true);
    expect(maxAbsDifference(padded.slice(2 * config.vocabSize), alone.dataSync())).toBeLessThan(1e-3);
  });

  it('leaves no tensors behind', () => {
    const run = () =>
      tf.tidy(() => {
        valueAndGradients(
          (tensors) =>
            meanLoss(input('labels'), tensors, config, {
              ids: input('input_ids'),
              mask: input('attention_mask'),
            }),
          weights,
        );
      });
    run();
    const before = tf.memory().numTensors;
    run();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('a Llama with an untied head, wide heads and biases', () => {
  const llama = parseDecoderConfig({
    model_type: 'llama',
    vocab_size: 11,
    hidden_size: 12,
    intermediate_size: 10,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 6,
    attention_bias: true,
    mlp_bias: true,
  });

  it('has an output bias, biases in the MLP and a head of its own', () => {
    const shapes = decoderTensorShapes(llama);
    expect(shapes['model.layers.0.self_attn.q_proj.weight']).toEqual([18, 12]);
    expect(shapes['model.layers.0.self_attn.o_proj.weight']).toEqual([12, 18]);
    expect(shapes['model.layers.0.self_attn.o_proj.bias']).toEqual([12]);
    expect(shapes['model.layers.0.mlp.down_proj.bias']).toEqual([12]);
    expect(shapes['lm_head.weight']).toEqual([11, 12]);
    const plain = decoderTensorShapes({
      ...llama,
      queryKeyValueBias: false,
      outputBias: false,
      mlpBias: false,
    });
    expect(Object.keys(plain).filter((name) => name.endsWith('.bias'))).toEqual([]);
  });

  it('runs from new weights, which the seed determines, and uses every one of them', () => {
    const host = initDecoderWeights(llama, 7);
    expect(initDecoderWeights(llama, 7)).toEqual(host);
    expect(initDecoderWeights(llama, 8)['lm_head.weight']).not.toEqual(host['lm_head.weight']);
    expect(host['model.norm.weight']!.data).toEqual(new Float32Array(12).fill(1));
    const batch = { ids: int32([1, 2, 3, 4, 5, 6], [2, 3]), mask: int32(Array(6).fill(1), [2, 3]) };
    const { value, gradients } = valueAndGradients(
      (tensors) => meanLoss(int32([-100, 2, 3, -100, -100, 6], [2, 3]), tensors, llama, batch),
      toTensors(host),
    );
    // Small weights make all 11 tokens about equally likely.
    expect(Math.abs(value.dataSync()[0]! - Math.log(11))).toBeLessThan(0.2);
    expect(Object.entries(gradients).filter(([, gradient]) => gradient === null)).toEqual([]);
  });
});

describe('host tables', () => {
  it('ropeTables: angles in both halves, the first half of sin negated, rows per sample', () => {
    const { cos, sin } = ropeTables({ headDim: 4, ropeTheta: 100 }, [0, 1, 2, 0, 5, 6], 2);
    expect(cos.shape).toEqual([2, 1, 3, 4]);
    const row = (t: typeof cos, i: number) => Array.from(t.data.slice(4 * i, 4 * i + 4));
    const close = (actual: number[], expected: number[]) =>
      expect(maxAbsDifference(actual, expected)).toBeLessThan(1e-6);
    close(row(cos, 0), [1, 1, 1, 1]);
    close(row(cos, 4), [Math.cos(5), Math.cos(0.5), Math.cos(5), Math.cos(0.5)]);
    close(row(sin, 2), [-Math.sin(2), -Math.sin(0.2), Math.sin(2), Math.sin(0.2)]);
  });

  it('causalBias: past and padding', () => {
    const bias = causalBias(int32([1, 1, 1, 1, 0, 1, 1, 1], [2, 4]), 2);
    expect(bias.shape).toEqual([2, 1, 2, 4]);
    const seen = Array.from(bias.data, (value) => (value === 0 ? 1 : value === maskedScore ? 0 : Number.NaN));
    expect(seen).toEqual([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1]);
  });
});
