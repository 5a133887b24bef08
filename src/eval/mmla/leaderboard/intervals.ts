import type { BoardInterval, BoardMetric, TaskCell } from './row.ts';

/** The 97.5 % point of the normal distribution: intervals are of 95 %. */
const z = 1.959963984540054;

/**
 * Wilson's score interval of a proportion.
 *
 * @param percent of the samples that are right
 * @param samples at least one
 * @returns its ends in percent
 */
export function wilsonInterval(percent: number, samples: number): BoardInterval {
  const p = percent / 100;
  const scale = 1 + z ** 2 / samples;
  const centre = (p + z ** 2 / (2 * samples)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / samples + z ** 2 / (4 * samples ** 2));
  return { low: 100 * Math.max(0, centre - half), high: 100 * Math.min(1, centre + half), from: 'wilson' };
}

/** As reported; of accuracies, which are proportions, else Wilson's; undefined for other metrics without a report. */
export function cellInterval(cell: TaskCell, metric: BoardMetric): BoardInterval | undefined {
  const reported = cell.intervals?.[metric];
  if (reported !== undefined) return { low: reported.low, high: reported.high, from: 'report' };
  const value = cell.metrics[metric];
  return metric === 'ACC' && value !== undefined ? wilsonInterval(value, cell.samples) : undefined;
}

/** A number with its weight in a sum. */
export interface Weighted {
  readonly value: number;
  readonly weight: number;
  readonly interval: BoardInterval | undefined;
}

/**
 * The interval of a weighted mean of independent numbers: their distances to either end, weighted, add up in squares.
 * Undefined where one of them has none.
 */
export function combinedInterval(parts: readonly Weighted[]): BoardInterval | undefined {
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  let [mean, below, above] = [0, 0, 0];
  let from: BoardInterval['from'] = 'report';
  for (const { value, weight, interval } of parts) {
    if (interval === undefined) return undefined;
    const share = weight / total;
    mean += share * value;
    below += (share * (value - interval.low)) ** 2;
    above += (share * (interval.high - value)) ** 2;
    if (interval.from === 'wilson') from = 'wilson';
  }
  return { low: mean - Math.sqrt(below), high: mean + Math.sqrt(above), from };
}
