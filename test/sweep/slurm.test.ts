import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { claimAttempt } from '../../src/sweep/attempts.ts';
import { parseBackendOptions } from '../../src/sweep/backends/due.ts';
import { slurmDryRun, slurmStatus, submitToSlurm } from '../../src/sweep/backends/slurm.ts';
import { checkSlurmOptions, shellWord, slurmScript } from '../../src/sweep/backends/slurm-script.ts';
import {
  isActive,
  parseSacct,
  parseSqueue,
  type RunTool,
  readTasks,
} from '../../src/sweep/backends/slurm-tasks.ts';
import { loadSweep } from '../../src/sweep/load.ts';
import { prepareSweep } from '../../src/sweep/snapshot.ts';
import { run } from '../e2e/workspace.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

/** What Slurm 22.05 printed about a job of seven tasks, two at a time. */
const recorded = (name: string) => readFile(join('test/fixtures/slurm', name), 'utf8');

await writeFile(join(folder, 'base.yaml'), 'data: { manifest: clips.jsonl }\noutput: run\n');

/** A sweep of seven points. */
async function sweepOf(name: string) {
  const output = join(folder, name);
  await writeFile(
    join(folder, `${name}.yaml`),
    `base: base.yaml\ngrid: { lora.rank: [1, 2, 3, 4, 5, 6, 7] }\noutput: ${output}\n`,
  );
  return loadSweep({ config: `${name}.yaml`, folder });
}

/** Answers as Slurm did, and notes what was asked. */
function slurm(answers: Readonly<Record<string, string | { exitCode: number; stderr: string }>>) {
  const asked: string[][] = [];
  const run: RunTool = (command, args) => {
    asked.push([command, ...args]);
    const answer = answers[command];
    if (answer === undefined) return Promise.resolve({ exitCode: undefined, stdout: '', stderr: '' });
    return Promise.resolve(
      typeof answer === 'string' ? { exitCode: 0, stdout: answer, stderr: '' } : { stdout: '', ...answer },
    );
  };
  return { run, asked };
}

const said: string[] = [];
const common = {
  ...{ only: [], rerunFailed: false, parallel: undefined, program: ['affectgpt'] as const },
  notify: (message: string) => void said.push(message),
};
const none = parseBackendOptions('--slurm-option', []);

describe('what Slurm prints', () => {
  it('is read task by task, those that wait together included', async () => {
    const tasks = parseSacct(await recorded('sacct-running.txt'));
    expect(tasks.map(({ index, state, exit }) => [index, state, exit])).toEqual([
      ...[0, 1, 2].map((i) => [i, i === 0 ? 'COMPLETED' : 'FAILED', ['0:0', '2:0', '0:9'][i]]),
      ...[3, 4].map((i) => [i, 'RUNNING', '0:0']),
      ...[5, 6].map((i) => [i, 'PENDING', '0:0']),
    ]);
    expect(tasks.filter(isActive).map(({ index }) => index)).toEqual([3, 4, 5, 6]);
    const cancelled = parseSacct(await recorded('sacct-cancelled.txt'));
    expect(cancelled.at(-1)).toMatchObject({ job: '8', index: 3, state: 'CANCELLED', node: undefined });
    expect(cancelled.filter(isActive)).toEqual([]);
    expect(parseSqueue(await recorded('squeue-running.txt')).map(({ index }) => index)).toEqual([5, 4, 3]);
    expect(parseSqueue(await recorded('squeue-empty.txt'))).toEqual([]);
    expect(parseSacct('9_[0,2-3%1]|PENDING|0:0|').map(({ index }) => index)).toEqual([0, 2, 3]);
  });

  it('is completed by squeue where accounting lags behind or is off', async () => {
    const lagging = slurm({ sacct: '', squeue: await recorded('squeue-requeued.txt') });
    expect((await readTasks(['8'], lagging.run)).tasks).toMatchObject([{ index: 3, state: 'PENDING' }]);
    const stderr = await recorded('sacct-disabled.txt');
    const off = slurm({ sacct: { exitCode: 1, stderr }, squeue: await recorded('squeue-running.txt') });
    const view = await readTasks(['8'], off.run);
    expect(view.withoutAccounting).toBe('sacct ended with exit code 1: Slurm accounting storage is disabled');
    expect(view.tasks).toHaveLength(3);
    await expect(readTasks(['8'], slurm({}).run)).rejects.toMatchObject({
      code: 'SLURM_UNAVAILABLE',
      exitCode: 4,
    });
  });
});

describe('the script of a job array', () => {
  const script = (more: string[], parallel?: number) =>
    slurmScript({
      ...{ output: 'runs/my sweep', folder: '/data/sweep/slurm/0001', workingFolder: '/data', points: 3 },
      ...{ parallel, program: ['/opt/node', "/o'p/main.js"] },
      options: parseBackendOptions('--slurm-option', more),
    });

  it('has the options of the sweep and those that were given', () => {
    const text = script(['partition=gpu', 'time=12:00:00', 'comment=two words', 'exclusive'], 2);
    for (const line of [
      ...[
        '--job-name=affectgpt-my-sweep',
        '--array=0-2%2',
        '--requeue',
        '--signal=B:USR2@120',
        '--partition=gpu',
      ],
      ...[
        '--time=12:00:00',
        '--comment="two words"',
        '--exclusive',
        '--output=/data/sweep/slurm/0001/task-%a.txt',
      ],
    ]) {
      expect(text).toContain(`\n#SBATCH ${line}\n`);
    }
    expect(text).toContain(`'/opt/node' '/o'\\''p/main.js' sweep --point "$point" --wait --threads`);
    expect(script([])).toContain('\n#SBATCH --array=0-2\n');
    expect(script(['signal=B:USR2@300'])).toContain('\n#SBATCH --signal=B:USR2@300\n');
  });

  it.each([
    [['array=0-9'], /array is set by the sweep itself/],
    [['signal=TERM@60'], /expected B:USR2@SECONDS/],
    [['=x', 'mem=1', 'mem=2'], /"=x" is not name=value; mem is given twice/],
    [['comment=a\n#SBATCH --wrap=x'], /line break/],
  ])('refuses %j', (given, message) => {
    const check = () => checkSlurmOptions(parseBackendOptions('--slurm-option', given));
    expect(check).toThrow(message);
    expect(check).toThrow(expect.objectContaining({ code: 'SWEEP_BACKEND_OPTION', exitCode: 2 }));
  });

  it('works on the point of its task, passes signals on, and is queued again where it was saved', async () => {
    const submission = await mkdtemp(join(folder, 'submission-'));
    await writeFile(join(submission, 'points.txt'), 'runs/first\nruns/the second\n');
    const fake = async (name: string, text: string) => {
      const path = join(submission, name);
      await writeFile(path, `#!/bin/bash\n${text}\n`, { mode: 0o755 });
      return path;
    };
    const log = shellWord(join(submission, 'log'));
    await fake('scontrol', `echo "scontrol $*" >> ${log}`);
    const program = await fake(
      'program',
      `echo "$*" >> ${log}; trap 'echo saved >> ${log}; exit 75' USR2; kill -USR2 $PPID
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; exit 3`,
    );
    const path = join(submission, 'job.sh');
    const options = { output: 'runs/x', folder: submission, workingFolder: folder, points: 2, options: none };
    await writeFile(path, slurmScript({ ...options, parallel: undefined, program: [program] }));
    const env = {
      PATH: `${submission}:${process.env.PATH}`,
      SLURM_ARRAY_JOB_ID: '8',
      SLURM_ARRAY_TASK_ID: '1',
    };
    const { exitCode } = await execa('bash', [path], { env, reject: false });
    expect(await readFile(join(submission, 'log'), 'utf8')).toBe(
      'sweep --point runs/the second --wait --threads 1\nsaved\nscontrol requeue 8_1\n',
    );
    expect(exitCode).toBe(0);
    // Any other end is the task's own.
    await fake('program', 'exit 2');
    expect((await execa('bash', [path], { env, reject: false })).exitCode).toBe(2);
    // Killed by the signal itself, as between training and scoring.
    await fake('program', 'kill -USR2 $$');
    expect((await execa('bash', [path], { env, reject: false })).exitCode).toBe(0);
  });
});

describe('a submission', () => {
  it('has what is left: not what is done, worked on, failed or in the queue already', async () => {
    const sweep = await sweepOf('left');
    const ids = sweep.points.map(({ id }) => id);
    const first = slurm({ sbatch: '8\n' });
    expect(await submitToSlurm({ ...common, sweep, options: none, ...first })).toBe('8');
    expect(first.asked).toEqual([['sbatch', '--parsable', join(sweep.output, 'slurm/0001/job.sh')]]);
    const list = (number: string) => readFile(join(sweep.output, 'slurm', number, 'points.txt'), 'utf8');
    expect(await list('0001')).toBe(sweep.points.map((point) => `${point.folder}\n`).join(''));

    // As recorded: 0 is done, 1 failed, 2 was killed, 3 and 4 run, 5 waits, 6 was cancelled.
    const end = async (i: number, state: 'done' | 'failed') => {
      const claim = await claimAttempt(sweep.points[i]!.folder, 0, null);
      await claim!.end({ state, exitCode: state === 'done' ? 0 : 2, seconds: 1 });
    };
    await end(0, 'done');
    await end(1, 'failed');
    const answers = {
      sacct: (await recorded('sacct-running.txt')).replace('[5-6%2]', '5'),
      squeue: await recorded('squeue-running.txt'),
    };
    const status = await slurmStatus({ ...common, sweep, run: slurm(answers).run });
    const cells = (id: string) =>
      status
        .split('\n')
        .find((line) => line.startsWith(`| ${id} `))!
        .split('|')
        .map((cell) => cell.trim())
        .slice(2, 7);
    expect(cells(ids[1]!)).toEqual(['failed', '8_1', 'FAILED', '2:0', 'vm']);
    expect(cells(ids[2]!)).toEqual(['pending', '8_2', 'FAILED', '0:9', 'vm']);
    expect(cells(ids[3]!)).toEqual(['pending', '8_3', 'RUNNING', '–', 'vm']);
    expect(cells(ids[6]!)).toEqual(['pending', '–', '–', '–', '–']);

    const again = { ...common, sweep, options: none };
    const dry = await slurmDryRun({ ...again, run: slurm(answers).run });
    expect(dry).toContain('#SBATCH --array=0-1\n');
    expect(existsSync(join(sweep.output, 'slurm/0002'))).toBe(false);
    expect(await submitToSlurm({ ...again, run: slurm({ ...answers, sbatch: '9;main\n' }).run })).toBe('9');
    expect(await list('0002')).toBe([2, 6].map((i) => `${sweep.points[i]!.folder}\n`).join(''));
    expect(said.at(-2)).toMatch(/1 done, 1 failed, 5 pending, of which 3 wait in the queue/);

    const rerun = { ...again, rerunFailed: true, run: slurm({ ...answers, sbatch: '10' }).run };
    expect(await submitToSlurm(rerun)).toBe('10');
    expect(await list('0003')).toContain(`${sweep.points[1]!.folder}\n`);
  });

  it('leaves nothing behind where Slurm refuses it or is not there', async () => {
    const sweep = await sweepOf('refused');
    const stderr = await recorded('sbatch-refused.txt');
    const refuse = slurm({ sbatch: { exitCode: 1, stderr } });
    await expect(submitToSlurm({ ...common, sweep, options: none, ...refuse })).rejects.toMatchObject({
      ...{ code: 'SLURM_REFUSED', exitCode: 2 },
      message: expect.stringContaining('sbatch: error: invalid partition specified: nonsense'),
    });
    await expect(
      submitToSlurm({ ...common, sweep, options: none, run: slurm({}).run }),
    ).rejects.toMatchObject({
      ...{ code: 'SLURM_UNAVAILABLE', exitCode: 4 },
    });
    expect(await readdir(join(sweep.output, 'slurm'))).toEqual([]);
  });

  it('is none where everything is done', async () => {
    const sweep = await sweepOf('done');
    await prepareSweep(sweep);
    for (const point of sweep.points) {
      const claim = await claimAttempt(point.folder, 0, null);
      await claim!.end({ state: 'done', exitCode: 0, seconds: 1 });
    }
    const { run, asked } = slurm({});
    expect(await submitToSlurm({ ...common, sweep, options: none, run })).toBeUndefined();
    expect(asked).toEqual([]);
  });
});

describe('the command line', () => {
  it.each([
    [['--slurm-option', 'mem=1G'], /--slurm-option is of --backend slurm/],
    [
      ['--backend', 'slurm', '--kubernetes-option', 'cpu=1'],
      /--kubernetes-option is of --backend kubernetes/,
    ],
    [['--backend', 'slurm', '--submit'], /--submit is of --backend kubernetes/],
    [['--status'], /--status is of --backend slurm/],
    [['--backend', 'slurm', '--results-only'], /--results-only is not of --backend/],
    [['--backend', 'slurm', '--status', '--dry-run'], /--status submits nothing/],
    [['--backend', 'kubernetes', '--submit', '--dry-run'], /--dry-run submits nothing/],
    [['--wait'], /--wait is of --point/],
  ])('refuses %j', async (more, message) => {
    const { exitCode, err } = await run('sweep', '--config', join(folder, 'left.yaml'), ...more);
    expect(err).toMatch(message);
    expect(err).toContain('error[USAGE]');
    expect(exitCode).toBe(2);
  });

  it('takes an option many times, and refuses an unknown backend', async () => {
    const sweep = await sweepOf('options');
    const args = ['sweep', '--config', join(folder, 'options.yaml'), '--dry-run', '--backend'];
    const given = ['--slurm-option', 'mem=1G', '--slurm-option', 'partition=gpu', '--parallel', '3'];
    const { out, exitCode } = await run(...args, 'slurm', ...given);
    expect(exitCode).toBe(0);
    for (const line of ['mem=1G', 'partition=gpu', 'array=0-6%3'])
      expect(out).toContain(`#SBATCH --${line}\n`);
    expect(existsSync(sweep.output)).toBe(false);
    expect((await run(...args, 'pbs')).exitCode).toBe(2);
  });
});
