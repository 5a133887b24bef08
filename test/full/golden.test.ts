import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { goldenDifferences } from '../golden/compare.ts';
import { readGolden } from '../golden/files.ts';
import { goldenConfig, goldenName, goldenRuns, trainGolden, writeGoldenMaterial } from '../golden/runs.ts';

it('the first steps of every shipped configuration among the golden ones are as stored, on every engine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'affectgpt-golden-'));
  try {
    const material = await writeGoldenMaterial(folder);
    for (const run of goldenRuns) {
      const now = await trainGolden(goldenConfig(material, run), run);
      expect(goldenDifferences(await readGolden(run), now), goldenName(run)).toEqual([]);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
