import { describe, expect, it } from 'vitest';
import { rowKeys } from '../../src/engine/dropout.ts';

const one = { seed: 1, step: 2, names: ['a'], tokens: 3 };

/** Keys of a sample among others. */
const keysOf = (name: string, options: Parameters<typeof rowKeys>[0]): number[] => {
  const at = options.names.indexOf(name) * options.tokens;
  return [...rowKeys(options).subarray(at, at + options.tokens)];
};

describe('keys of dropout', () => {
  it('differ by seed, optimizer step, sample and token', () => {
    const others = [
      { ...one, seed: 2 },
      { ...one, step: 3 },
      { ...one, names: ['b'] },
    ];
    const keys = [one, ...others].flatMap((options) => [...rowKeys(options)]);
    expect(new Set(keys).size).toBe(4 * 3);
  });

  it('of a sample depend neither on its place, nor on its batch mates, nor on padding', () => {
    const alone = keysOf('a', one);
    expect(keysOf('a', { ...one, names: ['b', 'c', 'a'] })).toEqual(alone);
    expect(keysOf('a', { ...one, names: ['c', 'a'], tokens: 7 }).slice(0, 3)).toEqual(alone);
  });

  it('differ for every step and every sample of a long run', () => {
    const names = Array.from({ length: 50 }, (_, i) => `sample-${i}`);
    const keys = Array.from({ length: 50 }, (_, i) => [
      ...rowKeys({ seed: 42, step: i + 1, names, tokens: 8 }),
    ]);
    // 20,000 draws of 32 bits: the expected number of pairs that meet by chance is 0.05.
    expect(new Set(keys.flat()).size).toBeGreaterThan(19_997);
  });
});
