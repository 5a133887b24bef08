import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { claimAttempt, readAttempts } from '../../src/sweep/attempts.ts';
import { pointState } from '../../src/sweep/point-state.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
const point = (name: string) => join(folder, name);
const claimPath = (name: string, number = 1) =>
  join(point(name), 'attempts', String(number).padStart(4, '0'), 'claim.json');

/** Changes the claim of an attempt, as if somebody else had made it. */
async function forge(name: string, change: object): Promise<void> {
  const claim = JSON.parse(await readFile(claimPath(name), 'utf8')) as object;
  await writeFile(claimPath(name), JSON.stringify({ ...claim, ...change }));
}

/** The id of a process that is gone. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid!;
}

describe('a claim', () => {
  it('is had by one of many that try at the same time', async () => {
    const tries = Array.from({ length: 20 }, () => claimAttempt(point('race'), 0, null));
    const held = (await Promise.all(tries)).filter((claim) => claim !== undefined);
    expect(held).toHaveLength(1);
    expect(await readAttempts(point('race'))).toHaveLength(1);
    expect((await pointState({ folder: point('race') })).state).toBe('running');
    await held[0]!.end({ state: 'done', exitCode: 0, seconds: 2 });
    const state = await pointState({ folder: point('race') });
    expect(state).toMatchObject({ state: 'done', attempts: [{ number: 1, end: { seconds: 2 } }] });
    expect(state.attempts[0]!.end!.peakMemoryBytes).toBeGreaterThan(1e6);
  });

  it('is not had by one who saw an older last attempt', async () => {
    const first = await claimAttempt(point('slow'), 0, 2);
    await first!.end({ state: 'stopped', exitCode: 143, seconds: 1 });
    const second = await claimAttempt(point('slow'), 1, 2);
    expect(second).toBeDefined();
    // Saw that the first had ended, but came later than the second.
    expect(await claimAttempt(point('slow'), 1, 2)).toBeUndefined();
    expect(await claimAttempt(point('slow'), 0, 2)).toBeUndefined();
    expect((await pointState({ folder: point('slow') })).state).toBe('running');
    await second!.end({
      state: 'failed',
      exitCode: 2,
      seconds: 1,
      error: { code: 'A_FAULT', message: 'why' },
    });
    expect(await pointState({ folder: point('slow') })).toMatchObject({
      state: 'failed',
      error: { code: 'A_FAULT', message: 'why' },
      attempts: [{ claim: { threads: 2 } }, {}],
    });
  });

  it('of a process that is gone is taken over, once', async () => {
    await claimAttempt(point('dead'), 0, null);
    await forge('dead', { pid: await deadPid() });
    expect((await pointState({ folder: point('dead') })).state).toBe('killed');
    const claims = await Promise.all([1, 2, 3].map(() => claimAttempt(point('dead'), 1, null)));
    expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
    expect((await pointState({ folder: point('dead') })).state).toBe('running');
  });

  it.runIf(process.platform === 'linux')('of an earlier process with the same id is taken over', async () => {
    await claimAttempt(point('reused'), 0, null);
    await forge('reused', { processStart: 'another boot:1' });
    expect((await pointState({ folder: point('reused') })).state).toBe('killed');
  });

  it('of another machine holds as long as that gives signs of life', async () => {
    await claimAttempt(point('far'), 0, null);
    await forge('far', { host: 'elsewhere', pid: await deadPid() });
    expect((await pointState({ folder: point('far') })).state).toBe('running');
    const longAgo = new Date(Date.now() - 10 * 60_000);
    await utimes(claimPath('far'), longAgo, longAgo);
    expect((await pointState({ folder: point('far') })).state).toBe('killed');
  });

  it('that is damaged is nobody’s', async () => {
    await claimAttempt(point('torn'), 0, null);
    await writeFile(claimPath('torn'), '{"pid":');
    expect((await pointState({ folder: point('torn') })).state).toBe('killed');
    expect(await claimAttempt(point('torn'), 1, null)).toBeDefined();
  });
});

describe('a point that was never tried', () => {
  it('is pending', async () => {
    expect(await pointState({ folder: point('new') })).toEqual({
      state: 'pending',
      attempts: [],
      step: null,
    });
  });
});
