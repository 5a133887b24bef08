import { expect, it } from 'vitest';
import { harmlessBytes } from '../io/fuzz.ts';
import { fuzzArrays } from '../io/npz-fuzz.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const cases = 100_000;

it(`${cases} damaged archives, arrays and pickles are read or refused, never worse`, async () => {
  const before = process.memoryUsage.rss();
  const { crashes, largestExcess, read, refused, slowest } = await fuzzArrays(
    cases,
    2,
    await temporaryFolder(),
  );
  const mebibytes = Math.round((process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20);
  console.log(
    `${cases} cases: ${read} read, ${cases - read - crashes.length} refused ${JSON.stringify(refused)}; slowest ${slowest.milliseconds.toFixed(1)} ms (${slowest.name}); largest request ${largestExcess} bytes beyond the file; memory grew by ${mebibytes} MiB at most.`,
  );
  expect(crashes).toEqual([]);
  expect(largestExcess).toBeLessThan(harmlessBytes);
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(cases);
});
