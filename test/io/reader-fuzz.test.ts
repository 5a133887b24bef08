import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { harmlessBytes } from './fuzz.ts';
import { fuzzReader, type ReaderKind } from './reader-fuzz.ts';

/** test/full reads 100,000 of each. */
const cases = 2_000;

it.each<[ReaderKind, string[]]>([
  [
    'safetensors',
    ['NOT_JSON', 'HEADER_TOO_LARGE', 'SIZE_MISMATCH', 'UNKNOWN_DTYPE', 'TRAILING_BYTES'].map(
      (code) => `SAFETENSORS_${code}`,
    ),
  ],
  ['manifest', ['MANIFEST_INVALID', 'JSONL_NOT_JSON', 'CSV_BAD_HEADER', 'CSV_BAD_ROW', 'FILE_NOT_UTF8']],
  ['configuration', ['CONFIG_INVALID']],
  ['wave', ['AUDIO_TRUNCATED']],
])('damaged files are read or refused, never worse: %s', async (kind, codes) => {
  const outcome = await fuzzReader(kind, { cases, seed: 1, folder: await temporaryFolder() });
  expect(outcome.crashes).toEqual([]);
  expect(outcome.largestExcess).toBeLessThanOrEqual(harmlessBytes);
  // Damage to texts and numbers cannot be noticed, damage to the structure is.
  expect(outcome.read).toBeGreaterThan(0);
  expect(Object.keys(outcome.refused)).toEqual(expect.arrayContaining(codes));
});
