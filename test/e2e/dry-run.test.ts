import { existsSync } from 'node:fs';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DryRunReport } from '../../train/dry-run/report.ts';
import { makeWorkspace, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config, rows, writeManifest } = workspace;
const dryRun = (settings: Record<string, unknown>, ...more: string[]) =>
  run('train', '--config', config, '--dry-run', ...set(settings), ...more);

describe('a dry run', async () => {
  const before = (await readdir(workspace.folder, { recursive: true })).sort();
  const ran = await dryRun({ 'train.steps': 1000 }, '--json');
  const report = JSON.parse(ran.out) as DryRunReport;

  it('writes nothing: no run folder, no cached features', async () => {
    expect(ran.exitCode).toBe(0);
    expect((await readdir(workspace.folder, { recursive: true })).sort()).toEqual(before);
    expect(existsSync(path('run'))).toBe(false);
  });

  it('tells what was measured and what it makes of the whole training', () => {
    expect(report).toMatchObject({ dryRun: 'run', data: { samples: 5, heldOut: 1, countedFrom: 'records' } });
    const { steps, time, tokens, memory, disk } = report;
    expect(steps!.engine).toBe('onnxruntime');
    expect(steps!.loss).toBeGreaterThan(0);
    expect(steps!.medianSeconds).toBeGreaterThan(0);
    expect(steps!.memory.peakBytes).toBeGreaterThanOrEqual(steps!.memory.afterStepBytes);
    expect(time!.trainingSeconds).toBe(1000 * steps!.medianSeconds);
    expect(time!.featureSecondsAtMost).toBe(5 * time!.featureSecondsPerSample!);
    expect(tokens).toMatchObject({ samples: 5, stepsPerEpoch: 3 });
    expect(tokens!.paddingShare).toBeGreaterThan(0);
    expect(memory.estimate!.at).toMatchObject({ batch: 2, tokens: tokens!.longestTokens });
    expect(disk.featureCache!.bytes).toBe(5 * disk.featureBytesPerSample);
    expect(disk.checkpoints.freeBytes).toBeGreaterThan(0);
  });

  it('agrees with shapes alone', async () => {
    const { out } = await dryRun({}, '--shapes-only', '--json');
    const shapes = JSON.parse(out) as DryRunReport;
    expect(shapes.parameters).toEqual(report.parameters);
    expect(shapes.disk.checkpoint).toEqual(report.disk.checkpoint);
    expect(shapes).toMatchObject({ dryRun: 'shapes', data: report.data, steps: null, time: null });
  });

  it('foresees loss and checkpoints of the training itself', async () => {
    const { err } = await succeed('train', '--config', config, ...set({ 'train.steps': 1 }));
    expect(err).toContain(`loss ${report.steps!.loss.toFixed(4)}`);
    const folder = path('run', 'checkpoints', 'step-000001');
    const sizeOf = async (name: string) => (await stat(join(folder, `${name}.safetensors`))).size;
    const { adapter, others, optimizer } = report.disk.checkpoint;
    const sizes = { adapter_model: adapter, affectgpt: others, optimizer };
    for (const [name, bytes] of Object.entries(sizes)) {
      const headers = (await sizeOf(name)) - bytes;
      expect(headers, name).toBeGreaterThan(0);
      expect(headers, name).toBeLessThan(32 * 1024);
    }
    const refused = await dryRun({}, '--resume', 'never');
    expect(refused).toMatchObject({ exitCode: 2, err: expect.stringContaining('error[RUN_EXISTS]') });
    // A trained run is left alone too.
    const names = (await readdir(path('run'), { recursive: true })).sort();
    expect((await dryRun({})).exitCode).toBe(0);
    expect((await readdir(path('run'), { recursive: true })).sort()).toEqual(names);
    await rm(path('run'), { recursive: true });
  });

  it('prints a report for people', async () => {
    const { out } = await dryRun({}, '--shapes-only');
    for (const part of ['visual encoder', 'LoRA', 'pre-fusion', 'projectors']) expect(out).toContain(part);
    expect(out).toMatch(/exact, in float32: .*\n {2}estimated for 2 x 512 tokens/);
  });

  it('adds gradients up where the training does', async () => {
    const { out } = await dryRun({ 'train.accumulation': 2 }, '--json');
    const { memory, steps } = JSON.parse(out) as DryRunReport;
    expect(memory.exact.gradients).toBe(memory.exact.trainable);
    expect(steps!.loss).toBeGreaterThan(0);
  });
});

describe('a dry run of what is not well', () => {
  const output = path('never');
  const refused = async (settings: Record<string, unknown>, ...more: string[]) => {
    const ran = await dryRun({ output, ...settings }, ...more);
    expect(ran).toMatchObject({ exitCode: 2, out: '' });
    expect(existsSync(output)).toBe(false);
    return ran.err;
  };

  it('names every fault of the configuration', async () => {
    const err = await refused({ 'train.batchSize': 0, 'lora.rank': -1, 'model.nothing': 1 });
    for (const key of ['train.batchSize', 'lora.rank', 'model.nothing']) expect(err).toContain(key);
  });

  it('names models and files that are missing in one report, and what does without models', async () => {
    const manifest = await writeManifest('lost.jsonl', [{ ...rows[0], video: 'lost.mp4' }, rows[1]!]);
    const err = await refused({
      ...{ 'data.manifest': manifest, 'model.llm': 'Qwen/Qwen2.5-7B-Instruct' },
      'model.audioEncoder.model': 'TencentGameMate/chinese-hubert-large',
    });
    expect(err).toContain('error[NOT_READY]');
    expect(err).toContain('affectgpt pull Qwen/Qwen2.5-7B-Instruct');
    expect(err).toContain('affectgpt pull TencentGameMate/chinese-hubert-large');
    expect(err).toContain('lost.mp4');
    expect(err).toContain('--shapes-only');
  });

  it('names all samples without a file, without an answer, or too long', async () => {
    const { labels: _labels, description: _description, ...unlabelled } = rows[1]!;
    const manifest = await writeManifest('bad.jsonl', [
      { ...rows[0], video: 'lost.mp4' },
      { ...unlabelled, name: 'unlabelled' },
      { ...rows[2], name: 'long', subtitle: 'garden '.repeat(600) },
      rows[3]!,
    ]);
    const err = await refused({ 'data.manifest': manifest });
    expect(err).toContain('error[SAMPLES_UNUSABLE]: 3 of 4 samples');
    for (const fault of ['lost.mp4', '"unlabelled" has no answer', '"long" has'])
      expect(err).toContain(fault);
  });

  it('names media that cannot be decoded, or skips them where the training would', async () => {
    await writeFile(path('clips', 'torn.mp4'), 'no video at all');
    const manifest = await writeManifest('torn.jsonl', [{ ...rows[0], video: 'torn.mp4' }, rows[1]!]);
    const err = await refused({ 'data.manifest': manifest });
    expect(err).toMatch(/error\[SAMPLES_UNUSABLE\]: 1 of the 2 samples.*torn\.mp4/);
    const skipping = await dryRun({ output, 'data.manifest': manifest, 'data.onBadSample': 'skip' });
    expect(skipping.err).toMatch(/Skipped: .*torn\.mp4/);
    expect(skipping).toMatchObject({ exitCode: 0, out: expect.stringContaining('Dry run: a few steps') });
    expect(existsSync(output)).toBe(false);
  });

  it.each([['--shapes-only'], ['--json']])('refuses %s without --dry-run', async (option) => {
    const { exitCode, err } = await run('train', '--config', config, option);
    expect({ exitCode, err }).toMatchObject({ exitCode: 2, err: expect.stringContaining('--dry-run') });
  });
});
