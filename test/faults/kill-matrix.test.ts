import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences, gatherEvidence } from './comparison.ts';
import { buildProgram, type Program, writeSteadyWorkspace } from './lives.ts';
import { Matrix, matrixSteps, type Reference } from './matrix.ts';
import { type Plan, type Point, planPoints } from './points.ts';
import { checkPowerCuts } from './power-cut-run.ts';

/** Many processes one after another, on machines that may be busy. */
const timeout = 600_000;

/** The first point of each of these stands for its kind; `npm run test:faults` runs all. */
const chosen: readonly ((point: Point) => boolean)[] = [
  ({ title }) => /^half-way through write run\/checkpoints\/.*\/optimizer/.test(title),
  ({ title }) => /^half-way through write run\/metrics/.test(title),
  ({ title }) => /rename run\/checkpoints\/latest/.test(title),
  ({ title }) => /^half-way through remove run\/checkpoints/.test(title),
  ({ title }) => /^half-way through write features/.test(title),
  ({ group, title }) => group === 'step' && !title.endsWith(' 1'),
  ({ group }) => group === 'accumulation',
  ({ group, title }) => group === 'cleaning' && title.includes('write run/metrics.jsonl.partial'),
  ({ group }) => group === 'twice',
];

let folder: string;
let program: Program;
let matrix: Matrix;
let reference: Reference;
let plan: Plan;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'affectgpt-faults-'));
  program = await buildProgram();
  const { config } = await writeSteadyWorkspace(join(folder, 'workspace'));
  matrix = new Matrix({ program, config, folder });
  reference = await matrix.reference();
  plan = planPoints({
    seed: 1,
    steps: matrixSteps,
    reference: { ...reference.life, folder: reference.place.home },
    resumed: reference.resumed,
  });
}, timeout);

afterAll(async () => {
  await program?.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('a training that is killed', { timeout }, () => {
  it('goes on as if it had not been, wherever that was', async () => {
    const points = chosen.map((matches) => plan.points.find(matches));
    expect(points).not.toContain(undefined);
    const results = await Promise.all(points.map((point) => matrix.run(point!, reference)));
    const failed = results.filter((result) => result.differences.length > 0);
    expect(failed.map(({ point, differences }) => [point.title, ...differences])).toEqual([]);
    for (const { killed } of results) expect(killed).toMatch(/^SIGKILL/);
  });

  it('can be killed at every kind of write boundary, by number', () => {
    expect(plan.points.length).toBeGreaterThanOrEqual(60);
    expect(plan.points.filter(({ group }) => group === 'write')).toHaveLength(plan.kinds);
    expect(plan.points.filter(({ group }) => group === 'twice').length).toBeGreaterThanOrEqual(5);
    expect(plan.points.map(({ number }) => number)).toEqual(plan.points.map((_, i) => i + 1));
    const titles = plan.points.map(({ title }) => title).join('\n');
    for (const file of ['metrics.jsonl', 'events', 'log.txt', 'config.yaml', 'samples.json', 'latest'])
      expect(titles).toContain(file);
    for (const file of ['adapter_model', 'adapter_config', 'affectgpt', 'optimizer', 'state', 'checksums'])
      expect(titles).toMatch(new RegExp(`half-way through write run/checkpoints/.*/${file}\\.`));
  });
});

describe('a training whose power is cut', { timeout }, () => {
  it('goes on from what it said was saved, at every moment', async () => {
    const { life, place } = reference;
    const cuts = await checkPowerCuts(life.operations, place, join(folder, 'cuts'));
    expect(cuts.faults).toEqual([]);
    expect(cuts.disks).toBeGreaterThan(300);
    expect(cuts.said).toBe(matrixSteps);
  });

  it('would be lost where nothing forced its checkpoints to the disk', async () => {
    const { life, place } = reference;
    const second = life.operations.findIndex(({ path }) => path.includes('step-000006'));
    const unforced = life.operations
      .slice(0, second)
      .filter(({ kind, path }) => kind !== 'sync' || !path.includes('checkpoints'));
    const { faults } = await checkPowerCuts(unforced, place, join(folder, 'cuts'));
    const text = faults.join('\n');
    expect(text).toMatch(/step 3 was said to be saved, and 0 is what the run goes on from/);
    expect(text).toMatch(/step-000003 is visible and not whole/);
    expect(text).toMatch(/cannot go on: CHECKPOINT_LATEST_INVALID/);
  });
});

describe('the comparison', () => {
  it('sees what differs and what was left behind', async () => {
    const { runFolder } = reference.place;
    await writeFile(join(runFolder, 'checkpoints', 'latest'), 'step-000009\n');
    await writeFile(join(runFolder, '.config.yaml.7-0123456789ab.partial'), '');
    const found = differences(reference.evidence, await gatherEvidence(reference.place));
    expect(found).toHaveLength(2);
    expect(found.join()).toMatch(/latest: .*unfinished files: /s);
  });
});
