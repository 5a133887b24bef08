import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { harmlessBytes } from './fuzz.ts';
import { fuzzArrays } from './npz-fuzz.ts';

/** test/full reads 100,000. */
const cases = 2_000;

it('damaged archives, arrays and pickles are read or refused, never worse', async () => {
  const outcome = await fuzzArrays(cases, 1, await temporaryFolder());
  expect(outcome.crashes).toEqual([]);
  expect(outcome.largestExcess).toBeLessThan(harmlessBytes);
  // Damage to texts and numbers cannot be noticed, damage to the structure is.
  expect(outcome.read).toBeGreaterThan(cases * 0.1);
  expect(outcome.read).toBeLessThan(cases * 0.5);
  const kinds = new Set(Object.keys(outcome.refused).map((code) => code.split('_')[0]));
  for (const kind of ['ZIP', 'NPZ', 'NPY', 'PICKLE', 'PREDICTIONS', 'LABELS']) expect(kinds).toContain(kind);
});
