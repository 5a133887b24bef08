import { type Interval, percentileInterval, resampledScores } from '../bootstrap.ts';
import { type BenchmarkDataset, type BenchmarkKey, benchmarkDatasets } from './datasets.ts';
import type { Extracted, ExtractedKind } from './extraction.ts';
import type { BenchmarkLabels } from './labels.ts';
import { scoreEmotionWheels, scoreTwelve } from './metrics/emotion-wheel.ts';
import { scoreHitRate } from './metrics/hit-rate.ts';
import type { Protocol, WheelResult } from './metrics/result.ts';
import { type SentimentResult, scoreSentiment } from './metrics/sentiment.ts';
import { alignmentFindings, type PredictionCheckpoint } from './predictions.ts';
import { alignPredictions, type LabelSample, type SentimentSample } from './samples.ts';
import { type Finding, scoringFinding, unmappedFindings } from './scoring-findings.ts';
import { bestOf } from './selection.ts';
import type { SetLevelScore } from './set-level.ts';
import type { WheelLevel, WheelTable } from './tables.ts';

/** How answers are scored: what the header of a report states. */
export interface ScoringSettings {
  readonly protocol: Protocol;
  readonly wheelTable: WheelTable;
  readonly level: WheelLevel;
  /** Whether open vocabularies are scored under all twelve groupings too. */
  readonly allLevels: boolean;
  readonly seed: number;
  /** Of the bootstrap; there is none under `paper`, which has no intervals. */
  readonly resamples: number;
}

/** The answers of one checkpoint about one set, and what was found in them. */
export interface ExtractedCheckpoint {
  readonly checkpoint: PredictionCheckpoint;
  readonly extracted: Extracted;
}

/** What is scored of one set. */
export interface AnsweredSet {
  readonly key: BenchmarkKey;
  readonly labels: BenchmarkLabels;
  readonly checkpoints: readonly ExtractedCheckpoint[];
  /** About the folder in which they lie. */
  readonly findings: readonly Finding[];
}

interface CheckpointBase {
  readonly name: string;
  readonly files: readonly string[];
  /** By name of the sample, where known. */
  readonly texts: ReadonlyMap<string, string>;
  /** Under `strict`. */
  readonly interval?: Interval;
  /** The score of every resample, for intervals of means. */
  readonly resampled?: Float64Array;
  readonly findings: readonly Finding[];
}

/** One checkpoint, scored on one set. `samples` are those of `result.perSample`, in the same order. */
export type CheckpointEvaluation = CheckpointBase &
  (
    | {
        readonly kind: 'labels';
        readonly result: WheelResult;
        readonly samples: readonly LabelSample[];
        readonly twelve?: readonly number[];
        /** Where it was asked for; of open vocabularies. */
        readonly setLevel?: SetLevelScore;
      }
    | {
        readonly kind: 'sentiment';
        readonly result: SentimentResult;
        readonly samples: readonly SentimentSample[];
      }
  );

export interface SetEvaluation {
  readonly key: BenchmarkKey;
  readonly dataset: BenchmarkDataset;
  readonly labelFile: string;
  readonly checkpoints: readonly CheckpointEvaluation[];
  /** What counts: the best under `paper` (undefined where none has a score), the only one under `strict`. */
  readonly chosen: CheckpointEvaluation | undefined;
  /** About labels and folder; what is about a checkpoint is in it. */
  readonly findings: readonly Finding[];
}

/** What is scored of the answers about a set. */
export const extractedKind = (dataset: BenchmarkDataset): ExtractedKind =>
  dataset.metric === 'sentiment' ? 'sentiment' : 'labels';

/**
 * Scores checkpoints on one set. Depends on what was read alone, not on its order.
 *
 * @throws InputError of `inOrder`
 */
export function evaluateSet(answered: AnsweredSet, settings: ScoringSettings): SetEvaluation {
  const { key, labels, findings } = answered;
  const dataset: BenchmarkDataset = benchmarkDatasets[key];
  const checkpoints = answered.checkpoints.map((one) => evaluateCheckpoint(one, dataset, labels, settings));
  const chosen = settings.protocol === 'paper' ? bestOf(checkpoints) : checkpoints[0];
  const first = checkpoints[0];
  return {
    ...{ key, dataset, labelFile: labels.file, checkpoints, chosen },
    findings: [
      ...labels.findings,
      ...findings,
      ...(first?.kind === 'labels' ? unmappedFindings(labels.file, first.samples, 'labels', settings) : []),
      ...(first?.kind === 'sentiment' && settings.protocol === 'paper'
        ? neutralFinding(labels.file, first.samples)
        : []),
      ...(chosen === undefined
        ? [
            scoringFinding(
              'no-score',
              labels.file,
              checkpoints.map(({ name }) => name),
              'no checkpoint has a score',
            ),
          ]
        : []),
    ],
  };
}

function neutralFinding(file: string, samples: readonly SentimentSample[]): Finding[] {
  const names = samples.filter(({ value }) => value === 0).map(({ name }) => name);
  const what = 'samples with the valence 0; the protocol "paper" leaves them out';
  return names.length === 0 ? [] : [scoringFinding('neutral-left-out', file, names, what)];
}

function evaluateCheckpoint(
  { checkpoint, extracted }: ExtractedCheckpoint,
  dataset: BenchmarkDataset,
  { truths }: BenchmarkLabels,
  settings: ScoringSettings,
): CheckpointEvaluation {
  const { name, files, samples: predictions } = checkpoint;
  const file = files[0]!;
  const texts = new Map<string, string>();
  for (const [sample, { text }] of predictions) if (text !== undefined) texts.set(sample, text);
  const alignment = alignPredictions<unknown, unknown>(truths.of, predictions, undefined);
  const answered = alignment.pairs.filter((pair) => predictions.has(pair.name)).map((pair) => pair.name);
  const skipped = answered.filter((sample) => !extracted.of.has(sample));
  const findings: Finding[] = [...checkpoint.findings, ...alignmentFindings(alignment, checkpoint)];
  const add = (kind: Parameters<typeof scoringFinding>[0], of: readonly string[], what: string) => {
    if (of.length > 0) findings.push(scoringFinding(kind, file, of, what));
  };
  add(
    'not-extracted',
    skipped,
    `answers without ${extracted.kind === 'labels' ? 'words' : 'sentiment'} to score; scored as empty ones`,
  );
  const base = { name, files, texts, findings };
  if (truths.kind === 'labels' && extracted.kind === 'labels') {
    const samples = alignPredictions<readonly string[], readonly string[]>(
      truths.of,
      extracted.of,
      [],
    ).pairs.map(
      ({ name: sample, truth, predicted }): LabelSample => ({ name: sample, labels: truth, predicted }),
    );
    const silent = answered.filter((sample) => extracted.of.get(sample)?.length === 0);
    add('no-words', silent, 'answers in which no emotion word was found; scored as empty ones');
    findings.push(...unmappedFindings(file, samples, 'predicted', settings));
    const result =
      dataset.metric === 'hit' ? scoreHitRate(samples, settings) : scoreEmotionWheels(samples, settings);
    const twelve = dataset.metric === 'ew' && settings.allLevels ? scoreTwelve(samples, settings) : undefined;
    return {
      ...base,
      ...{ kind: 'labels', result, samples },
      ...(twelve && { twelve }),
      ...intervalOf(result, settings),
    };
  }
  if (truths.kind === 'sentiment' && extracted.kind === 'sentiment') {
    const samples = alignPredictions(truths.of, extracted.of, '').pairs.map(
      ({ name: sample, truth, predicted }): SentimentSample => ({ name: sample, value: truth, predicted }),
    );
    const result = scoreSentiment(samples, settings);
    const invalid = result.invalidPredictions.filter((sample) => extracted.of.has(sample));
    const effect = settings.protocol === 'paper' ? 'they count as negative' : 'they are wrong';
    add('no-sentiment', invalid, `answers that are none of positive, negative and neutral; ${effect}`);
    return { ...base, ...{ kind: 'sentiment', result, samples }, ...intervalOf(result, settings) };
  }
  throw new Error(`${dataset.title}: ${truths.kind} cannot be compared with ${extracted.kind}.`);
}

function intervalOf(
  result: WheelResult | SentimentResult,
  { protocol, seed, resamples }: ScoringSettings,
): Pick<CheckpointBase, 'interval' | 'resampled'> {
  if (protocol === 'paper') return {};
  const options = { seed, resamples };
  const resampled = resampledScores(result, options);
  return { resampled, interval: percentileInterval(resampled, options) };
}

/** The mean of the main scores of some sets. */
export interface MeanScore {
  readonly key: 'fine' | 'basic' | 'sentiment' | 'mean';
  readonly title: string;
  readonly score: number;
  /** Sets that are in it, and how many there are. */
  readonly sets: readonly BenchmarkKey[];
  readonly of: number;
  readonly interval?: Interval;
}

const means = [
  { key: 'fine', title: 'fine-grained', metrics: ['ew'] },
  { key: 'basic', title: 'basic', metrics: ['hit'] },
  { key: 'sentiment', title: 'sentiment', metrics: ['sentiment'] },
  { key: 'mean', title: 'mean', metrics: ['ew', 'hit', 'sentiment'] },
] as const;

/** Sets of the published mean that each mean is over, in the order of the papers. */
export const MEANS = means.map(({ key, title, metrics }) => ({
  ...{ key, title },
  sets: (Object.keys(benchmarkDatasets) as BenchmarkKey[]).filter((set) => {
    const { inMean, metric } = benchmarkDatasets[set];
    return inMean && metrics.some((one) => one === metric);
  }),
}));

/**
 * The paper's means: plain means of the main scores, NaN where one of them is. The mean over all sets is given for the sets
 * that were scored, from two on; the others only where all of their sets were.
 */
export function meanScores(sets: readonly SetEvaluation[], settings: ScoringSettings): MeanScore[] {
  return MEANS.flatMap(({ key, title, sets: members }): MeanScore[] => {
    const present = sets.filter((set) => members.includes(set.key));
    const isWorthIt = key === 'mean' ? present.length > 1 : present.length === members.length;
    if (!isWorthIt) return [];
    const score = average(present.map(({ chosen }) => chosen?.result.score ?? Number.NaN));
    const resampled = present.map(({ chosen }) => chosen?.resampled);
    const base = { key, title, score, sets: present.map((set) => set.key), of: members.length };
    if (!resampled.every((scores) => scores !== undefined)) return [base];
    const scores = resampled[0]!.map((_, i) => average(resampled.map((of) => of[i]!)));
    const { seed, resamples } = settings;
    return [{ ...base, interval: percentileInterval(scores, { seed, resamples }) }];
  });
}

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
