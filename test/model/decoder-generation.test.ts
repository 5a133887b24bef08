import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DecoderConfig, KeyValue } from '../../model/decoder.ts';
import { logits, parseDecoderConfig } from '../../model/decoder.ts';
import type { GenerationOptions, GenerationStep } from '../../model/generation.ts';
import {
  checkSampling,
  generate,
  greedyToken,
  matchedStop,
  sampleToken,
  samplingCandidates,
} from '../../model/generation.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { TensorMap } from '../../src/engine/types.ts';
import { InputError, NumericError } from '../../src/errors.ts';
import { int32, runDecoder } from '../support/decoder.ts';
import type { Fixture } from '../support/fixture.ts';
import { expectGolden, loadFixture, maxAbsDifference, toTensors } from '../support/fixture.ts';

const greedy: Omit<GenerationOptions, 'batch' | 'maxNewTokens'> = {
  stop: [],
  sampling: { method: 'greedy' },
  padToken: 0,
};

describe('greedy generation against Qwen2ForCausalLM', () => {
  let fixture: Fixture;
  let config: DecoderConfig;
  let weights: TensorMap;

  beforeAll(async () => {
    await tf.setBackend('cpu');
    fixture = await loadFixture('qwen2');
    config = parseDecoderConfig(fixture.config);
    weights = toTensors(fixture.weights);
  });

  /** Scores after the last of `ids`, whose keys and values follow `past`. */
  function lastLogits(ids: readonly number[], past?: readonly KeyValue[]) {
    const length = ids.length + (past?.[0]?.key.shape[2] ?? 0);
    const inputs = { ids: int32(ids, [1, ids.length]), mask: int32(Array(length).fill(1), [1, length]) };
    const { hidden, present } = runDecoder(weights, config, inputs, past === undefined ? {} : { past });
    const last = tf.slice(hidden, [ids.length - 1, 0], [1, config.hiddenSize]);
    return { scores: logits(new Parameters(weights), config, last).dataSync() as Float32Array, present };
  }

  it('gives its tokens and the scores of each step with a cache', async () => {
    let past: KeyValue[] | undefined;
    const steps: number[] = [];
    const step: GenerationStep = async ({ tokens }) => {
      const { scores, present } = lastLogits(Array.from(tokens ?? fixture.tensors.prompt_ids!.data), past);
      past = present;
      steps.push(...scores);
      return scores;
    };
    const [answer] = await generate(step, { ...greedy, batch: 1, maxNewTokens: 12 });
    expect(answer).toEqual({
      tokens: Array.from(fixture.tensors['generate.tokens']!.data),
      finish: 'length',
      stopLength: 0,
    });
    expectGolden(fixture, 'generate.step_logits', steps);
  });

  it('gives the same tokens without a cache', async () => {
    const ids = Array.from(fixture.tensors.prompt_ids!.data);
    const step: GenerationStep = async ({ tokens }) => {
      if (tokens !== null) ids.push(...tokens);
      return lastLogits(ids).scores;
    };
    const [answer] = await generate(step, { ...greedy, batch: 1, maxNewTokens: 12 });
    expect(answer?.tokens).toEqual(Array.from(fixture.tensors['generate.tokens']!.data));
  });
});

describe('generate', () => {
  /** A model that says fixed tokens; -1 for what must not be asked. */
  const scripted = (script: number[][], fed: (Int32Array | null)[] = []): GenerationStep => {
    return async ({ index, tokens }) => {
      fed.push(tokens);
      const scores = new Float32Array(script.length * 10);
      script.forEach((row, i) => {
        scores[i * 10 + (row[index] ?? 9)] = 1;
      });
      return scores;
    };
  };

  it('ends each row at its stop sequence and feeds padding to rows that are done', async () => {
    const fed: (Int32Array | null)[] = [];
    const step = scripted(
      [
        [3, 1, 2, 8],
        [2, 7],
        [4, 2, 1, 5],
      ],
      fed,
    );
    const answers = await generate(step, {
      ...greedy,
      batch: 3,
      maxNewTokens: 4,
      stop: [[7], [1, 2]],
    });
    expect(answers).toEqual([
      { tokens: [3, 1, 2], finish: 'stop', stopLength: 2 },
      { tokens: [2, 7], finish: 'stop', stopLength: 1 },
      { tokens: [4, 2, 1, 5], finish: 'length', stopLength: 0 },
    ]);
    expect(fed).toEqual([null, Int32Array.of(3, 2, 4), Int32Array.of(1, 7, 2), Int32Array.of(2, 0, 1)]);
  });

  it('asks no further once all rows are done', async () => {
    const fed: (Int32Array | null)[] = [];
    await generate(scripted([[7, 1]], fed), { ...greedy, batch: 1, maxNewTokens: 100, stop: [[7]] });
    expect(fed.length).toBe(1);
  });

  it('samples each row from its own generator, whatever its batch mates', async () => {
    const flat: GenerationStep = async () => new Float32Array(2 * 10);
    const one: GenerationStep = async () => new Float32Array(10);
    const sampling = { method: 'sample', temperature: 1 } as const;
    const rowRandom = (row: string) => new RandomGenerator(5).split(row);
    const both = await generate(flat, {
      ...greedy,
      sampling,
      batch: 2,
      maxNewTokens: 20,
      random: [rowRandom('a'), rowRandom('b')],
    });
    const alone = await generate(one, {
      ...greedy,
      sampling,
      batch: 1,
      maxNewTokens: 20,
      random: [rowRandom('b')],
    });
    expect(both[1]).toEqual(alone[0]);
    expect(both[0]!.tokens).not.toEqual(both[1]!.tokens);
    await expect(generate(flat, { ...greedy, sampling, batch: 2, maxNewTokens: 1 })).rejects.toThrow(
      /2 random generators/,
    );
  });
});

describe('choosing a token', () => {
  const scores = Float32Array.from([1, 3, 2, 0, -1].map((probability) => probability * Math.log(2)));
  const candidates = (options: { temperature: number; topK?: number; topP?: number }) => {
    const { tokens, probabilities } = samplingCandidates(scores, { method: 'sample', ...options });
    return { tokens: Array.from(tokens), probabilities: Array.from(probabilities) };
  };

  it('applies temperature, then top k, then top p, each on what is left', () => {
    // Weights 8, 4, 2, 1, 1/2 for tokens 1, 2, 0, 3, 4.
    expect(candidates({ temperature: 1 }).tokens).toEqual([1, 2, 0, 3, 4]);
    const three = candidates({ temperature: 1, topK: 3 });
    expect(three.tokens).toEqual([1, 2, 0]);
    expect(maxAbsDifference(three.probabilities, [8 / 14, 4 / 14, 2 / 14])).toBeLessThan(1e-6);
    // Among those three 12/14 = 0.857 is above 0.85; among all five 12/15.5 = 0.774 would not be.
    expect(candidates({ temperature: 1, topK: 3, topP: 0.85 }).tokens).toEqual([1, 2]);
    expect(candidates({ temperature: 1, topP: 0.85 }).tokens).toEqual([1, 2, 0]);
    const hot = candidates({ temperature: 2, topK: 2 });
    expect(
      maxAbsDifference(hot.probabilities, [Math.SQRT2 / (1 + Math.SQRT2), 1 / (1 + Math.SQRT2)]),
    ).toBeLessThan(1e-6);
    expect(candidates({ temperature: 1, topP: 1e-9 }).tokens).toEqual([1]);
    const equals = samplingCandidates(Float32Array.of(1, 2, 1, 0), {
      method: 'sample',
      temperature: 1,
      topK: 2,
    });
    expect(Array.from(equals.tokens)).toEqual([1, 0, 2]);
  });

  it('draws in proportion', () => {
    const random = new RandomGenerator(11);
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 7000; i++) {
      counts[sampleToken(scores, { method: 'sample', temperature: 1, topK: 3 }, random)]!++;
    }
    expect(counts[3]! + counts[4]!).toBe(0);
    // Expected 1000, 4000, 2000; four standard deviations are 117, 166 and 151.
    [1000, 4000, 2000].forEach((expected, token) => {
      expect(Math.abs(counts[token]! - expected)).toBeLessThan(170);
    });
  });

  it('takes the first of equally good tokens when greedy, and refuses numbers that are not finite', () => {
    expect(greedyToken(Float32Array.of(0, 5, 5, -Infinity))).toBe(1);
    for (const bad of [
      [0, Number.NaN],
      [0, Infinity],
      [-Infinity, -Infinity],
    ]) {
      expect(() => greedyToken(Float32Array.from(bad))).toThrow(NumericError);
      expect(() => samplingCandidates(Float32Array.from(bad), { method: 'sample', temperature: 1 })).toThrow(
        NumericError,
      );
    }
  });

  it('finds the longest stop sequence, at the end only', () => {
    const stop = [[2], [1, 2], [565, 2, 4]];
    expect(matchedStop([5, 1, 2], stop)).toBe(2);
    expect(matchedStop([1, 2, 5], stop)).toBe(0);
    expect(matchedStop([2], stop)).toBe(1);
    expect(matchedStop([], stop)).toBe(0);
  });

  it('names all wrong settings', () => {
    const faulty = { method: 'sample', temperature: 0, topK: 0.5, topP: 1.5 } as const;
    expect(() => checkSampling(faulty)).toThrow(InputError);
    expect(() => checkSampling(faulty)).toThrow(/temperature.*topK.*topP/);
  });
});
