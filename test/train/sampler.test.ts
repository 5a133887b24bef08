import { describe, expect, it } from 'vitest';
import { EpochSampler, firstPosition, type SamplerDraw, type SamplerPosition } from '../../train/sampler.ts';

const letters = (count: number) => Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i));
const sampler = (samples: number, batchSize: number, accumulation: number, seed = 1) =>
  new EpochSampler({ names: letters(samples), seed, batchSize, accumulation });

function drawSteps(
  source: EpochSampler,
  steps: number,
  from: SamplerPosition = firstPosition,
): SamplerDraw[] {
  const draws: SamplerDraw[] = [];
  let position = from;
  for (let i = 0; i < steps; i++) {
    const draw = source.draw(position);
    draws.push(draw);
    position = draw.next;
  }
  return draws;
}

const namesOf = (draws: readonly SamplerDraw[]) => draws.flatMap(({ microBatches }) => microBatches.flat());

describe('EpochSampler', () => {
  it('visits every sample once per epoch, in an order of its own for each epoch and seed', () => {
    const names = namesOf(drawSteps(sampler(11, 2, 2), 6));
    const epochs = [names.slice(0, 11), names.slice(11)];
    for (const epoch of epochs) expect([...epoch].sort()).toEqual(letters(11));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(epochs[0]).not.toEqual(letters(11));
    expect(sampler(11, 2, 2, 2).order(1)).not.toEqual(epochs[0]);
  });

  it('has an order that depends on seed and epoch alone, not on batches or on what was drawn before', () => {
    const used = sampler(11, 2, 2);
    drawSteps(used, 5);
    const fresh = sampler(11, 3, 1);
    for (const epoch of [3, 1, 2]) expect(fresh.order(epoch)).toEqual(used.order(epoch));
  });

  it('gives the same samples to a step however they are divided into micro-batches', () => {
    const steps = (batchSize: number, accumulation: number) =>
      drawSteps(sampler(10, batchSize, accumulation), 7).map(({ microBatches }) => microBatches.flat());
    expect(steps(2, 2)).toEqual(steps(4, 1));
    expect(steps(1, 4)).toEqual(steps(4, 1));
    expect(drawSteps(sampler(10, 2, 2), 1)[0]!.microBatches.map((batch) => batch.length)).toEqual([2, 2]);
  });

  it('ends an epoch with a step of what is left', () => {
    const draws = drawSteps(sampler(7, 2, 2), 3);
    expect(draws.map(({ epoch, microBatches }) => [epoch, microBatches.map(({ length }) => length)])).toEqual(
      [
        [1, [2, 2]],
        [1, [2, 1]],
        [2, [2, 2]],
      ],
    );
    expect(draws[1]!.next).toEqual({ epoch: 2, index: 0 });
  });

  it('makes every step a whole epoch where there are fewer samples than a step takes', () => {
    const draws = drawSteps(sampler(3, 2, 4), 2);
    expect(draws.map(({ epoch }) => epoch)).toEqual([1, 2]);
    for (const draw of draws) expect(namesOf([draw]).sort()).toEqual(['a', 'b', 'c']);
  });

  it.each([1, 2, 3, 4, 5])('goes on from a position that was written down, after %i steps', (steps) => {
    const all = drawSteps(sampler(7, 2, 1), 9);
    const written = JSON.stringify(all[steps - 1]!.next);
    const rest = drawSteps(sampler(7, 2, 1), 9 - steps, JSON.parse(written) as SamplerPosition);
    expect([...all.slice(0, steps), ...rest]).toEqual(all);
  });

  it('knows its data by name', () => {
    const hash = (names: string[]) =>
      new EpochSampler({ names, seed: 1, batchSize: 1, accumulation: 1 }).namesHash;
    expect(hash(['a', 'b'])).toBe(hash(['a', 'b']));
    expect(new Set([['a', 'b'], ['b', 'a'], ['ab'], ['a', 'b', 'c']].map(hash)).size).toBe(4);
  });

  it('refuses data without samples or with repeated names', () => {
    const make = (names: string[]) => () =>
      new EpochSampler({ names, seed: 1, batchSize: 1, accumulation: 1 });
    expect(make([])).toThrow(expect.objectContaining({ code: 'SAMPLES_NONE', exitCode: 2 }));
    expect(make(['x', 'y', 'x', 'y'])).toThrow(/more than once: x, y\./);
  });
});
