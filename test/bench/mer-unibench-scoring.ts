import { machine, peakMemory, summarise } from '../../src/bench/machine.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { evaluateSet, type ScoringSettings } from '../../src/eval/mer-unibench/evaluate.ts';
import { openGrouping } from '../../src/eval/mer-unibench/grouping.ts';
import type { Prediction } from '../../src/eval/mer-unibench/predictions.ts';

const sampleCount = 20_000;

/** As many made-up samples as MER2025-OV has, of words that the tables know and some that they do not. */
function samples(seed: number) {
  const random = new RandomGenerator(seed);
  const words = [...openGrouping('published').forms, 'neutral', 'blorp', 'unheard of'];
  const draw = (): string[] =>
    Array.from({ length: 2 + random.integer(6) }, () => words[random.integer(words.length)]!);
  const truths = new Map<string, string[]>();
  const answers = new Map<string, Prediction>();
  for (let i = 0; i < sampleCount; i++) {
    const name = `sample_${String(i).padStart(8, '0')}`;
    const labels = draw();
    truths.set(name, labels);
    // Some of what is right, and something else.
    answers.set(name, { labels: [...labels.slice(0, random.integer(4)), ...draw().slice(0, 3)] });
  }
  return { truths, answers };
}

/**
 * Scoring 20,000 samples with open vocabularies on five wheels, from words to every sample's score: `paper`, and `strict`
 * without and with 1,000 resamples of its interval. One line each.
 */
export function benchScoring({ runs }: { readonly runs: number }): object[] {
  const { truths, answers } = samples(7);
  // The tables are read once for all.
  for (const table of ['published', 'corrected'] as const) openGrouping(table).centres(1, 1);
  const score = (settings: ScoringSettings) => {
    const checkpoint = { name: 'made-up', files: ['made-up'], samples: answers, findings: [] };
    const of = new Map(Array.from(answers, ([name, { labels }]) => [name, labels!] as const));
    return evaluateSet(
      {
        key: 'mer2025ov',
        labels: { file: 'made-up', truths: { kind: 'labels', of: truths }, outsideSplit: 0, findings: [] },
        checkpoints: [{ checkpoint, extracted: { kind: 'labels', of, cut: [] } }],
        findings: [],
      },
      settings,
    );
  };
  const base = { level: 1, allLevels: false, seed: 1 } as const;
  const cases = {
    paper: { ...base, protocol: 'paper', wheelTable: 'published', resamples: 0 },
    strict: { ...base, protocol: 'strict', wheelTable: 'corrected', resamples: 0 },
    'strict, 1000 resamples': { ...base, protocol: 'strict', wheelTable: 'corrected', resamples: 1000 },
  } as const;
  return Object.entries(cases).map(([size, settings]) => {
    const times = Array.from({ length: runs }, () => {
      const begin = performance.now();
      score(settings);
      return performance.now() - begin;
    });
    return {
      ...{
        bench: 'mer-unibench-scoring',
        size: `${sampleCount} samples, ${size}`,
        engine: 'none',
        threads: 1,
      },
      ...{ dtype: 'float64', ...summarise(times), tokens_per_s: null, peak_rss_mb: peakMemory(), machine },
    };
  });
}
