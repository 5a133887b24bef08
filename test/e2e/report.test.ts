import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { readEventFile } from '../../src/io/tensorboard.ts';
import { readRunStatus } from '../../train/run-status.ts';
import { makeWorkspace, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config } = workspace;
const manifest = await workspace.writeManifest('with-bad.jsonl', [
  ...workspace.rows,
  { name: 'bad <script>', video: 'nowhere.mp4', subtitle: 'x', labels: ['sad'], split: 'train' },
]);
const settings = {
  ...{ output: path('runs', 'one'), 'data.manifest': manifest, 'data.onBadSample': 'skip' },
  ...{ 'data.badSampleLimit': 0.9, 'train.validation': { every: 4, answers: 1, maxNewTokens: 4 } },
};
const train = (more: Readonly<Record<string, unknown>>) =>
  run('train', '--config', config, ...set({ ...settings, ...more }));
const one = path('runs', 'one');
const json = async (...names: string[]) => JSON.parse(await readFile(join(one, ...names), 'utf8'));

const first = await train({ 'train.steps': 8 });
const second = await train({ 'train.steps': 12 });

describe('a run folder after training and a resumption', () => {
  it('says how it stands', async () => {
    expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
    expect(await json('status.json')).toMatchObject({
      ...{ state: 'done', pid: process.pid, step: 12, steps: 12, exitCode: 0 },
      checkpoint: join(one, 'checkpoints', 'step-000012'),
    });
    const { command } = await json('status.json');
    expect(command.slice(0, 4)).toEqual(['affectgpt', 'train', '--config', config]);
    expect(command).toContain('train.steps=12');
  });

  it('holds what it was made with, once for each start', async () => {
    const { starts } = await json('environment.json');
    expect(starts.map(({ step }: { step: number }) => step)).toEqual([0, 8]);
    const version = expect.stringMatching(/^\d+\.\d+\.\d+/);
    expect(starts[1]).toMatchObject({
      ...{ node: process.versions.node, engine: { name: 'onnxruntime', threads: 1 } },
      packages: { 'onnxruntime-node': version, '@tensorflow/tfjs': version },
      ffmpeg: expect.stringContaining('ffmpeg version'),
    });
    const git = await execa('git', ['rev-parse', 'HEAD'], { reject: false });
    expect(starts[1].git?.commit).toBe(git.exitCode === 0 ? git.stdout : undefined);
  });

  it('has utilisation and memory of all steps in TensorBoard, and in the lines for people', async () => {
    const names = (await readdir(one)).filter((name) => name.startsWith('events.out.tfevents.'));
    expect(names).toHaveLength(1);
    const events = await readEventFile(join(one, names[0]!));
    const of = (tag: string) =>
      events.flatMap(({ step, scalars }) => scalars.filter((one) => one.tag === tag).map(() => step));
    const steps = Array.from({ length: 12 }, (_, i) => i + 1);
    for (const tag of ['train/mfu', 'system/rss_gb', 'system/peak_rss_gb']) expect(of(tag)).toEqual(steps);
    const used = events.flatMap(({ scalars }) => scalars.filter(({ tag }) => tag === 'train/mfu'));
    expect(used.every(({ value }) => value > 0 && value <= 1)).toBe(true);
    expect(second.err).toMatch(/tokens\/s {2}MFU \d+\.\d % {2}RSS \d+\.\d\d GB \(peak \d+\.\d\d\) {2}ETA /);
  });

  it('has a page with all of it, written by the training itself', async () => {
    const page = await readFile(join(one, 'report.html'), 'utf8');
    for (const text of [
      ...['done: 12 of 12 steps', '<b>Loss</b>', '<b>MFU, % of the measured peak</b>', 'step-000012'],
      ...['<title>validation, 4: ', 'bad &lt;script&gt;', 'resumed after step 8', 'train.steps=12'],
      ...['<td>train.steps</td><td>12</td>', 'onnxruntime, fp32, 1 threads', workspace.rows.at(-1)!.name],
    ]) {
      expect(page).toContain(text);
    }
    expect(page).not.toContain('<script');
    expect(page).not.toContain('Not everything in this folder can be read');
  });

  it('is left alone by a start that is refused', async () => {
    const before = await readFile(join(one, 'status.json'), 'utf8');
    const refused = await train({ 'train.steps': 12 });
    expect(refused).toMatchObject({ exitCode: 2, err: expect.stringContaining('RUN_COMPLETE') });
    expect(await readFile(join(one, 'status.json'), 'utf8')).toBe(before);
  });
});

describe('a training that fails', () => {
  it('says why in its status and has a page', async () => {
    const output = path('runs', 'bad');
    const failed = await train({ output, 'train.steps': 4, 'train.optimizer.lr': 1e30 });
    expect(failed.exitCode).toBe(3);
    const status = await readRunStatus(output);
    expect(status).toMatchObject({ state: 'failed', exitCode: 3 });
    expect(failed.err).toContain(`error[${status!.error!.code}]`);
    expect(await readFile(join(output, 'report.html'), 'utf8')).toContain(status!.error!.code);
  });
});

describe.skipIf(process.platform === 'win32')('a training that is killed', () => {
  it('is known to be, and goes on', async () => {
    const output = path('runs', 'killed');
    const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const argv = set({ output, 'train.steps': 100_000, 'train.checkpoint.every': 2 });
    const child = execa(
      process.execPath,
      ['--import', 'tsx', program, 'train', '--config', config, ...argv],
      { reject: false, timeout: 50_000, stdin: 'ignore' },
    );
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said += String(text);
      if (said.includes('Saved ')) child.kill('SIGKILL');
    });
    await child;
    expect(await readRunStatus(output)).toMatchObject({ state: 'running', steps: 100_000 });
    const { out } = await succeed('runs', path('runs'), '--json');
    const killed = JSON.parse(out).find(({ name }: { name: string }) => name === 'killed');
    expect(killed).toMatchObject({ state: 'killed', steps: 100_000 });
    expect(killed.step).toBeGreaterThanOrEqual(2);
    await succeed('train', '--config', config, ...set({ output, 'train.steps': killed.step + 3 }));
    expect(await readRunStatus(output)).toMatchObject({ state: 'done', step: killed.step + 3 });
  });
});

describe('the commands', () => {
  it('runs lists all of them', async () => {
    const { out } = await succeed('runs', path('runs'));
    expect(out).toMatch(/^name +state +steps +loss +best validation/);
    expect(out).toMatch(/^one +done +12\/12 +\d\.\d{4} +loss \d\.\d{4} @ (4|8|12) /m);
    expect(out).toMatch(/^bad: failed after /m);
  });

  it('report writes the page of one where it is told', async () => {
    const file = path('elsewhere.html');
    expect((await succeed('report', one, '--output', file)).out).toBe(`${file}\n`);
    expect(await readFile(file, 'utf8')).toContain('<b>Loss</b>');
    expect(await readdir(one)).not.toContain('elsewhere.html');
  });

  it('refuse what is no run, with exit code 2', async () => {
    for (const argv of [
      ['report', path('models')],
      ['report', path('nowhere')],
      ['runs', path('nowhere')],
    ]) {
      const { exitCode, err, out } = await run(...argv);
      expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
      expect(err).toMatch(/^error\[(NOT_A_RUN|RUN_NOT_FOUND|RUNS_FOLDER_NOT_FOUND)\]: /);
    }
  });
});
