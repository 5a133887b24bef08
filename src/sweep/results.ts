import { join } from 'node:path';
import { metricsName, readMetrics } from '../../train/metrics.ts';
import { AffectGptError } from '../errors.ts';
import {
  checkSameSamples,
  comparePaired,
  type PairedComparison,
  type Resampled,
  resampledScores,
} from '../eval/bootstrap.ts';
import type { Cells } from './axes.ts';
import type { Sweep, SweepPoint } from './load.ts';
import type { Metric } from './metric-names.ts';
import { readMetricValue, readSampleScores } from './metric-values.ts';
import { type PointState, pointState } from './point-state.ts';
import { mean, type SignFlipTest, sampleDeviation, signFlipTest } from './statistics.ts';

/** A point with what came of it. */
export interface PointResult {
  readonly point: SweepPoint;
  readonly state: PointState;
  /** In the order of the metrics; undefined where the point is not done or its files lack the figure. */
  readonly values: readonly (number | undefined)[];
  /** Spent in training steps, over all attempts. */
  readonly seconds: number | null;
  readonly peakMemoryBytes: number | null;
  /** Why figures are missing of a point that is done. */
  readonly faults: readonly string[];
  /** Loss by logged step, of points that are done. */
  readonly losses: readonly (readonly [step: number, loss: number])[];
}

/** A figure of a setting: over the seeds that are done. */
export interface Summary {
  readonly n: number;
  readonly mean: number;
  /** Undefined with fewer than two seeds. */
  readonly deviation: number | undefined;
  /** Whether no other setting has a better mean. */
  readonly isBest: boolean;
}

/** A figure of a setting beside that of the one that it is compared with. */
export interface Difference {
  /** Mean of this setting minus that of the other, over the seeds that both have. */
  readonly difference: number;
  readonly seeds: SignFlipTest;
  /** Over the samples, where the figure is one of samples; all seeds of a setting count together. */
  readonly samples: PairedComparison | undefined;
}

export interface SettingResult {
  readonly id: string;
  readonly cells: Cells;
  readonly points: readonly PointResult[];
  /** In the order of the metrics; undefined where no seed is done. */
  readonly summaries: readonly (Summary | undefined)[];
  /** Undefined of the setting that the others are compared with, and where one of both is not done. */
  readonly differences: readonly (Difference | undefined)[];
}

/** What came of a sweep so far. */
export interface SweepResults {
  readonly sweep: Sweep;
  readonly metrics: readonly Metric[];
  readonly columns: readonly string[];
  readonly settings: readonly SettingResult[];
  /** In the order of the sweep. */
  readonly points: readonly PointResult[];
}

/** Seed of the resamples: the same draws for every comparison. */
const bootstrap = { seed: 42, resamples: 1000 } as const;

async function pointResult(point: SweepPoint, metrics: readonly Metric[]): Promise<PointResult> {
  const state = await pointState(point);
  const ends = state.attempts.flatMap(({ end }) => (end === undefined ? [] : [end]));
  const peak = Math.max(...ends.map(({ peakMemoryBytes }) => peakMemoryBytes));
  const base = { point, state, peakMemoryBytes: ends.length === 0 ? null : peak };
  const { lines } = await readMetrics(join(point.folder, metricsName));
  const seconds = lines.at(-1)?.seconds ?? null;
  if (state.state !== 'done') {
    return { ...base, seconds, values: metrics.map(() => undefined), faults: [], losses: [] };
  }
  const faults: string[] = [];
  const values: (number | undefined)[] = [];
  for (const metric of metrics) {
    try {
      values.push(await readMetricValue(point, metric));
    } catch (error) {
      if (!(error instanceof AffectGptError)) throw error;
      faults.push(error.message);
      values.push(undefined);
    }
  }
  return { ...base, seconds, values, faults, losses: lines.map(({ step, loss }) => [step, loss] as const) };
}

/** Reads what is on disk of a sweep: nothing else counts. */
export async function collectResults(sweep: Sweep): Promise<SweepResults> {
  const { metrics, settings } = sweep;
  const points: PointResult[] = [];
  for (const point of sweep.points) points.push(await pointResult(point, metrics));
  const of = (id: string) => points.filter(({ point }) => point.setting === id);
  const means = settings.map(({ id }) => metrics.map((_, metric) => summaryOf(of(id), metric)));
  const best = metrics.map(({ lowerIsBetter }, metric) => {
    const values = means.flatMap((row) => row[metric]?.mean ?? []);
    return lowerIsBetter ? Math.min(...values) : Math.max(...values);
  });
  const samples = new SampleScores(metrics);
  const results: SettingResult[] = [];
  for (const [i, { id, cells }] of settings.entries()) {
    const differences: (Difference | undefined)[] = [];
    for (const metric of metrics.keys()) {
      const isBase = id === sweep.compare;
      differences.push(isBase ? undefined : await differenceOf(of(id), of(sweep.compare), metric, samples));
    }
    const summaries = means[i]!.map((summary, metric) =>
      summary === undefined ? undefined : { ...summary, isBest: summary.mean === best[metric] },
    );
    results.push({ id, cells, points: of(id), summaries, differences });
  }
  const columns = sweep.axes.flatMap((axis) => axis.columns);
  return { sweep, metrics, columns, settings: results, points };
}

function summaryOf(points: readonly PointResult[], metric: number): Omit<Summary, 'isBest'> | undefined {
  const values = points.flatMap((point) => point.values[metric] ?? []);
  if (values.length === 0) return undefined;
  return { n: values.length, mean: mean(values), deviation: sampleDeviation(values) };
}

/** Resampled scores of points, each read and drawn once. */
class SampleScores {
  readonly #metrics: readonly Metric[];
  readonly #known = new Map<string, Promise<{ of: Resampled; drawn: Float64Array } | undefined>>();

  constructor(metrics: readonly Metric[]) {
    this.#metrics = metrics;
  }

  /** Undefined where a figure is not one of samples, or its file cannot be read. */
  get(point: SweepPoint, metric: number): Promise<{ of: Resampled; drawn: Float64Array } | undefined> {
    const key = `${metric} ${point.id}`;
    const known = this.#known.get(key) ?? this.#read(point, metric);
    this.#known.set(key, known);
    return known;
  }

  async #read(point: SweepPoint, metric: number) {
    try {
      const of = await readSampleScores(point, this.#metrics[metric]!);
      return of === undefined || of.perSample.length < 2
        ? undefined
        : { of, drawn: resampledScores(of, bootstrap) };
    } catch (error) {
      // That it cannot be read is told with the figure itself.
      if (error instanceof AffectGptError) return undefined;
      throw error;
    }
  }
}

/** Undefined where no seed is done of both. */
async function differenceOf(
  points: readonly PointResult[],
  base: readonly PointResult[],
  metric: number,
  samples: SampleScores,
): Promise<Difference | undefined> {
  const pairs = points.flatMap((a) => {
    const b = base.find(({ point }) => point.seed === a.point.seed);
    const value = a.values[metric];
    const other = b?.values[metric];
    return value === undefined || other === undefined || b === undefined
      ? []
      : [{ a: a.point, b: b.point, difference: value - other }];
  });
  if (pairs.length === 0) return undefined;
  const differences = pairs.map(({ difference }) => difference);
  const scores = await Promise.all(
    pairs.map(async ({ a, b }) => [await samples.get(a, metric), await samples.get(b, metric)] as const),
  );
  return {
    difference: mean(differences),
    seeds: signFlipTest(differences),
    samples: compareSamples(mean(differences), scores),
  };
}

type Drawn = { of: Resampled; drawn: Float64Array } | undefined;

/** Every resample draws the same samples of all seeds of both settings. */
function compareSamples(
  difference: number,
  pairs: readonly (readonly [Drawn, Drawn])[],
): PairedComparison | undefined {
  const known = pairs.flatMap(([a, b]) => (a === undefined || b === undefined ? [] : [{ a, b }]));
  if (known.length < pairs.length) return undefined;
  try {
    for (const { a, b } of known) {
      checkSameSamples(a.of, b.of);
      checkSameSamples(a.of, known[0]!.a.of);
    }
  } catch (error) {
    // Seeds of other samples, as where each was scored on its own: nothing is paired.
    if (error instanceof AffectGptError) return undefined;
    throw error;
  }
  const over = (side: 'a' | 'b') =>
    Float64Array.from(known[0]!.a.drawn, (_, i) => mean(known.map((pair) => pair[side].drawn[i]!)));
  return comparePaired(difference, over('a'), over('b'), bootstrap);
}
