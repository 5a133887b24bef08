import { InputError } from '../errors.ts';

/** What a sample is and what it was taken for. */
export interface Classified {
  readonly truth: string;
  /** One of the labels, or anything else where none of them was given. */
  readonly predicted: string | null;
}

export interface ClassMetrics {
  readonly label: string;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Samples that are of the class. */
  readonly support: number;
}

export interface Averages {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Fractions, unrounded. */
export interface ClassificationReport {
  readonly accuracy: number;
  /** Plain means over the labels, those without samples included. */
  readonly macro: Averages;
  /** Means over the labels in proportion to their support. */
  readonly weighted: Averages;
  readonly perClass: readonly ClassMetrics[];
  /** `[truth][predicted]` in the order of the labels. A prediction outside of them is counted nowhere here. */
  readonly confusion: readonly (readonly number[])[];
}

/** 0 where there is nothing to divide by, as scikit-learn with `zero_division=0`. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/**
 * Accuracy, precision, recall and F1 over a fixed list of labels, as `precision_recall_fscore_support` of scikit-learn
 * with `labels` and `zero_division=0` computes them. A prediction outside of the labels is wrong.
 *
 * @throws InputError `LABELS_UNKNOWN` where samples are of none of the labels
 */
export function classificationReport(
  samples: readonly Classified[],
  labels: readonly string[],
): ClassificationReport {
  const place = new Map(labels.map((label, i) => [label, i]));
  const unknown = [...new Set(samples.map(({ truth }) => truth))].filter((truth) => !place.has(truth));
  if (unknown.length > 0) {
    throw new InputError(
      'LABELS_UNKNOWN',
      `Samples are labelled ${unknown.map((label) => `"${label}"`).join(', ')}, which is none of ${labels.join(', ')}.`,
    );
  }
  const confusion = labels.map(() => labels.map(() => 0));
  const support = labels.map(() => 0);
  for (const { truth, predicted } of samples) {
    const row = place.get(truth)!;
    const column = predicted === null ? undefined : place.get(predicted);
    support[row]!++;
    if (column !== undefined) confusion[row]![column]!++;
  }
  const perClass = labels.map((label, i): ClassMetrics => {
    const hits = confusion[i]![i]!;
    const predicted = sum(confusion.map((row) => row[i]!));
    return {
      label,
      precision: ratio(hits, predicted),
      recall: ratio(hits, support[i]!),
      f1: ratio(2 * hits, predicted + support[i]!),
      support: support[i]!,
    };
  });
  const average = (weight: (of: ClassMetrics) => number): Averages => {
    const total = sum(perClass.map(weight));
    const mean = (key: keyof Averages): number =>
      ratio(sum(perClass.map((one) => one[key] * weight(one))), total);
    return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') };
  };
  return {
    accuracy: ratio(sum(labels.map((_, i) => confusion[i]![i]!)), samples.length),
    macro: average(() => 1),
    weighted: average((one) => one.support),
    perClass,
    confusion,
  };
}
