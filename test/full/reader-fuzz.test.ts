import { expect, it } from 'vitest';
import { harmlessBytes } from '../io/fuzz.ts';
import { fuzzReader, type ReaderKind } from '../io/reader-fuzz.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const cases = 100_000;

it.each<ReaderKind>(['safetensors', 'manifest', 'configuration', 'wave'])(
  `${cases} damaged files are read or refused, never worse: %s`,
  async (kind) => {
    const start = performance.now();
    const outcome = await fuzzReader(kind, { cases, seed: 2, folder: await temporaryFolder() });
    const { crashes, largestExcess, read, refused, slowest } = outcome;
    console.log(
      `${kind}, ${cases} cases in ${((performance.now() - start) / 1000).toFixed(0)} s: ${read} read, ${cases - read - crashes.length} refused ${JSON.stringify(refused)}; slowest ${slowest.milliseconds.toFixed(1)} ms (${slowest.name}); largest request ${largestExcess} bytes beyond the file.`,
    );
    expect(crashes).toEqual([]);
    expect(largestExcess).toBeLessThanOrEqual(harmlessBytes);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(cases);
  },
);
