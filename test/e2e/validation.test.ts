import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatDryRun } from '../../train/dry-run/format.ts';
import { onnxruntimeFactors } from '../../train/dry-run/memory.ts';
import type { DryRunReport } from '../../train/dry-run/report.ts';
import { makeWorkspace, readLines, readMetrics, readTensorFiles, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config } = workspace;
/** Three to train on, three held out: one of the split `dev`, two of `test`. */
const manifest = await workspace.writeManifest(
  'divided.jsonl',
  workspace.rows.map((row, i) => ({ ...row, split: ['train', 'train', 'train', 'dev', 'test', 'test'][i] })),
);
const validation = { every: 4, answers: 2, maxNewTokens: 12 };
const settings = {
  'data.manifest': manifest,
  'data.labelType': 'ovlabel',
  'train.steps': 12,
  'train.checkpoint': { every: 5, keep: 1 },
};
const argv = (output: string, more: Record<string, unknown> = {}) => [
  ...['train', '--config', config],
  ...set({ ...settings, output: path(output), ...more }),
];
const plain = await succeed(...argv('plain'));
const validated = await succeed(...argv('validated', { 'train.validation': validation }));

type Answer = Record<'name' | 'question' | 'text' | 'finish' | 'expected', string>;
const lines = async (name: string) =>
  (await readLines(path(name, 'validation.jsonl'))).map(({ seconds: _, ...line }) => line);
const best = async (name: string) => (await readFile(path(name, 'checkpoints', 'best'), 'utf8')).trim();
const checkpoint = (name: string, step: string) => path(name, 'checkpoints', step);

describe('train with validation', () => {
  it('learns bit for bit what it learns without, dropout included', async () => {
    expect(await readMetrics(path('validated'))).toEqual(await readMetrics(path('plain')));
    expect(await readTensorFiles(checkpoint('validated', 'step-000012'))).toEqual(
      await readTensorFiles(checkpoint('plain', 'step-000012')),
    );
    expect(existsSync(path('plain', 'validation.jsonl'))).toBe(false);
    expect(existsSync(path('plain', 'checkpoints', 'best'))).toBe(false);
    expect(plain.err).not.toContain('alidation');
  });

  it('writes loss, metrics and answers of fixed held-out samples', async () => {
    const all = await lines('validated');
    expect(all.map(({ step }) => step)).toEqual([4, 8, 12]);
    const losses = all.map(({ loss }) => loss as number);
    expect(losses.toSorted((a, b) => b - a)).toEqual(losses);
    for (const line of all) {
      expect(line).toMatchObject({ samples: 3, set: all[0]!.set });
      expect(Object.keys(line.metrics as object)).toEqual([
        ...['exactMatch', 'emotionF', 'emotionPrecision', 'emotionRecall'],
      ]);
      const answers = line.answers as Answer[];
      expect(answers.map(({ name, question }) => [name, question])).toEqual(
        (all[0]!.answers as Answer[]).map(({ name, question }) => [name, question]),
      );
      for (const { name, expected } of answers) {
        const { labels } = workspace.rows.find((row) => row.name === name)!;
        expect(expected).toBe(`The character's emotional state is ${(labels as string[]).join(', ')}.`);
      }
    }
    expect(validated.err).toContain('Validation every 4 steps on 3 held-out samples, 2 of them answered');
    expect(validated.err).toMatch(
      /Validation after step 8: loss \d\.\d{4}, exactMatch .*best so far by loss\./,
    );
  });

  it('takes time that a dry run foresees once one has run', async () => {
    const seconds = (await readLines(path('validated', 'validation.jsonl'))).map((line) =>
      Number(line.seconds),
    );
    const forecast = async (output: string) => {
      const dry = ['--dry-run', '--json', '--set', 'train.steps=1000'];
      const { out } = await succeed(...argv(output, { 'train.validation': validation }), ...dry);
      return JSON.parse(out) as DryRunReport;
    };
    const { steps, time } = await forecast('validated');
    const mean = seconds.reduce((sum, one) => sum + one, 0) / 3;
    expect(time!.validations!.count).toBe(250);
    expect(time!.validations!.seconds).toBeCloseTo(mean, 9);
    expect(time!.trainingSeconds).toBeCloseTo(1000 * steps!.medianSeconds + 250 * mean, 6);
    const first = await forecast('none-yet');
    expect(first.time!.validations).toEqual({ count: 250, seconds: null });
    expect(first.time!.trainingSeconds).toBe(1000 * first.steps!.medianSeconds);
    expect(formatDryRun(first)).toContain('without 250 validations: what one takes is not known');
  });

  it('keeps the best checkpoint, and says which it is', async () => {
    expect(await best('validated')).toBe('step-000012');
    expect(validated.err).toMatch(/\nBest by loss \(\d\.\d{4}\): \S*step-000012\n/);
    expect(validated.out).toBe(`${checkpoint('validated', 'step-000012')}\n`);
    expect((await readdir(path('validated', 'checkpoints'))).sort()).toEqual([
      ...['best', 'latest', 'step-000012'],
    ]);
  });

  it('has the loss that likelihoods of the right answers give: nothing is dropped', async () => {
    const labels = workspace.rows.map((row) => (row.labels as string[])[0]!);
    const single = await workspace.writeManifest(
      'single.jsonl',
      workspace.rows.map((row, i) => ({ ...row, labels: [labels[i]], split: i < 3 ? 'train' : 'test' })),
    );
    const more = {
      ...{ 'data.manifest': single, 'data.labelType': 'onehot_wo_candidates', 'lora.dropout': 0.5 },
      ...{ 'train.validation.every': 4, 'train.steps': 4 },
    };
    await succeed(...argv('likelihoods', more));
    const [line] = await lines('likelihoods');
    const scores = path('likelihoods', 'scores');
    await succeed(
      ...['eval', 'choices', '--checkpoint', path('likelihoods'), '--split', 'test'],
      ...['--choices', labels.join(','), '--output', scores],
    );
    const right = (await readLines(`${scores}.jsonl`)).map(
      ({ scores: likelihoods, label }) => (likelihoods as Record<string, number>)[label as string]!,
    );
    expect(right).toHaveLength(3);
    const sum = right.reduce((total, likelihood) => total + likelihood, 0);
    expect(line!.loss).toBeCloseTo(-sum / (line!.supervisedTokens as number), 5);
  });

  it('asks the same each time, and depends on the weights alone', async () => {
    const measured = [];
    for (const dropout of [0, 0.5]) {
      const output = `still-${dropout}`;
      // Steps too small to change a weight.
      const still = { 'train.optimizer': { lr: 1e-30, weightDecay: 0 }, 'lora.dropout': dropout };
      const more = set({ 'train.validation.every': 1, 'train.validation.answers': 3 });
      await succeed(...argv(output, { ...still, 'data.labelType': 'hybird', 'train.steps': 3 }), ...more);
      measured.push(...(await lines(output)).map(({ step: _, ...line }) => line));
    }
    expect(measured).toHaveLength(6);
    for (const line of measured) expect(line).toEqual(measured[0]);
  });

  it('answers as predict does with the checkpoint of that step', async () => {
    const last = (await lines('validated')).at(-1)!;
    for (const { name, question, text, finish } of last.answers as Answer[]) {
      const clips = await workspace.writeManifest(
        'one.jsonl',
        workspace.rows.filter((row) => row.name === name),
      );
      const output = path(`${name}.jsonl`);
      await succeed(
        ...['predict', '--checkpoint', checkpoint('validated', 'step-000012'), '--data', clips],
        ...['--question', question, '--max-new-tokens', '12', '--output', output],
      );
      expect((await readLines(output))[0]).toMatchObject({ name, text, finish });
    }
  });

  it('leaves a name for the best, which other commands take', async () => {
    const output = path('by-best.jsonl');
    await succeed(
      ...['predict', '--checkpoint', checkpoint('validated', 'best'), '--data', manifest, '--split', 'test'],
      ...['--output', output],
    );
    expect(await readLines(output)).toHaveLength(2);
    const { exitCode, err } = await run('predict', '--checkpoint', checkpoint('plain', 'best'), 'x.mp4');
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[RUN_NOT_FOUND\]: .*there is no such folder/);
  });

  it('goes on as if it had not stopped', async () => {
    const more = { 'train.validation': validation };
    await succeed(...argv('resumed', { ...more, 'train.steps': 7 }));
    await succeed(...argv('resumed', more));
    expect(await lines('resumed')).toEqual(await lines('validated'));
    expect(await best('resumed')).toBe(await best('validated'));
    expect(await readTensorFiles(checkpoint('resumed', 'step-000012'))).toEqual(
      await readTensorFiles(checkpoint('validated', 'step-000012')),
    );
  });

  it('stops early, says so when it is started again, and goes on with other settings', async () => {
    // Nothing is that much better.
    const early = { ...validation, answers: 0, patience: 1, minDelta: 1000 };
    const { err, out } = await succeed(...argv('early', { 'train.validation': early }));
    expect(err).toMatch(
      /Stopped early after step 8: loss has not improved by more than 1000 in 1 validations/,
    );
    expect(out).toBe(`${checkpoint('early', 'step-000008')}\n`);
    const again = await run(...argv('early', { 'train.validation': early }));
    expect(again.exitCode).toBe(2);
    expect(again.err).toMatch(
      /error\[RUN_COMPLETE\]: .*stopped early at step 8 .*train\.validation\.patience/,
    );
    await succeed(...argv('early', { 'train.validation': { ...early, patience: null } }));
    expect(await readTensorFiles(checkpoint('early', 'step-000012'))).toEqual(
      await readTensorFiles(checkpoint('plain', 'step-000012')),
    );
  });

  it.each<[Record<string, unknown>, string, RegExp]>([
    [
      { 'train.validation': { ...validation, metric: 'sentimentAccuracy' } },
      'VALIDATION_METRIC_UNDEFINED',
      /"sentimentAccuracy".*There are: loss, exactMatch, emotionF, emotionPrecision, emotionRecall, teacherForcedExactMatch\./,
    ],
    [
      { 'train.validation': { ...validation, split: 'train' } },
      'VALIDATION_SAMPLES_NONE',
      /split "train".*held out are: dev, test/,
    ],
    [
      { 'train.validation': { ...validation, split: 'dve' }, 'model.llm': 'gone' },
      'NOT_READY',
      /gone[\s\S]*split "dve"/,
    ],
    [
      { 'train.validation': { every: 4, metric: 'emotionF' } },
      'CONFIG_INVALID',
      /train\.validation\.metric: "emotionF" is a metric of answers/,
    ],
    [
      { 'train.validation': { every: 13 } },
      'CONFIG_INVALID',
      /train\.validation\.every: 13.*run of 12 steps/,
    ],
    [
      { 'train.checkpoint': { every: 5, keepEvery: 12 } },
      'CONFIG_INVALID',
      /train\.checkpoint\.keepEvery: 12.*multiple of that, such as 10/,
    ],
  ])('%j is refused before the first step', async (more, code, message) => {
    const { exitCode, err } = await run(...argv('refused', more));
    expect(err).toContain(`error[${code}]`);
    expect(err).toMatch(message);
    expect(exitCode).toBe(2);
    expect(existsSync(join(path('refused'), 'metrics.jsonl'))).toBe(false);
  });
});

describe('a dry run', () => {
  it('counts samples, checkpoints and memory of validations', async () => {
    const dry = async (more: Record<string, unknown>) => {
      const { out } = await succeed(...argv('dry', more), '--dry-run', '--json');
      return JSON.parse(out) as {
        data: object;
        disk: Record<'checkpoints' | 'featureCache', { bytes: number }>;
        memory: { exact: { frozenWeights: number }; estimate: { total: number } };
      };
    };
    const without = await dry({});
    const keeping = { 'train.checkpoint': { every: 5, keep: 1, keepEvery: 5 } };
    const counted = await dry({ 'train.validation': { ...validation, samples: 2 }, ...keeping });
    expect(without.data).toEqual({ samples: 3, heldOut: 3, validated: 0, countedFrom: 'records' });
    expect(counted.data).toMatchObject({ samples: 3, validated: 2 });
    // One kept and one being written; the best, and those of steps 5 and 10.
    expect(counted.disk.checkpoints.bytes).toBe((5 / 2) * without.disk.checkpoints.bytes);
    // The graphs of loss and answers hold packed copies of the frozen weights, as that of the step does.
    expect(counted.memory.estimate.total - without.memory.estimate.total).toBeCloseTo(
      2 * onnxruntimeFactors.packedCopies * without.memory.exact.frozenWeights,
      0,
    );
    expect(counted.disk.featureCache.bytes).toBe((5 / 3) * without.disk.featureCache.bytes);
  });
});
