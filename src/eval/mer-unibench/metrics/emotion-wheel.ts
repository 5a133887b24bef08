import type { SampleCounts } from '../../bootstrap.ts';
import type { LabelSample } from '../samples.ts';
import type { WheelLevel } from '../tables.ts';
import { WHEELS } from '../tables.ts';
import type { GroupedSample, GroupingOptions, Step } from './groups.ts';
import { groupSamples, normalizeSamples, overlap, wheelTableOf } from './groups.ts';
import type { Protocol, SampleOnWheel, WheelResult } from './result.ts';
import { mean } from './result.ts';

export interface EmotionWheelOptions extends GroupingOptions {
  /** Default 1. */
  readonly level?: WheelLevel;
}

/** Precision and recall of each sample under one grouping; 0 where it is left out. */
interface SetScores {
  readonly grouped: readonly GroupedSample[];
  /** 1 or 0. */
  readonly counted: Uint8Array;
  readonly precision: Float64Array;
  readonly recall: Float64Array;
}

interface Figures {
  readonly f: number;
  readonly precision: number;
  readonly recall: number;
  readonly nScored: number;
}

/**
 * Scores open vocabularies by the emotion wheels (F_s, P_s, R_s; EW-based metrics of ICML 2025, section 4.2). On each
 * wheel a sample has the set G of groups of its labels and P of its predictions: precision |G∩P| / |P|, recall
 * |G∩P| / |G|, both 0 where P is empty. P_k and R_k are means over the samples, F_k = 2 P_k R_k / (P_k + R_k), and the
 * scores are means of these over the five wheels. Under `paper` samples without G are left out, and F_k is NaN where
 * P_k = R_k = 0; under `strict` G is never empty, and F_k is 0.
 *
 * @throws InputError of `inOrder`
 */
export function scoreEmotionWheels(
  samples: readonly LabelSample[],
  options: EmotionWheelOptions,
): WheelResult {
  const { protocol, level = 1 } = options;
  const ordered = normalizeSamples(samples);
  const wheels = WHEELS.map((wheel) => scoreSets(ordered, { wheel, level }, options));
  const figures = wheels.map((scores) => summarize(scores, protocol));
  const perWheel = WHEELS.map((wheel, i) => ({
    ...{ wheel, level },
    score: figures[i]!.f,
    precision: figures[i]!.precision,
    recall: figures[i]!.recall,
    nScored: figures[i]!.nScored,
    nUnmapped: wheels[i]!.grouped.filter(({ mapped }) => !mapped).length,
    nEmptyPredictions: wheels[i]!.grouped.filter(({ predicted }) => predicted.length === 0).length,
  }));
  const perSample = ordered.map(({ name }, sample) => {
    const onWheels = wheels.map((scores) => sampleOnWheel(scores, sample));
    const counted = onWheels.filter((score) => score !== undefined);
    const score = counted.length === 0 ? null : mean(counted.map((one) => one.score));
    return { name, score, perWheel: onWheels };
  });
  const meanOf = (key: 'f' | 'precision' | 'recall') => mean(figures.map((figure) => figure[key]));
  return {
    ...{ metric: 'ew', protocol, wheelTable: wheelTableOf(options), level },
    n: ordered.length,
    nScored: perSample.filter(({ score }) => score !== null).length,
    score: meanOf('f'),
    metrics: { f: meanOf('f'), precision: meanOf('precision'), recall: meanOf('recall') },
    ...{ perWheel, perSample },
    scoreOf: (counts) => mean(wheels.map((scores) => summarize(scores, protocol, counts).f)),
  };
}

/** Groupings of `scoreTwelve`, in its order. */
export const TWELVE_STEPS: readonly Step[] = [
  'case1',
  'case2',
  ...WHEELS.flatMap((wheel) => [
    { wheel, level: 1 as const },
    { wheel, level: 2 as const },
  ]),
];

/** F under twelve groupings: word forms, synonyms, then levels 1 and 2 of each wheel (OV-MER's report). */
export function scoreTwelve(samples: readonly LabelSample[], options: GroupingOptions): number[] {
  const ordered = normalizeSamples(samples);
  return TWELVE_STEPS.map((step) => summarize(scoreSets(ordered, step, options), options.protocol).f);
}

function scoreSets(samples: readonly LabelSample[], step: Step, options: GroupingOptions): SetScores {
  const grouped = groupSamples(samples, step, options);
  const counted = Uint8Array.from(grouped, ({ labels }) => (labels.length === 0 ? 0 : 1));
  const precision = new Float64Array(grouped.length);
  const recall = new Float64Array(grouped.length);
  grouped.forEach(({ labels, predicted }, i) => {
    const common = overlap(labels, predicted);
    if (common === 0) return;
    precision[i] = common / predicted.length;
    recall[i] = common / labels.length;
  });
  return { grouped, counted, precision, recall };
}

function summarize(
  { counted, precision, recall }: SetScores,
  protocol: Protocol,
  counts: SampleCounts = counted,
): Figures {
  let nScored = 0;
  let precisions = 0;
  let recalls = 0;
  for (let i = 0; i < counted.length; i++) {
    const count = counts[i]!;
    nScored += count * counted[i]!;
    precisions += count * precision[i]!;
    recalls += count * recall[i]!;
  }
  const [p, r] = [precisions / nScored, recalls / nScored];
  return { f: harmonicMean(p, r, protocol), precision: p, recall: r, nScored };
}

function harmonicMean(precision: number, recall: number, protocol: Protocol): number {
  const sum = precision + recall;
  return sum === 0 && protocol === 'strict' ? 0 : (2 * precision * recall) / sum;
}

function sampleOnWheel(
  { grouped, counted, precision, recall }: SetScores,
  sample: number,
): SampleOnWheel | undefined {
  if (counted[sample] === 0) return undefined;
  const { labels, predicted } = grouped[sample]!;
  return { labels, predicted, score: harmonicMean(precision[sample]!, recall[sample]!, 'strict') };
}
