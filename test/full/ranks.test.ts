import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makeWorkspace, set, succeed } from '../e2e/workspace.ts';
import { mpirun, processOfRank, whyNoMpirun } from '../support/mpirun.ts';

const why = whyNoMpirun();
if (why !== undefined) console.warn(`Faults of trainings in several processes are not tested: ${why}`);

describe.skipIf(why !== undefined)('ranks under mpirun that are stopped, fail or are killed', async () => {
  const { config, path } = await makeWorkspace();
  const train = (settings: Readonly<Record<string, unknown>>): string[] => [
    ...['train', '--config', config],
    ...set({ 'train.checkpoint.every': 2, ...settings }),
  ];
  /** A training that does not end by itself, and what it says when it has done some steps. */
  const endless = async (output: string, whenUnderWay: (mpirunPid: number) => void) => {
    const running = mpirun([2, train({ output, 'train.steps': 100_000 })]);
    let said = '';
    let signalled: number | undefined;
    running.stderr.on('data', (text: Buffer) => {
      said += String(text);
      if (signalled !== undefined || !said.includes('step 3/')) return;
      signalled = performance.now();
      whenUnderWay(running.pid!);
    });
    const ended = await running;
    return { ...ended, seconds: (performance.now() - signalled!) / 1000 };
  };
  const latest = async (output: string): Promise<number> =>
    Number(/\d+/.exec(await readFile(path(output, 'checkpoints', 'latest'), 'utf8'))![0]);

  it('ends within seconds, by its name, when a rank is killed; its checkpoints are whole', async () => {
    const output = path('killed');
    const { exitCode, stderr, seconds } = await endless(output, (pid) =>
      process.kill(processOfRank(pid, 1), 'SIGKILL'),
    );
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/rank 1 .*signal 9 \(Killed\)/);
    expect(seconds).toBeLessThan(30);
    const step = await latest('killed');
    const on = await succeed(...train({ output, 'train.steps': step + 1 }));
    expect(on.err).toContain(`${step} of ${step + 1} steps done`);
  });

  it('stops after the same step, saved, for a signal to one rank', async () => {
    const { exitCode, stderr, stdout } = await endless(path('stopped'), (pid) =>
      process.kill(processOfRank(pid, 1), 'SIGUSR2'),
    );
    expect(stderr.match(/error\[/g)).toHaveLength(1);
    const [, step] = /error\[STOPPED\]: Stopped by SIGUSR2 after step (\d+), saved in/.exec(stderr)!;
    expect(await latest('stopped')).toBe(Number(step));
    expect({ exitCode, stdout }).toEqual({ exitCode: 75, stdout: '' });
  });

  it('ends when one rank fails, which says its name', async () => {
    const good = train({ output: path('failed'), 'train.steps': 4 });
    const { exitCode, stderr } = await mpirun([1, good], [1, [...good, ...set({ 'model.llm': '/nowhere' })]]);
    expect(stderr).toMatch(/^rank 1 on .*: error\[MODEL_NOT_FOUND\]: [\s\S]*\/nowhere/m);
    expect(stderr.match(/error\[/g)).toHaveLength(1);
    expect(exitCode).toBe(2);
  });

  it('refuses ranks that were told different things', async () => {
    const first = train({ output: path('apart'), 'train.steps': 4 });
    const { exitCode, stderr } = await mpirun([1, first], [1, [...first, ...set({ 'lora.alpha': 16 })]]);
    expect(stderr).toMatch(/^error\[RANKS_DIFFER\]: .*the settings of rank 1 on /m);
    expect(exitCode).toBe(2);
  });
});
