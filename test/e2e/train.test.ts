import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findMediaTools } from '../../src/data/media/ffmpeg.ts';
import { makeWorkspace, readMetrics, readTensorFiles, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config } = workspace;
const train = (settings: Record<string, unknown>, ...more: string[]) =>
  succeed('train', '--config', config, ...set(settings), ...more);

const whole = path('whole');
const first = await train({ output: whole });

describe('a training of twenty steps', () => {
  it('says what it trains, and prints the last checkpoint', () => {
    expect(first.err).toContain('5 samples to train on (1 held out)');
    expect(first.err).toMatch(/trainable and .* frozen parameters; engine onnxruntime/);
    expect(first.err).toMatch(/Features: 10 computed, 0 from the cache/);
    expect(first.err).toMatch(/step 20\/20 {2}loss \d/);
    expect(first.out).toBe(`${join(whole, 'checkpoints', 'step-000020')}\n`);
  });

  it('learns', async () => {
    const losses = (await readMetrics(whole)).map(({ loss }) => loss as number);
    expect(losses).toHaveLength(20);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(losses.slice(-3))).toBeLessThan(0.85 * mean(losses.slice(0, 3)));
  });

  it('leaves a run folder as documented', async () => {
    const names = await readdir(whole);
    expect(names).toEqual(expect.arrayContaining(['checkpoints', 'config.yaml', 'log.txt', 'metrics.jsonl']));
    expect(names.filter((name) => name.startsWith('events.out.tfevents.'))).toHaveLength(1);
    expect((await readdir(path('whole', 'checkpoints'))).sort()).toEqual([
      'latest',
      'step-000015',
      'step-000020',
    ]);
    expect((await readdir(path('whole', 'checkpoints', 'step-000020'))).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'affectgpt.safetensors',
      'checksums.json',
      'optimizer.safetensors',
      'state.json',
    ]);
    const saved = await readFile(path('whole', 'config.yaml'), 'utf8');
    expect(parse(saved)).toMatchObject({ output: whole, lora: { rank: 4 }, generation: { topP: 0.9 } });
    expect(saved).toMatch(/rank: 4 # set by user/);
  });
});

/**
 * An ffmpeg and an ffprobe that say their version and do nothing else, to be found before the real ones: whoever
 * starts them to read media fails.
 */
async function blindMediaTools(): Promise<NodeJS.ProcessEnv> {
  const { ffmpeg, ffprobe } = await findMediaTools();
  await mkdir(path('bin'));
  for (const [name, real] of Object.entries({ ffmpeg, ffprobe })) {
    const script = `#!/bin/sh\ntest "$1" = -version || exit 1\nPATH='${process.env.PATH}' exec '${real}' -version\n`;
    await writeFile(path('bin', name), script);
    await chmod(path('bin', name), 0o755);
  }
  return { ...process.env, PATH: `${path('bin')}:${process.env.PATH}` };
}

describe.skipIf(process.platform === 'win32')('a training that is told to stop', () => {
  const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const stopped = path('stopped');

  it('saves, exits with the code of the signal, and decodes nothing that is in the cache', async () => {
    const env = await blindMediaTools();
    const settings = set({ output: stopped, 'train.steps': 100_000, 'train.checkpoint.every': 100_000 });
    const argv = ['--import', 'tsx', program, 'train', '--config', config, ...settings];
    const child = execa(process.execPath, argv, { env, reject: false, timeout: 50_000, stdin: 'ignore' });
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      if (!said.includes('step 2/') && `${said}${text}`.includes('step 2/')) child.kill('SIGTERM');
      said += String(text);
    });
    const { exitCode, stdout, stderr } = await child;
    expect(stderr).toMatch(/^SIGTERM: finishing this step, saving, then stopping/m);
    expect(stderr).toMatch(
      /error\[STOPPED\]: Stopped by SIGTERM after step \d+, saved in .*The same command goes on/,
    );
    expect(stderr).not.toContain('    at ');
    expect({ exitCode, stdout }).toEqual({ exitCode: 143, stdout: '' });
  });

  it('goes on as if nothing had happened', async () => {
    const before = await readMetrics(stopped);
    const steps = before.length + 3;
    expect(await readFile(path('stopped', 'checkpoints', 'latest'), 'utf8')).toBe(
      `step-${String(before.length).padStart(6, '0')}\n`,
    );
    await train({ output: stopped, 'train.steps': steps });
    await train({ output: path('unstopped'), 'train.steps': steps });
    expect(await readMetrics(stopped)).toEqual(await readMetrics(path('unstopped')));
    const last = ['checkpoints', `step-${String(steps).padStart(6, '0')}`];
    expect(await readTensorFiles(path('stopped', ...last))).toEqual(
      await readTensorFiles(path('unstopped', ...last)),
    );
  });
});

describe('a training that is stopped before its first step', () => {
  it('has nothing to save and says so', async () => {
    const running = run('train', '--config', config, ...set({ output: path('early') }));
    // The command listens once its modules are loaded.
    while (process.listenerCount('SIGUSR2') === 0) await setTimeout(5);
    process.emit('SIGUSR2');
    const { exitCode, err } = await running;
    expect(err).toMatch(
      /^SIGUSR2: finishing the samples in progress, then stopping before the first step\.$/m,
    );
    expect(err).not.toContain('saving');
    expect(err).toMatch(/error\[STOPPED\]: Stopped by SIGUSR2 before the first step/);
    expect(exitCode).toBe(75);
    expect(existsSync(path('early', 'checkpoints'))).toBe(false);
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });
});

describe('a training in two parts', () => {
  it('equals the one that was not interrupted, bit for bit', async () => {
    const parts = path('parts');
    await train({ output: parts, 'train.steps': 10 });
    const { err } = await train({ output: parts }, '--resume', 'auto');
    expect(err).toContain('10 of 20 steps done');
    expect(err).not.toContain('step 10/20');
    expect(await readMetrics(parts)).toEqual(await readMetrics(whole));
    const last = ['checkpoints', 'step-000020'];
    expect(await readTensorFiles(path('parts', ...last))).toEqual(
      await readTensorFiles(path('whole', ...last)),
    );
  });

  it('finds features in the cache, which change nothing', async () => {
    const { err } = await train({ output: path('cached'), 'train.steps': 2 });
    expect(err).not.toContain('Features:');
    const { err: computed } = await train({
      output: path('uncached'),
      'train.steps': 2,
      'data.featureCache': null,
    });
    expect(computed).toContain('Features: 10 computed, 0 from the cache');
    const expected = (await readMetrics(whole)).slice(0, 2);
    expect(await readMetrics(path('cached'))).toEqual(expected);
    expect(await readMetrics(path('uncached'))).toEqual(expected);
  });

  it('depends on the seed', async () => {
    await train({ output: path('seeded'), 'train.steps': 1, 'train.seed': 7 });
    const [seeded] = await readMetrics(path('seeded'));
    expect(seeded!.loss).not.toBe((await readMetrics(whole))[0]!.loss);
  });

  it.each([
    ['RUN_COMPLETE', {}, 'auto', /step 20 of 20.*train\.steps higher/],
    ['RUN_EXISTS', {}, 'never', /holds a run already/],
    [
      'RESUME_CONFIG_CHANGED',
      { 'train.steps': 30, 'lora.alpha': 16 },
      'auto',
      /lora\.alpha was 8 and is now 16/,
    ],
  ])('is refused with %s', async (code, settings, resume, message) => {
    const before = await readFile(path('whole', 'config.yaml'), 'utf8');
    const { exitCode, out, err } = await run(
      ...['train', '--config', config, ...set({ output: whole, ...settings }), '--resume', resume],
    );
    expect(err).toContain(`error[${code}]`);
    expect(err).toMatch(message);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(await readFile(path('whole', 'config.yaml'), 'utf8')).toBe(before);
    expect(existsSync(path('whole', 'checkpoints', 'step-000020'))).toBe(true);
  });

  it('is refused with RESUME_DATA_CHANGED', async () => {
    const { writeManifest, rows } = workspace;
    await writeManifest('manifest.jsonl', rows.slice(1));
    const { exitCode, err } = await run(
      ...['train', '--config', config, ...set({ output: whole, 'train.steps': 30 })],
    );
    await writeManifest('manifest.jsonl', rows);
    expect(err).toMatch(/error\[RESUME_DATA_CHANGED\]: .*there were 5 samples and are now 4/);
    expect(exitCode).toBe(2);
  });
});
