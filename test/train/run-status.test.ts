import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { AffectGptError, InputError, NumericError } from '../../src/errors.ts';
import {
  describeState,
  openRunStatus,
  type RunStatus,
  readRunStatus,
  withRunStatus,
} from '../../train/run-status.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const fresh = { step: 0, steps: 10, checkpoint: null, command: ['affectgpt', 'train'] };

const read = async (folder: string): Promise<RunStatus> => (await readRunStatus(folder))!;

/** Changes what a folder says. */
async function rewrite(folder: string, change: Partial<RunStatus>): Promise<RunStatus> {
  const status = { ...(await read(folder)), ...change };
  await writeFile(join(folder, 'status.json'), JSON.stringify(status));
  return status;
}

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid!;
}

describe('status.json', () => {
  it('is there from the start, and at every checkpoint and at the end', async () => {
    const folder = join(await temporaryFolder(), 'new', 'run');
    expect(await readRunStatus(folder)).toBeUndefined();
    const file = await openRunStatus(folder, fresh);
    const first = await read(folder);
    expect(first).toMatchObject({
      ...{ state: 'running', pid: process.pid, host: hostname(), step: 0, steps: 10, checkpoint: null },
      command: ['affectgpt', 'train'],
    });
    expect(first.version).toMatch(/^\d+\.\d+\.\d+/);
    await file.update({ step: 3, checkpoint: 'c/step-000003' });
    expect(await read(folder)).toMatchObject({ state: 'running', step: 3, checkpoint: 'c/step-000003' });
    await file.update({ step: 10 });
    await file.end({ state: 'done', exitCode: 0 });
    const last = await read(folder);
    expect(last).toMatchObject({ state: 'done', step: 10, exitCode: 0, startedAt: first.startedAt });
    expect(describeState(last)).toEqual({ state: 'done', text: 'done: 10 of 10 steps' });
  });

  it('is written at most every ten seconds between checkpoints, and while a step takes long', async () => {
    const folder = await temporaryFolder();
    const file = await openRunStatus(folder, fresh);
    await file.update({ step: 1 });
    expect((await read(folder)).step).toBe(0);
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_001);
    await file.update({ step: 2 });
    vi.restoreAllMocks();
    expect((await read(folder)).step).toBe(2);
    await file.end({ state: 'done', exitCode: 0 });
  });

  it('of a run that goes on keeps when it began; of one that begins anew it does not', async () => {
    const folder = await temporaryFolder();
    await (await openRunStatus(folder, fresh)).end({ state: 'interrupted', exitCode: 130 });
    await rewrite(folder, { startedAt: '2026-01-01T00:00:00.000Z' });
    const resumed = { ...fresh, step: 4, checkpoint: 'c/step-000004' };
    await (await openRunStatus(folder, resumed)).end({ state: 'done', exitCode: 0 });
    expect(await read(folder)).toMatchObject({ startedAt: '2026-01-01T00:00:00.000Z', step: 4 });
    await (await openRunStatus(folder, fresh)).end({ state: 'done', exitCode: 0 });
    expect((await read(folder)).startedAt).not.toBe('2026-01-01T00:00:00.000Z');
  });

  it.each([
    [new InputError('DISK_FULL', 'No room.'), { state: 'failed', exitCode: 2, error: { code: 'DISK_FULL' } }],
    [new NumericError('LOSS_NOT_FINITE', 'NaN.'), { state: 'failed', exitCode: 3 }],
    [new TypeError('x is undefined'), { state: 'failed', exitCode: 1, error: { code: 'UNEXPECTED' } }],
    [new AffectGptError('STOPPED', 'Stopped by SIGUSR2', 75), { state: 'interrupted', exitCode: 75 }],
  ])('tells how %s ended it', async (error, expected) => {
    const folder = await temporaryFolder();
    const work = withRunStatus(async (begin) => {
      await begin(folder, fresh);
      throw error;
    });
    await expect(work).rejects.toBe(error);
    expect(await read(folder)).toMatchObject(expected);
  });

  it('of an outcome says its exit code', async () => {
    const folder = await temporaryFolder();
    const outcome = { status: 'interrupted', exitCode: 143 } as const;
    const work = withRunStatus(async (begin) => {
      await begin(folder, fresh);
      return outcome;
    });
    expect(await work).toBe(outcome);
    expect(await read(folder)).toMatchObject({ state: 'interrupted', exitCode: 143 });
  });

  it('that is torn or something else is an error for a reader and makes way for a start', async () => {
    const folder = await temporaryFolder();
    for (const text of ['{"state":"runn', '{"state":"fine"}', '[]']) {
      await writeFile(join(folder, 'status.json'), text);
      await expect(readRunStatus(folder)).rejects.toMatchObject({ code: 'RUN_STATUS_INVALID' });
    }
    await (await openRunStatus(folder, fresh)).end({ state: 'done', exitCode: 0 });
    expect((await read(folder)).state).toBe('done');
  });
});

describe('a run that calls itself running', () => {
  let own: RunStatus;
  let later: number;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'affectgpt-status-'));
    const file = await openRunStatus(folder, fresh);
    own = await read(folder);
    await file.end({ state: 'done', exitCode: 0 });
    await rm(folder, { recursive: true });
    later = Date.parse(own.updatedAt) + 3_600_000;
  });

  it('is believed while its process is there, however long ago it wrote', () => {
    expect(describeState(own, later).state).toBe('running');
  });

  it('was killed where its process is gone', async () => {
    const { state, text } = describeState({ ...own, pid: await deadProcess(), step: 7 });
    expect(state).toBe('killed');
    expect(text).toMatch(/^killed after 7 of 10 steps or later: process \d+ is gone$/);
  });

  it.runIf(process.platform === 'linux')('was killed where another process has its id now', async () => {
    expect(own.processStart).toMatch(/^[0-9a-f-]{36}:\d+$/);
    // The parent of this process is there, and did not begin when this one did.
    expect(describeState({ ...own, pid: process.ppid }).state).toBe('killed');
    const stat = await readFile(`/proc/${process.ppid}/stat`, 'utf8');
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const boot = own.processStart!.split(':')[0];
    const parent = { ...own, pid: process.ppid, processStart: `${boot}:${start}` };
    expect(describeState(parent).state).toBe('running');
  });

  it('elsewhere is believed for five minutes', () => {
    const elsewhere = { ...own, host: 'another-machine' };
    const at = Date.parse(own.updatedAt);
    expect(describeState(elsewhere, at + 299_000).state).toBe('running');
    expect(describeState(elsewhere, later)).toEqual({
      state: 'stale',
      text: 'stale: 0 of 10 steps, not heard of on another-machine for 1h 00m',
    });
  });

  it.runIf(process.platform === 'linux')('keeps others of its machine out', async () => {
    const busy = await temporaryFolder();
    await (await openRunStatus(busy, fresh)).end({ state: 'done', exitCode: 0 });
    const stat = await readFile(`/proc/${process.ppid}/stat`, 'utf8');
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const boot = own.processStart!.split(':')[0];
    await rewrite(busy, { state: 'running', pid: process.ppid, processStart: `${boot}:${start}` });
    await expect(openRunStatus(busy, fresh)).rejects.toMatchObject({ code: 'RUN_IN_USE' });
    await rewrite(busy, { state: 'running', pid: await deadProcess() });
    await (await openRunStatus(busy, fresh)).end({ state: 'done', exitCode: 0 });
  });
});
