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

/** In the order in which numpy adds, so that means are the same doubles and round to the same hundredths. Up to 128 values. */
function sumAsNumpy(values: readonly number[]): number {
  if (values.length < 8) return sum(values);
  const whole = values.length - (values.length % 8);
  const lane = (first: number) => sum(values.filter((_, i) => i < whole && i % 8 === first));
  const [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(lane);
  const start = a! + b! + (c! + d!) + (e! + f! + (g! + h!));
  return values.slice(whole).reduce((total, value) => total + value, start);
}

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
  return classificationOfCounts(labels, { confusion, support });
}

/** How often what was taken for what. */
export interface ClassCounts {
  /** `[truth][predicted]` in the order of the labels. */
  readonly confusion: readonly (readonly number[])[];
  /** Samples of each label, those with a prediction outside of the labels included. */
  readonly support: readonly number[];
}

/** What `classificationReport` says, of samples that are counted already. */
export function classificationOfCounts(
  labels: readonly string[],
  { confusion, support }: ClassCounts,
): ClassificationReport {
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
      ratio(sumAsNumpy(perClass.map((one) => one[key] * weight(one))), total);
    return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') };
  };
  return {
    accuracy: ratio(sum(labels.map((_, i) => confusion[i]![i]!)), sum(support)),
    macro: average(() => 1),
    weighted: average((one) => one.support),
    perClass,
    confusion,
  };
}
