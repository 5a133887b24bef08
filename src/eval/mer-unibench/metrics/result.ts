import type { SampleCounts } from '../../bootstrap.ts';
import type { WheelLevel, WheelNumber, WheelTable } from '../tables.ts';

/**
 * `paper`: the rules of the published evaluation, whatever one thinks of them. `strict`: every label counts. They are
 * described in docs/mer-unibench.md.
 */
export type Protocol = 'paper' | 'strict';

/** What was scored on one wheel. */
export interface WheelScore {
  readonly wheel: WheelNumber;
  readonly level: WheelLevel;
  readonly score: number;
  readonly precision?: number;
  readonly recall?: number;
  readonly mscore?: number;
  readonly nScored: number;
  /** Samples none of whose labels the wheel knows: left out under `paper`, scored under `strict`. */
  readonly nUnmapped: number;
  /** Samples of whose predictions no group is left; those are wrong where they count. */
  readonly nEmptyPredictions: number;
}

/** One sample on one wheel; `undefined` in place of it where the sample is left out. */
export interface SampleOnWheel {
  readonly labels: readonly string[];
  readonly predicted: readonly string[];
  readonly score: number;
}

export interface LabelSampleScore {
  readonly name: string;
  /** Mean over the wheels on which the sample counts; `null` where it counts on none. */
  readonly score: number | null;
  /** Groups and score on each wheel. */
  readonly perWheel: readonly (SampleOnWheel | undefined)[];
}

/** What all metrics of the benchmark give. Fractions, unrounded; NaN is `null` in JSON. */
export interface MetricResult {
  readonly metric: 'hit' | 'sentiment' | 'ew';
  readonly protocol: Protocol;
  /** All samples. */
  readonly n: number;
  /** Samples that count, on one wheel at least. */
  readonly nScored: number;
  /** The main score. */
  readonly score: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly perSample: readonly { readonly name: string; readonly score: number | null }[];
  /** The main score of the sample drawn anew; NaN where nothing of what was drawn counts. */
  scoreOf(counts: SampleCounts): number;
}

/** A metric by the groups of emotion wheels. */
export interface WheelResult extends MetricResult {
  readonly wheelTable: WheelTable;
  readonly level: WheelLevel;
  readonly perWheel: readonly WheelScore[];
  readonly perSample: readonly LabelSampleScore[];
}

/** NaN for none, as numpy. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
