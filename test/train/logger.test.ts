import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readEventFile } from '../../src/io/tensorboard.ts';
import { RunLogger, type RunLoggerOptions, type StepRecord } from '../../train/logger.ts';
import { cutMetrics } from '../../train/metrics.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const start = { step: 0, totals: { tokens: 0, samples: 0, seconds: 0 } };

/** Steps of two seconds with 100 tokens and 3 samples. */
const record = (step: number, loss = 1 / step): StepRecord => ({
  ...{ step, epoch: 1, names: ['a', 'b', 'c'], loss, lr: 1e-5, gradNorm: 0.5 },
  ...{ tokens: 100, supervisedTokens: 40, seconds: 2 },
  totals: { tokens: 100 * step, samples: 3 * step, seconds: 2 * step },
});

function stream(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, columns: 60, write: (text: string) => written.push(text), written };
}

const open = (options: Partial<RunLoggerOptions>): Promise<RunLogger> =>
  RunLogger.open({ ...{ folder: null, stream: null, every: 1, steps: 10, from: start }, ...options });

async function logSteps(
  steps: readonly number[],
  { flops, ...options }: Partial<RunLoggerOptions> & { readonly flops?: number },
): Promise<void> {
  const logger = await open(options);
  for (const step of steps) await logger.step({ ...record(step), ...(flops !== undefined && { flops }) });
  await logger.close();
}

const lines = async (folder: string, name: string) =>
  (await readFile(join(folder, name), 'utf8')).split('\n').filter((line) => line !== '');

async function events(folder: string) {
  const names = (await readdir(folder)).filter((name) => name.startsWith('events.out.tfevents.'));
  expect(names).toHaveLength(1);
  const all = await readEventFile(join(folder, names[0]!));
  return all.flatMap(({ step, wallTime, scalars }) =>
    scalars.map((scalar) => ({ step, wallTime, ...scalar })),
  );
}

describe('the files of a run', () => {
  it('metrics.jsonl has the agreed keys for the first step, every so many steps, and the last', async () => {
    const folder = await temporaryFolder();
    await logSteps([1, 2, 3, 4, 5, 6, 7], { folder, every: 3, steps: 7 });
    const metrics = (await lines(folder, 'metrics.jsonl')).map((line) => JSON.parse(line));
    expect(metrics.map(({ step }) => step)).toEqual([1, 3, 6, 7]);
    expect(Object.keys(metrics[0])).toEqual([
      'step',
      'loss',
      'lr',
      'gradNorm',
      'tokens',
      'tokensPerSecond',
      'samples',
      'seconds',
    ]);
    expect(metrics[2]).toEqual({
      ...{ step: 6, loss: 1 / 6, lr: 1e-5, gradNorm: 0.5 },
      ...{ tokens: 600, tokensPerSecond: 50, samples: 18, seconds: 12 },
    });
    const log = await lines(folder, 'log.txt');
    expect(log).toHaveLength(4);
    expect(log[3]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z step 7\/7 {2}loss 0\.1429 /);
  });

  it('TensorBoard gets loss, learning rate, gradient norm, speed, utilisation and memory', async () => {
    const folder = await temporaryFolder();
    const memory = () => ({ now: 1.5e9, peak: 2e9 });
    await logSteps([1, 2], { folder, memory, peakFlops: 100, flops: 50 });
    const written = await events(folder);
    const names = ['loss', 'lr', 'grad_norm', 'tokens_per_second', 'mfu'].map((name) => `train/${name}`);
    names.push('system/rss_gb', 'system/peak_rss_gb');
    expect(written.map(({ step, tag }) => `${step} ${tag}`)).toEqual(
      [1, 2].flatMap((step) => names.map((name) => `${step} ${name}`)),
    );
    const second = Object.fromEntries(written.slice(7).map(({ tag, value }) => [tag, value]));
    // 50 operations in two seconds, of 100 a second.
    expect(second).toMatchObject({ 'train/loss': 0.5, 'train/mfu': 0.25, 'system/rss_gb': 1.5 });
  });

  it('utilisation counts all steps since the line before, and is left out where nobody counts operations', async () => {
    const folder = await temporaryFolder();
    await logSteps([1, 2, 3, 4], { folder, every: 3, steps: 9, peakFlops: 100, flops: 80 });
    const used = (await events(folder)).filter(({ tag }) => tag === 'train/mfu');
    expect(used.map(({ step, value }) => [step, value.toFixed(3)])).toEqual([
      [1, '0.400'],
      [3, '0.400'],
    ]);
    const bare = await temporaryFolder();
    await logSteps([1], { folder: bare, peakFlops: 100 });
    expect((await events(bare)).map(({ tag }) => tag)).not.toContain('train/mfu');
    expect((await lines(bare, 'log.txt')).join()).not.toContain('MFU');
  });

  it('a run that goes on keeps other scalars of the steps that stand, once', async () => {
    const folder = await temporaryFolder();
    const logger = await open({ folder });
    for (const step of [1, 2, 3]) {
      await logger.step(record(step));
      await logger.scalars(step, { 'validation/loss': step / 10 });
    }
    await logger.close();
    const from = { step: 2, totals: record(2).totals };
    await logSteps([3], { folder, from });
    const kept = (await events(folder)).filter(({ tag }) => tag === 'validation/loss');
    expect(kept.map(({ step }) => step)).toEqual([1, 2]);
    const memory = (await events(folder)).filter(({ tag }) => tag === 'system/rss_gb');
    expect(memory.map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  it('a run that goes on cuts metrics and events back to where it stands and appends to log.txt', async () => {
    const folder = await temporaryFolder();
    await logSteps([1, 2, 3, 4, 5], { folder });
    const from = { step: 3, totals: record(3).totals };
    await logSteps([4, 5, 6], { folder, from });
    const metrics = (await lines(folder, 'metrics.jsonl')).map((line) => JSON.parse(line));
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    // Speed counts from the resumption, not from the step before.
    expect(metrics[3].tokensPerSecond).toBe(50);
    const losses = (await events(folder)).filter(({ tag }) => tag === 'train/loss');
    expect(losses.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(losses[2]!.wallTime - losses[0]!.wallTime).toBeCloseTo(4, 3);
    expect(await lines(folder, 'log.txt')).toHaveLength(8);
  });

  it('metrics that are no metrics are reported with their row', async () => {
    const path = join(await temporaryFolder(), 'metrics.jsonl');
    expect(await cutMetrics(path, 5)).toEqual([]);
    await writeFile(path, '{"step":1,"loss":"low"}\n');
    await expect(cutMetrics(path, 5)).rejects.toEqual(
      expect.objectContaining({ code: 'METRICS_INVALID', message: expect.stringContaining('row 1') }),
    );
  });
});

describe('lines for people', () => {
  it('are plain in a pipe, only for the steps that are due', async () => {
    const pipe = stream(false);
    await logSteps([1, 2, 3, 4, 5], { stream: pipe, every: 2, steps: 5, label: 'run' });
    const steps = pipe.written.map((line) => /^run: step (\d)\/5 .*\n$/.exec(line)?.[1]);
    expect(steps).toEqual(['1', '2', '4', '5']);
    expect(pipe.written.join('')).not.toContain('\u001b');
    // Three steps of two seconds each remain after the second.
    expect(pipe.written[1]).toContain('ETA 6s');
    // What this process takes.
    expect(pipe.written[1]).toMatch(/RSS \d+\.\d\d GB \(peak \d+\.\d\d\)/);
  });

  it('count what is to come beside steps, as validations are', async () => {
    const pipe = stream(false);
    const secondsBesideSteps = (step: number) => (step < 3 ? 0 : 60);
    await logSteps([1, 2, 3], { stream: pipe, every: 1, steps: 5, secondsBesideSteps });
    expect(pipe.written[1]).toContain('ETA 6s');
    expect(pipe.written[2]).toContain('ETA 1m 04s');
  });

  it('are not written without a stream', async () => {
    await expect(logSteps([1, 2], {})).resolves.toBeUndefined();
  });
});
