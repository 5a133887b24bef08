import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa, execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAttempts } from '../../src/sweep/attempts.ts';
import { readMetrics, writeWorkspace } from '../support/workspace.ts';

const clusterScript = fileURLToPath(new URL('../support/slurm-cluster.sh', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'affectgpt-slurm-'));
const succeeds = (command: string, ...args: string[]) =>
  execaSync(command, args, { reject: false, timeout: 20_000 }).exitCode === 0;

/** The Slurm on the PATH where it answers, or one that is started here; else why there is none. */
function openSlurm(): { env: Record<string, string>; own: boolean } | { missing: string } {
  // Where there is no configuration it fails, but it is there.
  const { code } = execaSync('sbatch', ['--version'], { reject: false, timeout: 20_000 });
  if (code === 'ENOENT') return { missing: 'there is no sbatch on the PATH' };
  if (succeeds('scontrol', 'ping')) return { env: {}, own: false };
  const { exitCode, stdout, stderr } = execaSync('bash', [clusterScript, 'start', join(folder, 'cluster')], {
    ...{ reject: false, timeout: 120_000 },
  });
  return exitCode === 0
    ? { env: { SLURM_CONF: stdout.trim() }, own: true }
    : { missing: `no Slurm answers, and none could be started: ${stderr.trim().split('\n').at(-1)}` };
}

const slurm = openSlurm();
if ('missing' in slurm) {
  console.warn(`Skipped, a sweep on Slurm: ${slurm.missing}.`);
  await rm(folder, { recursive: true, force: true });
}
afterAll(async () => {
  if ('own' in slurm && slurm.own) await execa('bash', [clusterScript, 'stop', join(folder, 'cluster')]);
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf('missing' in slurm)('a sweep on Slurm', () => {
  const env = 'env' in slurm ? slurm.env : {};
  const path = (...names: string[]) => join(folder, ...names);
  beforeAll(() => writeWorkspace(folder));
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const affectgpt = (...args: string[]) =>
    execa(process.execPath, ['--import', 'tsx', main, 'sweep', ...args], { env, reject: false });
  const tool = async (command: string, ...args: string[]) => (await execa(command, args, { env })).stdout;

  async function writeSweep(name: string, grid: string, steps: number) {
    const output = path(name);
    const set = `train.steps: ${steps}, train.checkpoint.every: 5, data.featureCache: ${path('features')}`;
    await writeFile(path(`${name}.yaml`), `base: config.yaml\nset: { ${set} }\noutput: ${output}\n${grid}\n`);
    return { output, args: ['--config', path(`${name}.yaml`), '--backend', 'slurm'] };
  }
  const attempts = async (output: string, id: string) =>
    (await readAttempts(join(output, 'points', id))).map(({ end }) => end?.state ?? 'none');
  const until = async (what: string, holds: () => Promise<boolean>) => {
    for (let i = 0; i < 600; i++) {
      if (await holds()) return;
      await setTimeout(500);
    }
    throw new Error(`${what}: not within five minutes`);
  };
  const jobOf = (stderr: string) => {
    const job = /as job (\d+)/.exec(stderr)?.[1];
    if (job === undefined) throw new Error(`no job was submitted: ${stderr}`);
    return job;
  };

  it('runs every point once, refuses to queue them twice, and is continued where it stopped', async () => {
    const grid = 'grid: { lora.rank: [2, 4] }\nseeds: [1, 2]';
    const { output, args } = await writeSweep('array', grid, 6);
    const ids = [2, 4].flatMap((rank) => [1, 2].map((seed) => `lora.rank=${rank},seed=${seed}`));
    const dry = await affectgpt(...args, '--dry-run');
    expect(dry.stdout).toContain('#SBATCH --array=0-3\n');
    const one = await affectgpt(...args, '--parallel', '2', '--slurm-option', 'time=00:20:00');
    expect(one.stderr).toMatch(/4 pending\.\nSubmitted 4 points as job \d+/);
    const job = jobOf(one.stderr);
    // One that still waits is taken away; the others are in the queue, or at work.
    await tool('scancel', `${job}_3`);
    const two = await affectgpt(...args);
    expect(two.stderr).toMatch(/Submitted 1 point as job \d+|Nothing is left to submit/);
    await until('all points', async () => {
      const states = await Promise.all(ids.slice(0, 3).map((id) => attempts(output, id)));
      return states.every((of) => of.at(-1) === 'done');
    });
    await affectgpt(...args);
    await until('the last point', async () => (await attempts(output, ids[3]!)).at(-1) === 'done');
    const states = await Promise.all(ids.slice(0, 3).map((id) => attempts(output, id)));
    expect(states).toEqual([['done'], ['done'], ['done']]);
    await until('accounting', async () =>
      (await tool('sacct', '-X', '-P', '-n', '-j', job, '--format=JobID,State')).includes(
        `${job}_2|COMPLETED`,
      ),
    );
    const status = await affectgpt(...args, '--status');
    expect(status.stdout).toMatch(new RegExp(`\\| ${ids[0]} \\| done +\\| ${job}_0 +\\| COMPLETED +\\| 0:0`));
    expect(status.stdout).toContain('4 done');
    expect((await affectgpt(...args)).stderr).toContain('Nothing is left to submit.');
    const results = await affectgpt('--config', path('array.yaml'), '--results-only');
    expect(results.stdout.match(/\| +2 of 2/g)).toHaveLength(2);
  });

  it('saves before the time limit, is queued again, and goes on from what was saved', async () => {
    const { output, args } = await writeSweep('requeued', 'seeds: [1]', 400);
    const id = 'seed=1';
    const job = jobOf((await affectgpt(...args)).stderr);
    const point = join(output, 'points', id);
    const logged = async () => (await readMetrics(point).catch(() => [])).length;
    await until('some steps', async () => (await logged()) > 7);
    await tool('scancel', '--batch', '--signal=USR2', `${job}_0`);
    await until('the end of the first attempt', async () => (await attempts(output, id))[0] === 'stopped');
    const [first] = await readAttempts(point);
    expect(first!.end).toMatchObject({ exitCode: 75 });
    const before = await logged();
    expect(before).toBeLessThan(400);
    // Slurm waits two minutes before it starts such a task anew.
    await until('the second attempt', async () => (await attempts(output, id)).length === 2);
    await until('the end', async () => (await attempts(output, id)).at(-1) === 'done');
    expect(await attempts(output, id)).toEqual(['stopped', 'done']);
    expect(await logged()).toBe(400);
    expect(await readFile(join(output, 'slurm/0001/task-0.txt'), 'utf8')).toContain('Queued again');
  });

  it('is told why where Slurm refuses it', async () => {
    const { args } = await writeSweep('refused', 'seeds: [1]', 1);
    const { exitCode, stderr } = await affectgpt(...args, '--slurm-option', 'partition=nonsense');
    expect(stderr).toMatch(/error\[SLURM_REFUSED\]: .*invalid partition specified: nonsense/);
    expect(exitCode).toBe(2);
  });
});
