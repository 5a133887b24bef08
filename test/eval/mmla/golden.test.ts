import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGold } from '../../../src/data/mmla/read-file.ts';
import { type MmlaTaskKey, mmlaTask, mmlaTasks } from '../../../src/data/mmla/tasks.ts';
import { evaluateMmlaTask, readAnswerSet } from '../../../src/eval/mmla/evaluate.ts';
import { microAverage } from '../../../src/eval/mmla/leaderboard/averages.ts';
import { testLabelCounts } from '../../../src/eval/mmla/leaderboard/baselines.ts';
import type { TaskCells } from '../../../src/eval/mmla/leaderboard/row.ts';
import {
  type MmlaMetrics,
  mmlaMetricNames,
  roundedPercent,
  scoreMmla,
} from '../../../src/eval/mmla/metrics.ts';
import { parseMmlaAnswer } from '../../../src/eval/mmla/parse-answer.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

/** ACC, F1, P, R, WF1 and WP in percent. */
type Vector = readonly [number, number, number, number, number, number];
const percents = (metrics: MmlaMetrics) => mmlaMetricNames.map((name) => roundedPercent(metrics[name]));

/** What scikit-learn 1.9.1 makes of answers by rule on the gold labels of the released test files, in their order. */
const golden: Partial<
  Record<MmlaTaskKey, { majority: Vector; cyclic?: Vector; invalid: Vector; file: string }>
> = {
  MIntRec: {
    majority: [12.81, 1.14, 0.64, 5, 2.91, 1.64],
    cyclic: [3.37, 3.33, 3.36, 3.92, 3.39, 4.24],
    invalid: [85.84, 83.64, 90.91, 77.87, 92.22, 100],
    file: 'mmla/MIntRec/test.jsonl',
  },
  'Ch-sims': {
    majority: [47.24, 21.39, 15.75, 33.33, 30.31, 22.31],
    cyclic: [32.59, 30.42, 32.6, 32.63, 34.77, 39.57],
    invalid: [85.84, 55.52, 60, 51.67, 92.38, 100],
    file: 'mmla/Ch-sims/test.jsonl',
  },
  MUStARD: {
    majority: [50, 33.33, 25, 50, 33.33, 25],
    cyclic: [49.28, 49.28, 49.28, 49.28, 49.28, 49.28],
    invalid: [85.51, 46.09, 50, 42.75, 92.19, 100],
    file: 'mmla/MUStARD/test.jsonl',
  },
  MELD: {
    majority: [48.12, 9.28, 6.87, 14.29, 31.27, 23.16],
    invalid: [85.98, 72.08, 77.78, 67.17, 92.46, 100],
    file: 'meld/test_sent_emo.csv',
  },
};

/** The most frequent label, the first by alphabet of several. */
function majorityLabel(counts: Readonly<Record<string, number>>): string {
  const most = Math.max(...Object.values(counts));
  return Object.keys(counts)
    .filter((label) => counts[label] === most)
    .toSorted()[0]!;
}

/** The score of always answering the most frequent label, from the numbers of labels alone. */
function majorityMetrics(key: MmlaTaskKey): { metrics: MmlaMetrics; n: number } {
  const counts = testLabelCounts[key];
  const gold = Object.entries(counts).flatMap(([label, count]) => Array<string>(count).fill(label));
  const answer = majorityLabel(counts);
  return scoreMmla(
    mmlaTask(key),
    'compat',
    gold,
    gold.map(() => answer),
  );
}

describe('the most frequent label, always', () => {
  it.each<[MmlaTaskKey, Vector]>([
    ...Object.entries(golden).map(([key, { majority }]): [MmlaTaskKey, Vector] => [
      mmlaTask(key).key,
      majority,
    ]),
    ['MOSI', [50.58, 33.59, 25.29, 50, 33.98, 25.59]],
    ['AnnoMi-therapist', [33.77, 12.62, 8.44, 25, 17.05, 11.41]],
  ])('has the published figures of %s', (key, expected) => {
    expect(percents(majorityMetrics(key).metrics)).toEqual(expected);
  });

  it('comes to 34.28 over all tasks', () => {
    const cells: TaskCells = Object.fromEntries(
      mmlaTasks.map(({ key }) => {
        const { metrics, n } = majorityMetrics(key);
        return [key, { metrics: { ACC: 100 * metrics.ACC }, samples: n }];
      }),
    );
    expect(microAverage(cells, 'ACC')?.value.toFixed(2)).toBe('34.28');
  });
});

for (const [name, { majority, cyclic, invalid, file }] of Object.entries(golden)) {
  const [root, ...rest] = file.split('/') as ['mmla' | 'meld', ...string[]];
  const gold = path.join(publishedFiles[root], ...rest);
  const task = mmlaTask(name);
  const { labels } = task;

  describe.skipIf(isMissing(`golden vectors of ${name}`, gold))(
    `answers by rule to the released test file of ${name}`,
    () => {
      const rules: [rule: string, expected: Vector, answers: (gold: string, i: number) => string][] = [
        ['all-majority', majority, () => majorityLabel(testLabelCounts[task.key])],
        ...(cyclic === undefined
          ? []
          : ([['cyclic', cyclic, (_, i) => labels[(7 * i + 3) % labels.length]!]] as typeof rules)),
        [
          'gold with invalid ones',
          invalid,
          (label, i) => (i % 10 === 0 ? '' : i % 25 === 1 ? `${labels[0]} or ${labels[1]}` : label),
        ],
      ];
      it.each(rules)('have the published figures: %s', async (_, expected, answer) => {
        const folder = await mkdtemp(path.join(tmpdir(), 'mmla-golden-'));
        const predictions = path.join(folder, 'answers.jsonl');
        const records = await readGold(gold, task, 'test');
        const lines = records.map(({ label }, i) => `${JSON.stringify({ text: answer(label, i) })}\n`);
        await writeFile(predictions, lines.join(''));
        const set = await readAnswerSet({ task, split: 'test', predictions: [predictions], gold });
        const { report } = evaluateMmlaTask(set, { mode: 'compat', bootstrap: { seed: 1 } });
        expect(percents(report.metrics)).toEqual(expected);
        expect(report.n).toBe(task.counts.test);
        await rm(folder, { recursive: true });
      });

      it('have gold labels that parse to themselves', async () => {
        for (const { label } of await readGold(gold, task, 'test')) {
          expect(parseMmlaAnswer(task, `${task.dimension}: ${label}`)).toBe(label);
        }
      });
    },
  );
}
