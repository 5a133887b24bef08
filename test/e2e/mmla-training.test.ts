import { readFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { type AffectGptLossInputs, affectGptLoss } from '../../model/affectgpt.ts';
import { loadConfig } from '../../src/config/load.ts';
import { readRecords, recordsLocation } from '../../src/data/read-records.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { openSafetensors, readFloat32 } from '../../src/io/safetensors.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { openSamples } from '../../src/runtime/samples.ts';
import { loadWeights } from '../../train/checkpoint.ts';
import { writeReleasedTask } from '../support/mmla-files.ts';
import { makeWorkspace, readLines, readMetrics, readTensorFiles, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config } = workspace;

const words = ['good', 'bad', 'fine', 'poor'];
writeReleasedTask(path('mmla'), 'MOSI', {
  train: words.map((word, i) => `a_${i}\t${word}\t${i % 2 === 0 ? 'positive' : 'negative'}`),
  // Two of the words that were learnt, one of them with the other label.
  dev: ['b_0\tgood\tpositive', 'b_1\tbad\tpositive'],
  test: ['c_0\tgood\tpositive'],
});
writeReleasedTask(path('mmla'), 'MUStARD', {
  train: ['d_0\tSure.\tsarcastic', 'd_1\tYes.\tsincere'],
  dev: ['e_0\tSure.\tsarcastic'],
  test: ['f_0\tYes.\tsincere'],
});
const settings = {
  'model.inputs': 'textonly',
  data: {
    ...{ dataset: 'mmla', root: path('mmla'), labelType: 'own' },
    mmla: { tasks: ['MOSI', 'MUStARD'], prompt: 'fixed', weights: { MUStARD: 1.5 } },
    template: { prompt: '{subtitle} =>', answer: '{label}', begin: false, end: 'eos' },
  },
  train: {
    ...{ epochs: 30, batchSize: 4, checkpoint: { every: 20, keep: 1 } },
    ...{ parts: { decoder: 'full' }, optimizer: { lr: 0.01 } },
    schedule: { type: 'warmup-cosine', warmupRatio: 0.1 },
    validation: { every: 20, answers: 3, maxNewTokens: 40, split: 'dev', metric: 'teacherForcedExactMatch' },
  },
};
const argv = (output: string, more: Record<string, unknown> = {}) => [
  ...['train', '--config', config],
  ...set({ ...settings, output: path(output), ...more }),
];
const whole = await succeed(...argv('whole'));

describe('training on several tasks of MMLA', () => {
  it('has the length that epochs and weights say, and records it', async () => {
    // Four samples and three: two steps an epoch, of 60.
    expect(whole.err).toContain(
      '30 epochs of 6 samples, 7 drawn in each by data.mmla.weights (train.epochs): 60 steps.',
    );
    expect(whole.err).toContain('MMLA: MOSI 4 train, 2 dev, 1 test; MUStARD 2 train, 1 dev, 1 test.');
    const metrics = await readMetrics(path('whole'));
    expect(metrics).toHaveLength(60);
    expect(metrics.at(-1)).toMatchObject({ samples: 30 * 7 });
    // The six steps of warm-up rise, the first of them from 0.
    const rates = metrics.map(({ lr }) => lr as number);
    expect([rates[0], rates.indexOf(Math.max(...rates))]).toEqual([0, 6]);
    expect(await readFile(path('whole', 'config.yaml'), 'utf8')).toMatch(
      /\n {2}steps: 60\n {2}epochs: 30 # set by user\n/,
    );
  });

  it('goes on exactly where it was stopped, in the middle of an epoch', async () => {
    const base = { ...settings.train, parts: { decoder: 'lora' }, schedule: { type: 'constant' } };
    const train = (output: string, epochs: number) =>
      succeed(...argv(output, { train: { ...base, epochs, batchSize: 2, validation: null } }));
    await train('unstopped', 5);
    await train('stopped', 2.5);
    const { err } = await train('stopped', 5);
    expect(err).toContain('10 of 20 steps done, 18 samples seen, sample 4 of 7 in epoch 3');
    expect(await readMetrics(path('stopped'))).toEqual(await readMetrics(path('unstopped')));
    const tensors = (name: string) => readTensorFiles(path(name, 'checkpoints', 'step-000020'));
    expect(await tensors('stopped')).toEqual(await tensors('unstopped'));
  });

  it('selects by the share of samples that are right token for token', async () => {
    const lines = await readLines(path('whole', 'validation.jsonl'));
    const measured = lines.map(({ metrics }) => metrics as Record<string, number>);
    expect(Object.keys(measured[0]!)).toEqual([
      ...['exactMatch', 'taskAccuracy', 'taskWeightedF1', 'taskInvalid'],
      ...['MOSI', 'MUStARD'].flatMap((task) =>
        ['taskAccuracy', 'taskWeightedF1', 'taskInvalid'].map((name) => `${name}/${task}`),
      ),
      'teacherForcedExactMatch',
    ]);
    // It has learnt all words by heart, and one sample contradicts them.
    expect(measured.at(-1)).toMatchObject({ teacherForcedExactMatch: 2 / 3, taskAccuracy: 2 / 3 });
    const values = measured.map((metrics) => metrics.teacherForcedExactMatch!);
    const first = (1 + values.indexOf(Math.max(...values))) * 20;
    expect((await readFile(path('whole', 'checkpoints', 'best'), 'utf8')).trim()).toBe(
      `step-${String(first).padStart(6, '0')}`,
    );
    expect(whole.err).toMatch(/Best by teacherForcedExactMatch \(66\.67 %\)/);
  });

  it('counts what the logits of each sample alone say', async () => {
    const { config: trained } = loadConfig({ config: path('whole', 'config.yaml') });
    const model = await openAffectGpt(trained);
    const { parameters } = await loadWeights(path('whole', 'checkpoints', 'step-000060'), model.trainable);
    const all = await readRecords(recordsLocation(trained));
    const { source } = await openSamples({
      ...{ config: trained, model, engine: await createEngine(trained.engine), forTraining: true },
      records: all.filter(({ split }) => split === 'dev'),
      notify: () => {},
    });
    const { entries } = await openSafetensors(path('models', 'llm', 'model.safetensors'));
    const frozen: HostTensorMap = Object.fromEntries(
      await Promise.all(
        [...entries].map(async ([name, entry]) => [
          name,
          { dtype: 'float32', shape: entry.shape, data: await readFloat32(entry) },
        ]),
      ),
    );
    const tensors = (values: HostTensorMap) =>
      Object.fromEntries(
        Object.entries(values).map(([name, { dtype, shape, data }]) => [
          name,
          tf.tensor(data, [...shape], dtype),
        ]),
      );
    const known = new Parameters(tensors({ ...frozen, ...parameters }));
    const exact: string[] = [];
    for (const name of source.names) {
      const { inputs } = await source.loadBatch([name], { epoch: 0 });
      const { logits } = affectGptLoss(
        model.config,
        known,
        tensors(inputs) as unknown as AffectGptLossInputs,
      );
      const chosen = tf.argMax(logits, -1).dataSync();
      if ([...chosen].every((token, i) => token === inputs.targets!.data[i])) exact.push(name);
    }
    expect(exact).toEqual(['MOSI_b_0', 'MUStARD_e_0']);
  });
});
