import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { goldenDifferences } from './compare.ts';
import { readGolden, writeGolden } from './files.ts';
import { goldenConfig, goldenName, goldenRuns, trainGolden, writeGoldenMaterial } from './runs.ts';

// npm run golden                      compares the first steps of shipped configurations with the stored ones
// npm run golden -- --update          stores what differs, and prints it: old → new
// npm run golden -- prefusion-attn    only runs whose name begins so

const given = process.argv.slice(2);
const isUpdate = given.includes('--update');
const wanted = given.filter((argument) => argument !== '--update');
const unknown = wanted.filter((name) => !goldenRuns.some((run) => goldenName(run).startsWith(name)));
if (unknown.length > 0) {
  const names = goldenRuns.map(goldenName).join(', ');
  process.stderr.write(`There is no golden run "${unknown.join('", "')}". There are: ${names}.\n`);
  process.exit(2);
}
const runs = goldenRuns.filter(
  (run) => wanted.length === 0 || wanted.some((name) => goldenName(run).startsWith(name)),
);

const folder = await mkdtemp(join(tmpdir(), 'affectgpt-golden-'));
let changed = 0;
try {
  const material = await writeGoldenMaterial(folder);
  for (const run of runs) {
    const now = await trainGolden(goldenConfig(material, run), run);
    const differences = goldenDifferences(await readGolden(run), now);
    const name = goldenName(run);
    if (differences.length === 0) {
      process.stdout.write(`${name}: as stored, ${run.steps} steps\n`);
      continue;
    }
    changed++;
    process.stdout.write(`${name}: ${isUpdate ? 'stored anew' : 'differs'}\n`);
    for (const line of differences) process.stdout.write(`  ${line}\n`);
    if (isUpdate) await writeGolden(run, now);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (changed > 0 && !isUpdate) {
  process.stdout.write('If that is meant: npm run golden -- --update\n');
  process.exitCode = 1;
}
