import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { describeEpochs, withSteps } from '../../train/epochs.ts';
import { configuredWeights } from '../../train/sample-weights.ts';
import { EpochSampler, firstPosition, type SamplerOptions } from '../../train/sampler.ts';

const letters = (count: number, prefix = 's') => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const sampler = (options: Partial<SamplerOptions> & Pick<SamplerOptions, 'names'>) =>
  new EpochSampler({ seed: 1, batchSize: 2, accumulation: 2, ...options });

function occurrences(order: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of order) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

describe('samples with weights', () => {
  const names = letters(10);
  const weightOf = (name: string): number => (Number(name.slice(1)) < 4 ? 2.5 : 0.3);
  const weights = new Map(names.map((name) => [name, weightOf(name)]));

  it('occur as often as their whole part says, and for the fraction once more in a share of the epochs', () => {
    const source = sampler({ names, weights });
    const sums = new Map(names.map((name) => [name, 0]));
    const epochs = 400;
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const counts = occurrences(source.order(epoch));
      expect(source.order(epoch)).toHaveLength(source.size(epoch));
      for (const name of names) {
        const count = counts.get(name) ?? 0;
        expect([Math.floor(weightOf(name)), Math.floor(weightOf(name)) + 1]).toContain(count);
        sums.set(name, sums.get(name)! + count);
      }
    }
    // Together exactly, each about: four standard deviations of a draw.
    const total = [...sums.values()].reduce((sum, count) => sum + count, 0);
    expect(total).toBe(epochs * (4 * 2.5 + 6 * 0.3));
    for (const [name, sum] of sums) {
      expect(Math.abs(sum / epochs - weightOf(name))).toBeLessThan(4 * Math.sqrt(0.25 / epochs));
    }
  });

  it('are drawn by seed, epoch and name alone, anew in each epoch', () => {
    const drawn = (of: readonly string[], epoch: number, seed = 1) =>
      [...occurrences(sampler({ names: of, weights, seed }).order(epoch))].sort();
    expect(drawn(names.toReversed(), 3)).toEqual(drawn(names, 3));
    const others = [drawn(names, 4), drawn(names, 3, 2), drawn(names, 3)];
    expect(new Set(others.map((counts) => JSON.stringify(counts))).size).toBe(3);
  });

  it('go on from any position as they would have', () => {
    const whole = sampler({ names, weights });
    let position = firstPosition;
    for (let step = 0; step < 40; step++) {
      const draw = whole.draw(position);
      expect(sampler({ names, weights }).draw(position)).toEqual(draw);
      position = draw.next;
    }
    expect(position.epoch).toBeGreaterThan(5);
  });

  it('of 1 are in the order of samples without', () => {
    const ones = new Map(names.map((name) => [name, 1]));
    for (const epoch of [1, 2]) {
      expect(sampler({ names, weights: ones }).order(epoch)).toEqual(sampler({ names }).order(epoch));
      expect(sampler({ names, weights: null }).order(epoch)).toEqual(sampler({ names }).order(epoch));
    }
  });

  it('pass over an epoch that has none', () => {
    const rare = sampler({ names: ['a'], weights: new Map([['a', 0.25]]) });
    const draws = [rare.draw(firstPosition)];
    for (let i = 0; i < 3; i++) draws.push(rare.draw(draws.at(-1)!.next));
    const epochs = draws.map(({ epoch }) => epoch);
    expect(epochs.map((epoch) => epoch - epochs[0]!)).toEqual([0, 4, 8, 12]);
    for (const { microBatches } of draws) expect(microBatches).toEqual([['a']]);
  });

  it('are grouped by length like others', () => {
    const grouping = { steps: 50, tokens: (name: string) => Number(name.slice(1)) };
    const grouped = sampler({ names, weights, lengthGrouping: grouping });
    expect([...grouped.order(2)].sort()).toEqual([...sampler({ names, weights }).order(2)].sort());
  });

  it.each([0, -1, Number.NaN])('of %d are refused', (weight) => {
    expect(() => sampler({ names, weights: new Map([['s3', weight]]) })).toThrow(
      expect.objectContaining({ code: 'SAMPLE_WEIGHTS_INVALID', message: expect.stringContaining('s3') }),
    );
  });
});

const records = [
  ...letters(6, 'm').map((name): SampleRecord => ({ name, task: 'MELD', origin: 'x' })),
  ...letters(2, 'o').map((name): SampleRecord => ({ name, task: 'MOSI', origin: 'x' })),
];
const config = (weights: unknown, train: object = {}) =>
  parseConfig({
    model: { inputs: 'textonly' },
    data: { dataset: 'mmla', labelType: 'own', mmla: { tasks: ['MELD', 'MOSI'], weights } },
    train: { batchSize: 2, accumulation: 2, ...train },
    output: 'x',
  });

describe('weights of tasks', () => {
  it('are none where samples occur once', () => {
    expect(configuredWeights(config('proportional'), records)).toBeNull();
    expect(configuredWeights(config({ MELD: 1 }), records)).toBeNull();
    const manifest = parseConfig({ data: { manifest: 'a.jsonl' }, output: 'x' });
    expect(configuredWeights(manifest, records)).toBeNull();
  });

  it('make tasks as frequent as one another in an epoch of the same length', () => {
    const weights = configuredWeights(config('uniform'), records)!;
    expect([weights.get('m0'), weights.get('o0')]).toEqual([8 / 2 / 6, 8 / 2 / 2]);
  });

  it('are 1 where the map names no task', () => {
    const weights = configuredWeights(config({ MOSI: 2.5 }), records)!;
    expect([weights.get('m5'), weights.get('o1')]).toEqual([1, 2.5]);
  });
});

describe('a length in epochs', () => {
  it.each([
    [1, 'proportional', 1, 2],
    [3, 'proportional', 1, 6],
    [2.5, 'proportional', 1, 5],
    [2.25, 'proportional', 1, 5],
    [3, 'proportional', 2, 3],
    // 6 + 2 x 2.5 = 11 samples of an epoch.
    [2, { MOSI: 2.5 }, 1, 6],
  ])('of %d with weights %j and %d ranks is so many steps', (epochs, weights, ranks, steps) => {
    expect(withSteps(config(weights, { epochs }), records, ranks).train).toMatchObject({ epochs, steps });
  });

  it('is as many steps as the sampler needs for them', () => {
    const of = config({ MELD: 1.7 }, { epochs: 7, batchSize: 3, accumulation: 1 });
    const source = sampler({
      names: records.map(({ name }) => name),
      ...{ seed: of.train.seed, batchSize: 3, accumulation: 1 },
      weights: configuredWeights(of, records),
    });
    let [steps, position] = [0, firstPosition];
    while (position.epoch <= 7) {
      position = source.draw(position).next;
      steps++;
    }
    expect(withSteps(of, records).train.steps).toBe(steps);
  });

  it('is told, and leaves a configuration in steps alone', () => {
    expect(describeEpochs(withSteps(config('proportional', { epochs: 3 }), records), records)).toBe(
      '3 epochs of 8 samples (train.epochs): 6 steps.',
    );
    const inSteps = config('proportional', { steps: 9 });
    expect(withSteps(inSteps, records)).toBe(inSteps);
    expect(describeEpochs(inSteps, records)).toBeUndefined();
    const weighted = withSteps(config({ MOSI: 2.5 }, { epochs: 2 }), records);
    expect(describeEpochs(weighted, records)).toBe(
      '2 epochs of 8 samples, 11 drawn in each by data.mmla.weights (train.epochs): 6 steps.',
    );
  });

  it('has to be enough for the validations', () => {
    const seldom = config('proportional', { epochs: 3, validation: { every: 7 } });
    expect(() => withSteps(seldom, records)).toThrow(
      expect.objectContaining({
        code: 'TRAIN_STEPS_TOO_FEW',
        message: expect.stringMatching(/3 epochs of 8 samples .* 6 steps, .*train\.validation\.every: 7/),
      }),
    );
    const often = config('proportional', { epochs: 3, validation: { every: 6 } });
    expect(withSteps(often, records).train.steps).toBe(6);
  });
});
