import type { BenchmarkKey } from '../../../src/eval/mer-unibench/datasets.ts';
import { rulesExtractor } from '../../../src/eval/mer-unibench/extractor.ts';
import type { Prediction } from '../../../src/eval/mer-unibench/predictions.ts';
import { type EvaluationOptions, evaluateAnswers } from '../../../src/eval/mer-unibench/run.ts';
import type { Truths } from '../../../src/eval/mer-unibench/truths.ts';

export interface GivenSet {
  readonly key: BenchmarkKey;
  readonly truths: Readonly<Record<string, readonly string[] | number>>;
  /** By checkpoint and sample. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, Prediction>>>>;
  readonly reversed?: boolean;
}

const entries = <Value>(object: Readonly<Record<string, Value>>, reversed = false): [string, Value][] =>
  reversed ? Object.entries(object).reverse() : Object.entries(object);

/** Scores answers that a test makes up, as if they had been read from files. */
export async function evaluateGiven(sets: readonly GivenSet[], options: Partial<EvaluationOptions> = {}) {
  const notes: string[] = [];
  const protocol = options.protocol ?? 'strict';
  const answered = sets.map(({ key, truths, answers, reversed }) => {
    const of = new Map(entries(truths, reversed));
    const isSentiment = typeof Object.values(truths)[0] === 'number';
    return {
      key,
      labels: {
        file: `${key}-labels`,
        truths: { kind: isSentiment ? 'sentiment' : 'labels', of } as Truths,
        ...{ outsideSplit: 0, findings: [] },
      },
      predictions: {
        checkpoints: entries(answers).map(([name, samples]) => ({
          ...{ name, files: [`${key}/${name}`], findings: [] },
          samples: new Map(entries(samples, reversed)),
        })),
        findings: [],
      },
    };
  });
  const evaluation = await evaluateAnswers(answered, {
    ...{ protocol, level: 1, allLevels: false, seed: 1, resamples: 50 },
    wheelTable: protocol === 'paper' ? 'published' : 'corrected',
    openExtractor: async () => ({ extractor: rulesExtractor }),
    notify: (message) => void notes.push(message),
    ...options,
  });
  return { evaluation, notes };
}
