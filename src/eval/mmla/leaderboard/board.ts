import {
  type MmlaDimension,
  type MmlaTask,
  type MmlaTaskKey,
  mmlaDimensions,
  mmlaTasks,
  paperTasks,
} from '../../../data/mmla/tasks.ts';
import { type Average, isWhole, microAverage, unweightedMean } from './averages.ts';
import { floorRows } from './baselines.ts';
import { isChosen, type RowFilter } from './filter.ts';
import { wilsonInterval } from './intervals.ts';
import { publishedRows } from './published.ts';
import { type Place, places } from './ranks.ts';
import type { BoardInterval, BoardMetric, LeaderboardRow } from './row.ts';

/** Sums of printed numbers and printed sums may differ that much by rounding. */
const boardTolerance = 0.03;

/** Samples of tasks on the published leaderboards. */
export const samplesOf = (tasks: readonly MmlaTask[]): number =>
  tasks.reduce((sum, { leaderboardCount }) => sum + leaderboardCount, 0);

/** Those of all tasks. */
export const leaderboardSamples = samplesOf(paperTasks);

/** What a row is ranked by. */
export interface Score {
  readonly value: number;
  readonly interval: BoardInterval | undefined;
  /** `tasks`: the micro average of its numbers; `published`: the published score, where numbers are missing. */
  readonly from: 'tasks' | 'published';
}

/** A row with what follows from its numbers for one metric. */
export interface BoardEntry {
  readonly row: LeaderboardRow;
  readonly micro: Average | undefined;
  readonly mean: Average | undefined;
  readonly dimensions: Readonly<Record<MmlaDimension, Average | undefined>>;
  /** Undefined where tasks are missing and no score is published. */
  readonly score: Score | undefined;
  /** Undefined without a score, and for other numbers of a model that has a place already. */
  readonly place: Place | undefined;
  /** Published score less the sum of its numbers, where that is more than rounding. */
  readonly disagreement: number | undefined;
}

export interface Leaderboard {
  readonly metric: BoardMetric;
  readonly filter: RowFilter;
  /** What averages are over, and rows hold numbers of; in the order of the registry. */
  readonly tasks: readonly MmlaTask[];
  /** All that the filter leaves: ours, the published ones, and floors. */
  readonly rows: readonly LeaderboardRow[];
  /** Those with a number of the metric, by score, those without one behind. */
  readonly entries: readonly BoardEntry[];
}

function scoreOf(row: LeaderboardRow, micro: Average | undefined, metric: BoardMetric): Score | undefined {
  if (isWhole(micro)) return { value: micro.value, interval: micro.interval, from: 'tasks' };
  const { published } = row;
  if (metric !== 'ACC' || published === undefined) return undefined;
  return { value: published, interval: wilsonInterval(published, leaderboardSamples), from: 'published' };
}

const dimensionsOf = (
  row: LeaderboardRow,
  metric: BoardMetric,
  tasks: readonly MmlaTask[],
): BoardEntry['dimensions'] =>
  Object.fromEntries(
    mmlaDimensions.map((dimension) => [
      dimension,
      microAverage(
        row.cells,
        metric,
        tasks.filter((task) => task.dimension === dimension),
      ),
    ]),
  ) as BoardEntry['dimensions'];

/** Dimensions that tasks of a board are of. */
export const dimensionsOn = ({ tasks }: Leaderboard): MmlaDimension[] =>
  mmlaDimensions.filter((dimension) => tasks.some((task) => task.dimension === dimension));

/** A row without all that is of other tasks; a published score is of all of them. */
function rowOn({ published, ...row }: LeaderboardRow, tasks: readonly MmlaTask[]): LeaderboardRow {
  const cells = tasks.flatMap(({ key }) => (row.cells[key] === undefined ? [] : [[key, row.cells[key]]]));
  const isAll = published !== undefined && tasks.length === paperTasks.length;
  return { ...row, cells: Object.fromEntries(cells), ...(isAll && { published }) };
}

/** Other numbers of the same model by the same method, which the same paper gives: only the first of them takes a place. */
export const sameContestant = (a: LeaderboardRow, b: LeaderboardRow): boolean =>
  a.model === b.model && a.method === b.method && (a.vintage === 'ours') === (b.vintage === 'ours');

/** The rows in their order, with averages over tasks and places among each other for one metric. */
export function boardEntries(
  rows: readonly LeaderboardRow[],
  metric: BoardMetric,
  tasks: readonly MmlaTask[] = paperTasks,
): BoardEntry[] {
  const scored = rows.map((row) => {
    const micro = microAverage(row.cells, metric, tasks);
    return { row, micro, score: scoreOf(row, micro, metric) };
  });
  const contestants = scored.map(({ row, score }, i) => {
    const isFirst = !scored
      .slice(0, i)
      .some((other) => other.score !== undefined && sameContestant(other.row, row));
    return isFirst && score !== undefined
      ? { score: score.value, interval: score.interval }
      : { score: undefined, interval: undefined };
  });
  const found = places(contestants);
  return scored.map(({ row, micro, score }, i): BoardEntry => {
    const difference =
      metric === 'ACC' && isWhole(micro) && row.published !== undefined
        ? row.published - micro.value
        : undefined;
    return {
      ...{ row, micro, score, mean: unweightedMean(row.cells, metric, tasks), place: found[i] },
      dimensions: dimensionsOf(row, metric, tasks),
      disagreement: Math.abs(difference ?? 0) > boardTolerance ? difference : undefined,
    };
  });
}

/** Higher first; what has no score by what there is of its tasks, behind those that have one. */
function byScore(a: BoardEntry, b: BoardEntry): number {
  if (a.score !== undefined && b.score !== undefined) return b.score.value - a.score.value;
  if (a.score !== undefined || b.score !== undefined) return a.score === undefined ? 1 : -1;
  return (b.micro?.value ?? -1) - (a.micro?.value ?? -1);
}

/**
 * Our rows, the published ones that the filter leaves, and the floors, ranked by one metric.
 * @param keys tasks that they are compared on, all by default
 */
export function leaderboard(
  ours: readonly LeaderboardRow[],
  metric: BoardMetric,
  filter: RowFilter,
  keys: readonly MmlaTaskKey[] = paperTasks.map(({ key }) => key),
): Leaderboard {
  const tasks = mmlaTasks.filter(({ key }) => keys.includes(key));
  const chosen = [...ours, ...publishedRows, ...floorRows].filter((row) => isChosen(row, filter));
  const rows = chosen.map((row) => rowOn(row, tasks));
  const entries = boardEntries(rows, metric, tasks).filter(({ micro }) => micro !== undefined);
  return { metric, filter, tasks, rows, entries: entries.sort(byScore) };
}
