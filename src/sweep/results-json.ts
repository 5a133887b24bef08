import type { Difference, SweepResults } from './results.ts';

/** JSON has no NaN. */
const number = (value: number | undefined): number | null =>
  value === undefined || !Number.isFinite(value) ? null : value;

const differenceJson = ({ difference, seeds, samples }: Difference) => ({
  difference: number(difference),
  seeds,
  samples:
    samples === undefined
      ? null
      : {
          pValue: samples.pValue,
          interval: {
            ...samples.interval,
            low: number(samples.interval.low),
            high: number(samples.interval.high),
          },
        },
});

/** What `affectgpt sweep --json` prints: fractions, unrounded; figures by name. */
export function resultsJson({ sweep, metrics, settings, points }: SweepResults) {
  const byMetric = <T, U>(values: readonly T[], of: (value: T) => U) =>
    Object.fromEntries(metrics.map(({ name }, i) => [name, of(values[i]!)]));
  return {
    sweep: sweep.label,
    output: sweep.output,
    metrics: metrics.map(({ name, lowerIsBetter }) => ({ name, better: lowerIsBetter ? 'lower' : 'higher' })),
    compare: sweep.compare,
    settings: settings.map((setting) => ({
      ...{ id: setting.id, values: setting.cells, seeds: setting.points.length },
      seedsDone: setting.points.filter(({ state }) => state.state === 'done').length,
      figures: byMetric(setting.summaries, (one) =>
        one === undefined ? null : { ...one, mean: number(one.mean), deviation: number(one.deviation) },
      ),
      differences: byMetric(setting.differences, (one) => (one === undefined ? null : differenceJson(one))),
    })),
    points: points.map(({ point, state, values, seconds, peakMemoryBytes, faults }) => ({
      ...{ id: point.id, folder: point.folder, seed: point.seed, state: state.state },
      ...{ attempts: state.attempts.length, error: state.error ?? null },
      figures: byMetric(values, number),
      ...{ seconds, peakMemoryBytes, faults },
    })),
  };
}
