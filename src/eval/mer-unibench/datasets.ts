import { suggest } from '../../config/suggest.ts';
import type { ClipLayout } from '../../data/clip-layouts.ts';
import { clipLayouts } from '../../data/clip-layouts.ts';
import { InputError } from '../../errors.ts';
import type { MetricResult } from './metrics/result.ts';

/** What a label file says about a sample. */
export type LabelSource =
  /** A dictionary in an npz: name to `{emo, val}`. `emotions` are the words that integers in `emo` stand for. */
  | { readonly kind: 'emotion'; readonly corpus: string; readonly emotions?: readonly string[] }
  /** The same; `val` is the strength of a sentiment. */
  | { readonly kind: 'sentiment'; readonly corpus: string }
  /** A CSV with `name` and a list of words in this column. */
  | { readonly kind: 'openset'; readonly column: string };

/** A part of a label file that is not the test split. */
export interface OtherSplit {
  /** The same corpus as the test split's: what of it is not tested. */
  readonly corpus: string;
  readonly count: number;
}

/** A set of the benchmark. */
export interface BenchmarkDataset {
  /** As the papers write it. */
  readonly title: string;
  readonly metric: MetricResult['metric'];
  /** Below the folder of the layout. */
  readonly labelFile: string;
  readonly labels: LabelSource;
  /** The part of the label file that is the test split; all of it where absent. */
  readonly isTest?: (name: string) => boolean;
  /** Samples of the test split. */
  readonly count: number;
  /** What else the label file holds, by the name of the split. */
  readonly otherSplits?: Readonly<Record<string, OtherSplit>>;
  /** CSV with the `name` of each sample that is answered about, where that is not the label file. */
  readonly askedFile?: string;
  /** Whether it is one of the nine sets whose main scores the papers average. */
  readonly inMean: boolean;
  readonly layout: ClipLayout;
}

const sentiment: Pick<BenchmarkDataset, 'metric' | 'labelFile' | 'labels' | 'inMean'> = {
  metric: 'sentiment',
  labelFile: 'label.npz',
  labels: { kind: 'sentiment', corpus: 'test_corpus' },
  inMean: true,
};

const openset: Pick<BenchmarkDataset, 'metric' | 'labels'> = {
  metric: 'ew',
  labels: { kind: 'openset', column: 'openset' },
};

const trainAndVal = (train: number, val: number): Pick<BenchmarkDataset, 'otherSplits'> => ({
  otherSplits: {
    train: { corpus: 'train_corpus', count: train },
    val: { corpus: 'val_corpus', count: val },
  },
});

/** Sets of MER-UniBench in the order of the papers, and two more that are scored like them. */
export const benchmarkDatasets = {
  mer2023: {
    ...{ title: 'MER2023', metric: 'hit', count: 411, inMean: true, layout: clipLayouts.mer2023 },
    labelFile: 'label-6way.npz',
    labels: { kind: 'emotion', corpus: 'test1_corpus' },
    otherSplits: { train: { corpus: 'train_corpus', count: 3373 } },
  },
  mer2024: {
    ...{ title: 'MER2024', metric: 'hit', count: 1169, inMean: true, layout: clipLayouts.mer2024 },
    labelFile: 'label-6way.npz',
    labels: { kind: 'emotion', corpus: 'test1_corpus' },
  },
  meld: {
    ...{ title: 'MELD', metric: 'hit', count: 2610, inMean: true, layout: clipLayouts.meld },
    labelFile: 'label.npz',
    labels: {
      ...{ kind: 'emotion', corpus: 'test_corpus' },
      emotions: ['anger', 'joy', 'sadness', 'neutral', 'disgust', 'fear', 'surprise'],
    },
    ...trainAndVal(9989, 1109),
  },
  iemocapfour: {
    ...{ title: 'IEMOCAP', metric: 'hit', count: 1241, inMean: true, layout: clipLayouts.iemocapfour },
    labelFile: 'label_4way.npz',
    labels: {
      ...{ kind: 'emotion', corpus: 'whole_corpus' },
      emotions: ['happy', 'sad', 'neutral', 'anger'],
    },
    /** Session 5; names begin with `Ses05`. */
    isTest: (name) => name[4] === '5',
    /** The other four sessions. */
    otherSplits: { train: { corpus: 'whole_corpus', count: 4290 } },
  },
  cmumosi: {
    ...{ title: 'CMU-MOSI', ...sentiment, count: 686, layout: clipLayouts.cmumosi },
    ...trainAndVal(1284, 229),
  },
  cmumosei: {
    ...{ title: 'CMU-MOSEI', ...sentiment, count: 4659, layout: clipLayouts.cmumosei },
    ...trainAndVal(16_326, 1871),
  },
  sims: {
    ...{ title: 'CH-SIMS', ...sentiment, count: 457, layout: clipLayouts.sims },
    ...trainAndVal(1368, 456),
  },
  simsv2: {
    ...{ title: 'CH-SIMS v2', ...sentiment, count: 1034, layout: clipLayouts.simsv2 },
    ...trainAndVal(2722, 647),
  },
  ovmerdplus: {
    ...{ title: 'OV-MERD+', ...openset, count: 532, inMean: true, layout: clipLayouts.ovmerdplus },
    labelFile: 'ovlabel.csv',
  },
  ovmerd: {
    ...{ title: 'OV-MERD', ...openset, count: 332, inMean: false, layout: clipLayouts.mer2025 },
    labelFile: 'track2_train_ovmerd.csv',
  },
  mer2025ov: {
    ...{ title: 'MER2025-OV', ...openset, count: 20_000, inMean: false, layout: clipLayouts.mer2025 },
    labelFile: 'track2_test.csv',
    /** Of these it is not public which are labelled. */
    askedFile: 'track_all_candidates.csv',
  },
} as const satisfies Record<string, BenchmarkDataset>;

export type BenchmarkKey = keyof typeof benchmarkDatasets;

/** The nine sets whose main scores the papers average. */
export const benchmarkMean: readonly BenchmarkKey[] = Object.entries(benchmarkDatasets)
  .filter(([, { inMean }]) => inMean)
  .map(([key]) => key as BenchmarkKey);

/** @throws InputError `BENCHMARK_DATASET_UNKNOWN` */
export function benchmarkKey(key: string): BenchmarkKey {
  if (Object.hasOwn(benchmarkDatasets, key)) return key as BenchmarkKey;
  const known = Object.keys(benchmarkDatasets);
  const meant = suggest(key, known);
  throw new InputError(
    'BENCHMARK_DATASET_UNKNOWN',
    `MER-UniBench has no set "${key}".${meant === undefined ? '' : ` Did you mean "${meant}"?`} Its sets are ${known.join(', ')}.`,
  );
}

/** @throws InputError `BENCHMARK_DATASET_UNKNOWN` */
export const benchmarkDataset = (key: string): BenchmarkDataset => benchmarkDatasets[benchmarkKey(key)];

/**
 * Another split of a set as a set of its own, to be read and scored like the test split.
 * @throws InputError `BENCHMARK_SPLIT_UNKNOWN`
 */
export function benchmarkSplit(key: string, split: string): BenchmarkDataset {
  const dataset = benchmarkDataset(key);
  if (split === 'test') return dataset;
  const { title, labels, isTest, otherSplits = {} } = dataset;
  const other = Object.hasOwn(otherSplits, split) ? otherSplits[split] : undefined;
  if (other === undefined || labels.kind === 'openset') {
    throw new InputError(
      'BENCHMARK_SPLIT_UNKNOWN',
      `${title} has no split "${split}" here. Known are ${['test', ...Object.keys(otherSplits)].join(', ')}.`,
    );
  }
  const isOther = (name: string): boolean => other.corpus !== labels.corpus || isTest?.(name) === false;
  return {
    ...dataset,
    labels: { ...labels, corpus: other.corpus },
    isTest: isOther,
    count: other.count,
  };
}
