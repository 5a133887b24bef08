import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AffectGptError, InputError, NumericError } from '../../src/errors.ts';
import { loadSweep } from '../../src/sweep/load.ts';
import { pointState } from '../../src/sweep/point-state.ts';
import { threadsOf } from '../../src/sweep/run.ts';
import { runPoint } from '../../src/sweep/run-point.ts';
import { prepareSweep } from '../../src/sweep/snapshot.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
await writeFile(join(folder, 'base.yaml'), 'data: { manifest: clips.jsonl }\noutput: run\n');
await writeFile(
  join(folder, 'sweep.yaml'),
  `base: base.yaml
grid: { lora.rank: [1, 2, 3, 4] }
after:
  - eval  something {run}/scores
output: ${join(folder, 'out')}
`,
);
const sweep = loadSweep({ config: 'sweep.yaml', folder });
await prepareSweep(sweep);

/** Works on a point with commands that only say what was asked, or fail. */
async function work(
  point: number,
  threads: number | null,
  fail?: (argv: readonly string[]) => Error | undefined,
) {
  const { folder: at } = sweep.points[point]!;
  const commands: (readonly string[])[] = [];
  const said: string[] = [];
  const outcome = await runPoint(at, {
    command: async (argv) => {
      commands.push(argv);
      const error = fail?.(argv);
      if (error !== undefined) throw error;
    },
    threads,
    notify: (message) => void said.push(message),
  }).catch((error: unknown) => error);
  return { outcome, commands, said, at, state: await pointState({ folder: at }) };
}

describe('work on a point', () => {
  it('trains, runs what follows, and is not repeated', async () => {
    const { outcome, commands, at, state } = await work(0, null);
    expect(outcome).toBe('worked');
    expect(commands).toEqual([
      ['train', '--config', join(at, 'point.yaml'), '--resume', 'auto'],
      ['eval', 'something', join(at, 'scores')],
    ]);
    expect(state).toMatchObject({ state: 'done', attempts: [{ end: { exitCode: 0 } }] });
    const again = await work(0, null);
    expect(again).toMatchObject({ outcome: 'done', commands: [] });
    expect(again.said.join()).toContain('is done; nothing is repeated');
  });

  it('goes on with the threads that it began with', async () => {
    const stopped = await work(1, 2, () => new AffectGptError('STOPPED', 'Stopped by SIGTERM', 143));
    expect(stopped.outcome).toMatchObject({ code: 'STOPPED' });
    expect(stopped.state).toMatchObject({ state: 'stopped', attempts: [{ end: { exitCode: 143 } }] });
    const { commands, said } = await work(1, 8);
    expect(commands[0]!.slice(-2)).toEqual(['--set', 'engine.threads=2']);
    expect(said.join()).toContain('goes on with 2 threads');
  });

  it('says why it failed, and goes on from there when it is run again', async () => {
    const failed = await work(2, null, () => new NumericError('LOSS_NOT_FINITE', 'NaN in step 3'));
    expect(failed.state).toMatchObject({
      state: 'failed',
      error: { code: 'LOSS_NOT_FINITE', message: 'NaN in step 3' },
      attempts: [{ end: { exitCode: 3 } }],
    });
    // Killed after the last step, before it could say so: nothing remains to be trained.
    const complete = await work(2, null, ([command]) =>
      command === 'train' ? new InputError('RUN_COMPLETE', 'Nothing remains') : undefined,
    );
    expect(complete).toMatchObject({ outcome: 'worked', state: { state: 'done' } });
    expect(complete.commands.map(([command]) => command)).toEqual(['train', 'eval']);
  });

  it('is left to whoever is at it', async () => {
    let inner: Awaited<ReturnType<typeof work>> | undefined;
    const { folder: at } = sweep.points[3]!;
    await runPoint(at, {
      command: async () => {
        inner ??= await work(3, null);
      },
      threads: null,
      notify: () => undefined,
    });
    expect(inner).toMatchObject({ outcome: 'running', commands: [], state: { state: 'running' } });
    expect(inner!.said.join()).toContain(`is being worked on by process ${process.pid}`);
  });
});

describe('cores', () => {
  it('are divided among points; one alone leaves them to the engine', () => {
    expect([threadsOf(16, 1), threadsOf(16, 3), threadsOf(2, 2), threadsOf(2, 5)]).toEqual([null, 5, 1, 1]);
  });
});
