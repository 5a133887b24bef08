import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatRuns, listRuns } from '../../src/runs/list-runs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { fill, metrics, status, validation } from './run-folder.ts';

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid!;
}

describe('the list of runs', () => {
  it('tells of each run how it stands', async () => {
    const folder = await fill(await temporaryFolder(), {
      'done/status.json': status(),
      'done/metrics.jsonl': metrics(40),
      'done/validation.jsonl': [validation(20, 2.5, 'a'), validation(40, 2.7, 'b')],
      'group/killed/status.json': status({ state: 'running', pid: await deadProcess(), step: 7 }),
      'group/killed/metrics.jsonl': metrics(9),
      'group/live/status.json': status({ state: 'running', pid: process.pid, step: 3 }),
      'group/failed/status.json': status({
        ...{ state: 'failed', step: 5, exitCode: 3 },
        error: { code: 'LOSS_NOT_FINITE', message: 'NaN' },
      }),
      'old/metrics.jsonl': metrics(2),
      'old/config.yaml': 'train: {steps: 50}\n',
      'notes/readme.txt': 'no run',
    });
    const runs = await listRuns(folder);
    expect(runs.map(({ name, state, step, steps }) => [name, state, step, steps])).toEqual([
      ['done', 'done', 40, 40],
      ['group/failed', 'failed', 5, 40],
      ['group/killed', 'killed', 9, 40],
      ['group/live', 'running', 3, 40],
      ['old', 'unknown', 2, 50],
    ]);
    expect(runs[0]).toMatchObject({
      ...{ loss: metrics(40).at(-1)!.loss, seconds: 80, startedAt: '2026-03-01T10:00:00.000Z' },
      bestValidation: { step: 20, metric: 'loss', value: 2.5 },
    });
    expect(runs[0]!.bytes).toBeGreaterThan(1000);
    const text = formatRuns(runs, folder);
    expect(text).toMatch(/^name +state +steps/);
    expect(text).toMatch(/^done +done +40\/40 +2\.0250 +loss 2\.5000 @ 20 +2026-03-01 10:00 +1m 20s/m);
    expect(text).toMatch(/^group\/failed: failed after 5 of 40 steps: LOSS_NOT_FINITE \(exit code 3\)$/m);
    expect(text).toMatch(/^group\/killed: killed after 7 of 40 steps or later: process \d+ is gone$/m);
  });

  it('names what cannot be read and goes on', async () => {
    const folder = await fill(await temporaryFolder(), {
      'a/status.json': 'not json',
      'b/status.json': status(),
      'b/metrics.jsonl': 'torn',
    });
    await symlink('itself', join(folder, 'itself'));
    await symlink(folder, join(folder, 'round'));
    const runs = await listRuns(folder);
    expect(runs.map(({ name, state }) => [name, state])).toEqual([
      ['a', 'unreadable'],
      ['b', 'done'],
    ]);
    const text = formatRuns(runs, folder);
    expect(text).toMatch(/^a: .*status\.json is not the status of a run/m);
    expect(text).toMatch(/^b: .*metrics\.jsonl, row 1/m);
  });

  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'says of a folder that may not be looked into why',
    async () => {
      const folder = await fill(await temporaryFolder(), { 'b/status.json': status(), 'c/x': '' });
      await chmod(join(folder, 'c'), 0o000);
      const runs = await listRuns(folder);
      await chmod(join(folder, 'c'), 0o700);
      expect(runs.map(({ name, state }) => [name, state])).toEqual([
        ['b', 'done'],
        ['c', 'unreadable'],
      ]);
      expect(runs[1]!.text).toContain('does not permit');
    },
  );

  it('takes a run itself, and says where there is none', async () => {
    const folder = await fill(await temporaryFolder(), { 'metrics.jsonl': metrics(1) });
    expect((await listRuns(folder)).map(({ name }) => name)).toEqual(['.']);
    const empty = await temporaryFolder();
    expect(formatRuns(await listRuns(empty), empty)).toBe(`There is no run at or below ${empty}.\n`);
    await expect(listRuns(join(empty, 'x'))).rejects.toMatchObject({ code: 'RUNS_FOLDER_NOT_FOUND' });
    await expect(listRuns(join(folder, 'metrics.jsonl'))).rejects.toMatchObject({ code: 'NOT_A_FOLDER' });
  });

  it('draws no control characters of names', async () => {
    const folder = await fill(await temporaryFolder(), { 'a\u001b[2Jb/status.json': status() });
    expect(formatRuns(await listRuns(folder), folder)).toContain('a?[2Jb');
  });
});
