import { type MmlaMetrics, mmlaMetricNames } from './metrics.ts';

/** Metrics made of each name. */
const metricsBy = (value: (name: keyof MmlaMetrics) => number): MmlaMetrics =>
  Object.fromEntries(mmlaMetricNames.map((name) => [name, value(name)])) as Record<keyof MmlaMetrics, number>;

/** Mean; of one value the value itself, to the last bit. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample: the squares divided by the number of values less one. Of at least two values. */
export function sampleDeviation(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/** Means of the metrics of several seeds. */
export const meanMetrics = (seeds: readonly MmlaMetrics[]): MmlaMetrics =>
  metricsBy((name) => mean(seeds.map((metrics) => metrics[name])));

/** Sample standard deviations of the metrics; null of a single seed. */
export const metricDeviations = (seeds: readonly MmlaMetrics[]): MmlaMetrics | null =>
  seeds.length < 2 ? null : metricsBy((name) => sampleDeviation(seeds.map((metrics) => metrics[name])));
