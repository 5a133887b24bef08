import type { MmlaTaskKey } from '../../../data/mmla/tasks.ts';
import type { BoardMetric } from './row.ts';

type ByTask<Value> = Partial<Readonly<Record<MmlaTaskKey, Value>>>;

/** By model and task: a number for each of `boardMetrics`, null where it could not be read. */
export type SixMetricsTable = Readonly<Record<string, ByTask<readonly (number | null)[]>>>;

/** By model: ACC for each task in the order of the registry, null where it could not be read. */
export type AccuracyTable = Readonly<Record<string, readonly (number | null)[]>>;

/** By task: mean and standard deviation over seeds for each of `boardMetrics`. */
export type SeedsTable = ByTask<readonly (readonly number[])[]>;

/** By task: ACC, WF1, F1. */
export type FloorTable = ByTask<readonly (number | null)[]>;

/** By model: the score of a published leaderboard. */
export type Scores = Readonly<Record<string, number>>;

/** Numbers of a table that were not read as they were printed. */
export interface Misread {
  readonly model: string;
  readonly task: MmlaTaskKey;
  readonly metrics: readonly BoardMetric[];
  /** What was probably printed, where anything is known. */
  readonly note: string;
}
