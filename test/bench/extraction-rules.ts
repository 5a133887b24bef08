import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { benchmarkDatasets } from '../../src/eval/mer-unibench/datasets.ts';
import { extractLabels } from '../../src/eval/mer-unibench/extract-rules.ts';
import { rulesExtractor } from '../../src/eval/mer-unibench/extractor.ts';
import { readLabels } from '../../src/eval/mer-unibench/labels.ts';
import { scoreEmotionWheels } from '../../src/eval/mer-unibench/metrics/emotion-wheel.ts';
import { type PredictionCheckpoint, readPredictions } from '../../src/eval/mer-unibench/predictions.ts';
import type { AnsweredFiles } from '../../src/eval/mer-unibench/run.ts';
import { chooseWheelTable, evaluateAnswers } from '../../src/eval/mer-unibench/run.ts';
import { sentimentOfLabels } from '../../src/eval/mer-unibench/sentiment-rules.ts';
import { normalizeWord } from '../../src/eval/mer-unibench/words.ts';

/** An answer, what the published extractor made of it, and what the rules do. */
interface Pair {
  readonly stored: ReadonlySet<string>;
  readonly rules: ReadonlySet<string>;
}

const setOf = (words: readonly string[]): Set<string> =>
  new Set(words.map(normalizeWord).filter((word) => word !== ''));
const withoutNeutral = (words: ReadonlySet<string>): Set<string> =>
  new Set([...words].filter((word) => word !== 'neutral'));
const share = (part: number, whole: number): number => Number((part / whole).toFixed(4));

/** How often the sets are the same, and the mean of their F1; two empty sets agree. */
function agreement(pairs: readonly Pair[]) {
  let same = 0;
  let f1 = 0;
  for (const { stored, rules } of pairs) {
    const common = [...rules].filter((word) => stored.has(word)).length;
    if (common === stored.size && common === rules.size) same++;
    f1 += stored.size + rules.size === 0 ? 1 : (2 * common) / (stored.size + rules.size);
  }
  return { exact: share(same, pairs.length), f1: share(f1, pairs.length) };
}

function pairsOf(checkpoints: readonly PredictionCheckpoint[]): Pair[] {
  return checkpoints.flatMap(({ samples }) =>
    [...samples.values()].flatMap(({ text, labels }) =>
      text === undefined || labels === undefined
        ? []
        : [{ stored: setOf(labels), rules: setOf(extractLabels(text)) }],
    ),
  );
}

/** The rules against the extractor, by the wheels, as if the extractor were right. */
function onWheels(pairs: readonly Pair[]) {
  const samples = pairs.map(({ stored, rules }, i) => ({
    ...{ name: String(i).padStart(6, '0'), labels: [...stored], predicted: [...rules] },
  }));
  const { f, precision, recall } = scoreEmotionWheels(samples, { protocol: 'paper' }).metrics;
  return { f: share(f!, 1), precision: share(precision!, 1), recall: share(recall!, 1) };
}

function sentiments(checkpoints: readonly PredictionCheckpoint[]) {
  const predictions = checkpoints.flatMap(({ samples }) => [...samples.values()]);
  const complete = predictions.filter(({ text, labels, sentiment }) => text && labels && sentiment);
  const agree = (of: (prediction: (typeof complete)[0]) => string) =>
    share(complete.filter((one) => of(one) === normalizeWord(one.sentiment!)).length, complete.length);
  return {
    answers: complete.length,
    givenTheWords: agree(({ labels }) => sentimentOfLabels(labels!)),
    givenTheText: agree(({ text }) => sentimentOfLabels(extractLabels(text!))),
  };
}

/** Least and greatest main score over the checkpoints. */
async function range(answered: AnsweredFiles, protocol: 'paper' | 'strict', extractor: 'stored' | 'rules') {
  const scores: number[] = [];
  for (const checkpoint of answered.predictions.checkpoints) {
    const one = { ...answered, predictions: { checkpoints: [checkpoint], findings: [] } };
    const { sets } = await evaluateAnswers([one], {
      ...{ protocol, wheelTable: chooseWheelTable(protocol, undefined), extractor },
      ...{ level: 1, allLevels: false, seed: 1, resamples: 1, notify: () => undefined },
      openExtractor: async () => ({ extractor: rulesExtractor }),
    });
    scores.push(sets[0]!.checkpoints[0]!.result.score);
  }
  return [Math.min(...scores), Math.max(...scores)].map((score) => share(score, 1));
}

/**
 * How well the rules do what the published extractor did, on published answers with their companions: the figures of
 * docs/mer-unibench.md. One line each.
 *
 * @param folder with `predictions/mer2023`, `predictions/cmumosi` and `labels`
 */
export async function measureRules(folder: string): Promise<object[]> {
  const sets = ['mer2023', 'cmumosi'] as const;
  const labelFile = (key: string) =>
    readdirSync(join(folder, 'labels')).find((name) => name.startsWith(key))!;
  const answered: AnsweredFiles[] = [];
  for (const key of sets) {
    answered.push({
      key,
      labels: await readLabels(benchmarkDatasets[key], join(folder, 'labels', labelFile(key))),
      predictions: await readPredictions(join(folder, 'predictions', key)),
    });
  }
  const pairs = answered.flatMap(({ predictions }) => pairsOf(predictions.checkpoints));
  const [, mosi] = answered;
  const bare = pairs.map(({ stored, rules }) => ({
    ...{ stored: withoutNeutral(stored), rules: withoutNeutral(rules) },
  }));
  const lines: object[] = [
    { bench: 'extraction-rules', what: 'sets of words', answers: pairs.length, ...agreement(pairs) },
    { bench: 'extraction-rules', what: 'without neutral', answers: pairs.length, ...agreement(bare) },
    { bench: 'extraction-rules', what: 'groups of the wheels', answers: pairs.length, ...onWheels(pairs) },
    { bench: 'extraction-rules', what: 'sentiments', ...sentiments(mosi!.predictions.checkpoints) },
  ];
  for (const one of answered) {
    for (const protocol of ['paper', 'strict'] as const) {
      const [stored, rules] = [await range(one, protocol, 'stored'), await range(one, protocol, 'rules')];
      lines.push({ bench: 'extraction-rules', what: 'scores', dataset: one.key, protocol, stored, rules });
    }
  }
  return lines;
}
