import { threefry2x32 } from '../engine/random.ts';
import { InputError } from '../errors.ts';

/** How often each sample of a result, in its order, is drawn. */
export type SampleCounts = ArrayLike<number>;

export interface BootstrapOptions {
  readonly seed: number;
  /** Default 1000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
  /** Resamples with a score; those without one (nothing that was drawn counts) are left out. */
  readonly resamples: number;
  readonly seed: number;
}

export interface PairedComparison {
  /** Score of the first minus score of the second. */
  readonly difference: number;
  readonly interval: Interval;
  /** Two-sided: how often the difference has the other sign or none, doubled. */
  readonly pValue: number;
}

/** What can be resampled: all results of the metrics. */
export interface Resampled {
  readonly perSample: readonly { readonly name: string }[];
  scoreOf(counts: SampleCounts): number;
}

/**
 * Percentile interval of a score by drawing the samples anew, with replacement. The same seed and number of samples always
 * draw the same, whatever is scored.
 */
export function bootstrapInterval(result: Resampled, options: BootstrapOptions): Interval {
  return percentileInterval(resampledScores(result, options), options);
}

/** The score of every resample; NaN where nothing that was drawn counts. */
export function resampledScores(result: Resampled, options: BootstrapOptions): Float64Array {
  const scores: number[] = [];
  forEachResample(result.perSample.length, options, (counts) => scores.push(result.scoreOf(counts)));
  return Float64Array.from(scores);
}

/**
 * Compares two models on the same samples: every resample draws the same samples for both.
 *
 * @throws InputError `SAMPLES_DIFFER`
 */
export function pairedBootstrap(a: Resampled, b: Resampled, options: BootstrapOptions): PairedComparison {
  checkSameSamples(a, b);
  const all = new Uint8Array(a.perSample.length).fill(1);
  const difference = a.scoreOf(all) - b.scoreOf(all);
  return comparePaired(difference, resampledScores(a, options), resampledScores(b, options), options);
}

/** @throws InputError `SAMPLES_DIFFER` */
export function checkSameSamples(a: Pick<Resampled, 'perSample'>, b: Pick<Resampled, 'perSample'>): void {
  const names = a.perSample.map(({ name }) => name);
  const others = b.perSample.map(({ name }) => name);
  if (names.length === others.length && names.every((name, i) => name === others[i])) return;
  const [left, right] = [new Set(names), new Set(others)];
  const only = [...names.filter((name) => !right.has(name)), ...others.filter((name) => !left.has(name))];
  throw new InputError(
    'SAMPLES_DIFFER',
    `Two models can only be compared on the same samples; ${only.length} are in one result alone, among them ${only.slice(0, 10).join(', ')}.`,
  );
}

/** What the scores of the same resamples say of two models. */
export function comparePaired(
  difference: number,
  a: Float64Array,
  b: Float64Array,
  options: BootstrapOptions,
): PairedComparison {
  const differences = a.map((score, i) => score - b[i]!);
  const finite = differences.filter((one) => !Number.isNaN(one));
  const tail = (holds: (difference: number) => boolean) =>
    (finite.filter(holds).length + 1) / (finite.length + 1);
  const rarer = Math.min(
    tail((one) => one <= 0),
    tail((one) => one >= 0),
  );
  return { difference, interval: percentileInterval(differences, options), pValue: Math.min(1, 2 * rarer) };
}

/** Calls `use` with how often each sample is drawn; the array is used again for the next resample. */
export function forEachResample(
  n: number,
  { seed, resamples = 1000 }: BootstrapOptions,
  use: (counts: Uint32Array) => void,
): void {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  const words = new Uint32Array(n + (n % 2));
  const samplesPerWord = n / 2 ** 32;
  const counts = new Uint32Array(n);
  for (let resample = 0; resample < resamples; resample++) {
    threefry2x32(key, 0, resample, words);
    counts.fill(0);
    for (let draw = 0; draw < n; draw++) counts[Math.floor(words[draw]! * samplesPerWord)]!++;
    use(counts);
  }
}

/** Interval between percentiles of scores; interpolated linearly, as `numpy.percentile`. */
export function percentileInterval(
  scores: Float64Array,
  { seed, confidence = 0.95 }: BootstrapOptions,
): Interval {
  const sorted = scores.filter((score) => !Number.isNaN(score)).sort();
  const at = (fraction: number): number => {
    const place = fraction * (sorted.length - 1);
    const below = Math.floor(place);
    const [low, high] = [sorted[below]!, sorted[Math.ceil(place)]!];
    return low + (high - low) * (place - below);
  };
  const tail = (1 - confidence) / 2;
  const empty = sorted.length === 0;
  return {
    low: empty ? Number.NaN : at(tail),
    high: empty ? Number.NaN : at(1 - tail),
    ...{ confidence, resamples: sorted.length, seed },
  };
}
