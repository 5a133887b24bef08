import type { MmlaTask } from '../../data/mmla/tasks.ts';
import { type BootstrapOptions, forEachResample, type Interval, percentileInterval } from '../bootstrap.ts';
import {
  confusionMetrics,
  confusionOf,
  type MmlaMetricName,
  type MmlaMode,
  mmlaMetricNames,
  type ScoredPlaces,
} from './metrics.ts';
import { meanMetrics } from './seeds.ts';

/** Samples that are alike: the same gold label, and the same answer in every seed. */
interface SampleKinds {
  /** Kind of each sample. */
  readonly of: Uint32Array;
  /** For each seed the gold label and the answer of each kind. */
  readonly seeds: readonly ScoredPlaces[];
}

function sampleKinds(seeds: readonly ScoredPlaces[]): SampleKinds {
  const { rows } = seeds[0]!;
  const known = new Map<string, number>();
  const examples: number[] = [];
  const of = Uint32Array.from(rows, (row, i) => {
    const key = `${row} ${seeds.map(({ columns }) => columns[i]).join(' ')}`;
    const kind = known.get(key) ?? known.size;
    if (kind === known.size) {
      known.set(key, kind);
      examples.push(i);
    }
    return kind;
  });
  const exampleOf = (places: Uint16Array) => Uint16Array.from(examples, (i) => places[i]!);
  return {
    of,
    seeds: seeds.map((one) => ({ rows: exampleOf(one.rows), columns: exampleOf(one.columns) })),
  };
}

/**
 * Percentile intervals of the six metrics by drawing the samples anew, with replacement. With several seeds each resample
 * draws the same samples for all of them, and what is drawn is the mean over the seeds: the intervals tell of other
 * samples, the deviation over seeds of other seeds.
 *
 * @param seeds each with the same samples
 */
export function mmlaIntervals(
  task: MmlaTask,
  mode: MmlaMode,
  seeds: readonly ScoredPlaces[],
  options: BootstrapOptions,
): Readonly<Record<MmlaMetricName, Interval>> {
  const drawn = new Map(mmlaMetricNames.map((name) => [name, [] as number[]]));
  // Counting kinds is faster than counting in every seed, and gives the same.
  const kinds = sampleKinds(seeds);
  const timesOfKind = new Uint32Array(kinds.seeds[0]!.rows.length);
  forEachResample(kinds.of.length, options, (times) => {
    timesOfKind.fill(0);
    for (let i = 0; i < times.length; i++) timesOfKind[kinds.of[i]!]! += times[i]!;
    const metrics = meanMetrics(
      kinds.seeds.map((places) => confusionMetrics(confusionOf(task, places, timesOfKind), mode)),
    );
    for (const name of mmlaMetricNames) drawn.get(name)!.push(metrics[name]);
  });
  const intervals = mmlaMetricNames.map((name) => [
    name,
    percentileInterval(Float64Array.from(drawn.get(name)!), options),
  ]);
  return Object.fromEntries(intervals) as Record<MmlaMetricName, Interval>;
}
