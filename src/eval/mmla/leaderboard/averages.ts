import { type MmlaTask, paperTasks } from '../../../data/mmla/tasks.ts';
import { cellInterval, combinedInterval, type Weighted } from './intervals.ts';
import type { BoardInterval, BoardMetric, TaskCells } from './row.ts';

/** An average over tasks, in percent. */
export interface Average {
  readonly value: number;
  readonly interval: BoardInterval | undefined;
  /** Tasks that it is over. */
  readonly tasks: number;
  /** Tasks that it should be over; with fewer it is not to be compared with others. */
  readonly of: number;
  /** Whether one of its numbers is to be doubted. */
  readonly isDoubtful: boolean;
}

export const isWhole = (average: Average | undefined): average is Average =>
  average !== undefined && average.tasks === average.of;

function averageOver(
  cells: TaskCells,
  metric: BoardMetric,
  tasks: readonly MmlaTask[],
  weightOf: (task: MmlaTask) => number,
): Average | undefined {
  const parts = tasks.flatMap((task): Weighted[] => {
    const cell = cells[task.key];
    const value = cell?.metrics[metric];
    if (cell === undefined || value === undefined) return [];
    return [{ value, weight: weightOf(task), interval: cellInterval(cell, metric) }];
  });
  if (parts.length === 0) return undefined;
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  const value = parts.reduce((sum, part) => sum + part.weight * part.value, 0) / total;
  const isDoubtful = tasks.some(({ key }) => cells[key]?.doubts?.[metric] !== undefined);
  return { value, interval: combinedInterval(parts), tasks: parts.length, of: tasks.length, isDoubtful };
}

/**
 * The sum of n_d ACC_d over that of n_d, with the numbers of test samples that the published leaderboards count (15,713
 * over all tasks): of accuracies it is the share of all answers that are right, and the score of those leaderboards. Of
 * other metrics it is their mean, weighted by samples.
 *
 * @param tasks that it should be over
 * @returns undefined where there is no task
 */
export const microAverage = (
  cells: TaskCells,
  metric: BoardMetric,
  tasks: readonly MmlaTask[] = paperTasks,
): Average | undefined => averageOver(cells, metric, tasks, ({ leaderboardCount }) => leaderboardCount);

/** The mean over tasks, each counting the same; undefined where there is no task. */
export const unweightedMean = (
  cells: TaskCells,
  metric: BoardMetric,
  tasks: readonly MmlaTask[] = paperTasks,
): Average | undefined => averageOver(cells, metric, tasks, () => 1);
