import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BenchmarkKey } from '../../../src/eval/mer-unibench/datasets.ts';
import { benchmarkDataset, benchmarkDatasets } from '../../../src/eval/mer-unibench/datasets.ts';
import { readLabels } from '../../../src/eval/mer-unibench/labels.ts';
import { scoreEmotionWheels } from '../../../src/eval/mer-unibench/metrics/emotion-wheel.ts';
import { scoreHitRate } from '../../../src/eval/mer-unibench/metrics/hit-rate.ts';
import type { Protocol } from '../../../src/eval/mer-unibench/metrics/result.ts';
import { scoreSentiment } from '../../../src/eval/mer-unibench/metrics/sentiment.ts';
import { predictionsOf, readPredictions } from '../../../src/eval/mer-unibench/predictions.ts';
import { alignPredictions } from '../../../src/eval/mer-unibench/samples.ts';
import { fixturePath } from '../../support/fixture.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { expectedSets as expected } from './expected-sets.ts';

const keys = Object.keys(benchmarkDatasets) as BenchmarkKey[];
const folderOf = (key: BenchmarkKey) => fixturePath(`npz/sets/${key}`);

/** Scores the stored answers of a set, main score first. */
async function score(labels: string, predictions: string, key: BenchmarkKey, protocol: Protocol) {
  const dataset = benchmarkDataset(key);
  const { truths } = await readLabels(dataset, labels);
  const [checkpoint] = (await readPredictions(predictions)).checkpoints;
  if (truths.kind === 'sentiment') {
    const { pairs } = alignPredictions(truths.of, predictionsOf(checkpoint!, 'sentiment'), '');
    const samples = pairs.map(({ name, truth, predicted }) => ({ name, value: truth, predicted }));
    const { metrics } = scoreSentiment(samples, { protocol });
    return [metrics.waf, metrics.acc];
  }
  const { pairs } = alignPredictions(truths.of, predictionsOf(checkpoint!, 'labels'), []);
  const samples = pairs.map(({ name, truth, predicted }) => ({ name, labels: truth, predicted }));
  if (dataset.metric === 'hit') return [scoreHitRate(samples, { protocol }).score];
  const { metrics } = scoreEmotionWheels(samples, { protocol });
  return [metrics.f!, metrics.precision!];
}

function expectClose(actual: readonly number[], wanted: readonly number[]): void {
  expect(actual).toHaveLength(wanted.length);
  wanted.forEach((value, i) => {
    expect(actual[i]).toBeCloseTo(value, 12);
  });
}

describe.each(keys)('%s', (key) => {
  const dataset = benchmarkDataset(key);
  const labelFile = join(folderOf(key), dataset.labelFile);
  const { truths, outsideSplit, paper, strict } = expected[key];
  const names = truths.map((_, i) => (key === 'iemocapfour' ? `Ses05F_impro0${i}_F000` : `${key}_${i}`));

  it('gives its test split by the published label file', async () => {
    const labels = await readLabels(dataset, labelFile);
    expect([...labels.truths.of]).toEqual(names.map((name, i) => [name, truths[i]]));
    expect(labels.outsideSplit).toBe(outsideSplit);
    const counted = labels.findings.find(({ kind }) => kind === 'count');
    expect(counted).toMatchObject({
      count: 5,
      message: `${labelFile}: 5 labelled samples, and the test split of ${dataset.title} has ${dataset.count}.`,
    });
  });

  it('gives the published answers, with their companions', async () => {
    const { checkpoints, findings } = await readPredictions(join(folderOf(key), 'predictions'));
    expect(findings).toEqual([]);
    expect(checkpoints).toHaveLength(1);
    const [{ name, files, samples, findings: own }] = checkpoints as [(typeof checkpoints)[0]];
    expect([name, files.length]).toEqual([
      'checkpoint_000030_loss_0.602',
      dataset.metric === 'sentiment' ? 3 : 2,
    ]);
    expect(own).toEqual([expect.objectContaining({ kind: 'empty', count: 1, of: [names[4]] })]);
    expect(samples.get(names[0]!)).toEqual({
      text: "The character's emotional state is joyful, excited.",
      ...{ labels: ['joyful', 'excited'], openset: '[joyful, excited]' },
      ...(dataset.metric === 'sentiment' && { sentiment: 'positive' }),
    });
    expect(samples.get(names[4]!)).toMatchObject({ text: '', labels: [], openset: '[]' });
  });

  it('is scored as worked out by hand', async () => {
    const predictions = join(folderOf(key), 'predictions');
    expectClose(await score(labelFile, predictions, key, 'paper'), paper);
    expectClose(await score(labelFile, predictions, key, 'strict'), strict);
  });

  it('is scored the same by files of one own, in another order', async () => {
    const folder = await temporaryFolder();
    const { checkpoints } = await readPredictions(join(folderOf(key), 'predictions'));
    const answers = [...checkpoints[0]!.samples].reverse();
    const predictions = join(folder, 'mine.jsonl');
    const lines = answers.map(([id, { labels, sentiment }]) => JSON.stringify({ id, labels, sentiment }));
    await writeFile(predictions, lines.join('\n'));
    const labels = join(folder, 'labels.csv');
    const rows = truths.map((truth, i) =>
      typeof truth === 'number' ? `${names[i]},${truth}` : `${names[i]},"${truth.join('; ')}"`,
    );
    const column = dataset.metric === 'sentiment' ? 'valence' : 'labels';
    await writeFile(labels, [`name,${column}`, ...rows.reverse()].join('\n'));
    expectClose(await score(labels, predictions, key, 'paper'), paper);
    expectClose(await score(labels, predictions, key, 'strict'), strict);
  });
});

it('integers and words of a label file mean the same', async () => {
  const path = join(await temporaryFolder(), 'labels.jsonl');
  const rows = [
    { name: 'Ses05_a', label: 3 },
    { id: 'Ses05_b', label: 'anger' },
    { name: 'Ses01_c', labels: ['sad'] },
  ];
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const { truths, outsideSplit } = await readLabels(benchmarkDatasets.iemocapfour, path);
  expect([...truths.of]).toEqual([
    ['Ses05_a', ['anger']],
    ['Ses05_b', ['anger']],
  ]);
  expect(outsideSplit).toBe(1);
});
