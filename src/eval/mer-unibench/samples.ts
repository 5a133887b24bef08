import { InputError } from '../../errors.ts';
import { compareCodePoints } from './words.ts';

/** A sample with emotion words. */
export interface LabelSample {
  readonly name: string;
  /** What it is labelled with; none counts as `neutral`, as in published code. */
  readonly labels: readonly string[];
  /** What a model said; none where it said nothing that is an emotion, or nothing at all. */
  readonly predicted: readonly string[];
}

/** A sample with the strength of a sentiment. */
export interface SentimentSample {
  readonly name: string;
  /** Negative, zero or positive; 0 is neutral. */
  readonly value: number;
  /** `positive`, `negative`, `neutral`, or whatever else was answered. */
  readonly predicted: string;
}

export interface Aligned<Truth, Predicted> {
  readonly pairs: readonly { readonly name: string; readonly truth: Truth; readonly predicted: Predicted }[];
  /** Labelled samples without a prediction; they are scored as an empty one. */
  readonly missing: readonly string[];
  /** Predictions about samples that have no label; they are left out. */
  readonly unknown: readonly string[];
}

/** Puts predictions beside the labels they are about, in code point order of the names. */
export function alignPredictions<Truth, Predicted>(
  truths: ReadonlyMap<string, Truth>,
  predictions: ReadonlyMap<string, Predicted>,
  nothing: Predicted,
): Aligned<Truth, Predicted> {
  const names = [...truths.keys()].sort(compareCodePoints);
  return {
    pairs: names.map((name) => ({
      name,
      truth: truths.get(name)!,
      predicted: predictions.has(name) ? predictions.get(name)! : nothing,
    })),
    missing: names.filter((name) => !predictions.has(name)),
    unknown: [...predictions.keys()].filter((name) => !truths.has(name)).sort(compareCodePoints),
  };
}

/**
 * Samples in code point order of their names: sums are taken in that order, so that no score depends on the order in
 * which samples came.
 *
 * @throws InputError `SAMPLES_NONE`, `SAMPLES_DUPLICATE` (all names that occur twice)
 */
export function inOrder<Sample extends { readonly name: string }>(samples: readonly Sample[]): Sample[] {
  if (samples.length === 0) {
    throw new InputError(
      'SAMPLES_NONE',
      'There are no samples to score; at least one with a label is needed.',
    );
  }
  const ordered = [...samples].sort((a, b) => compareCodePoints(a.name, b.name));
  const twice = ordered.filter(({ name }, i) => name === ordered[i - 1]?.name).map(({ name }) => name);
  if (twice.length > 0) {
    throw new InputError(
      'SAMPLES_DUPLICATE',
      `Samples are identified by their names, and ${[...new Set(twice)].join(', ')} occur more than once. Keep one of each.`,
    );
  }
  return ordered;
}
