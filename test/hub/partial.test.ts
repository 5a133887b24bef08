import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { claimPartial, type Partial, partialBytes, releasePartial } from '../../src/hub/partial.ts';

let folder: string;
let blob: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'affectgpt-partial-'));
  blob = join(folder, 'ab12');
});
afterEach(() => rm(folder, { recursive: true }));

const claimed = (partial: Partial | 'busy'): Partial => {
  if (partial === 'busy') throw new Error('busy');
  return partial;
};

it('an unfinished file has one owner at a time, however many want it', async () => {
  for (let round = 0; round < 20; round++) {
    const claims = await Promise.all(Array.from({ length: 4 }, () => claimPartial(blob)));
    const owned = claims.filter((claim) => claim !== 'busy');
    expect(owned.length).toBeLessThanOrEqual(1);
    for (const partial of owned) {
      // Empty ones are removed, others are there for the next round.
      if (round % 2 === 0) await writeFile(partial.file, 'some');
      await releasePartial(blob, partial);
    }
  }
});

it('goes on with the largest that nobody writes to, and leaves the Python client its own', async () => {
  await writeFile(`${blob}.affectgpt.incomplete`, 'abc');
  await writeFile(`${blob}.affectgpt-4194999-00000000-00000000.incomplete`, 'on another host');
  await writeFile(`${blob}.incomplete`, 'of the Python client');
  await writeFile(join(folder, 'cd34.affectgpt.incomplete'), 'of another file, and longer');
  expect(await claimPartial(blob)).toBe('busy');
  // It has not written for long.
  const past = new Date(Date.now() - 3_600_000);
  await utimes(`${blob}.affectgpt-4194999-00000000-00000000.incomplete`, past, past);
  expect(await partialBytes(blob)).toBe(15);
  const partial = claimed(await claimPartial(blob));
  expect(partial.bytes).toBe(15);
  expect(await claimPartial(blob)).toBe('busy');
  await releasePartial(blob, partial);
  expect((await readdir(folder)).sort()).toEqual([
    'ab12.affectgpt.incomplete',
    'ab12.incomplete',
    'cd34.affectgpt.incomplete',
  ]);
  expect(claimed(await claimPartial(blob)).bytes).toBe(15);
});
