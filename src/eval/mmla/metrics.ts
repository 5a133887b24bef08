import type { MmlaTask } from '../../data/mmla/tasks.ts';
import { InputError } from '../../errors.ts';
import { type ClassificationReport, type ClassMetrics, classificationOfCounts } from '../classification.ts';
import { invalidAnswers } from './parse-answer.ts';

/**
 * `compat`: the published figures; macro averages run over whatever occurs as gold label or answer, `unknown` and `multi`
 * included. `strict`: over the labels of the task, always; an invalid answer is wrong and no class.
 */
export const mmlaModes = ['compat', 'strict'] as const;
export type MmlaMode = (typeof mmlaModes)[number];

/** In the order in which `eval.py` writes them. */
export const mmlaMetricNames = ['ACC', 'F1', 'P', 'R', 'WF1', 'WP'] as const;
export type MmlaMetricName = (typeof mmlaMetricNames)[number];

/** Fractions, unrounded: accuracy; F1, precision and recall as plain means; F1 and precision as means by support. */
export type MmlaMetrics = Readonly<Record<MmlaMetricName, number>>;

/** How often which gold label was answered how. */
export interface MmlaConfusion {
  /** The labels of the task. */
  readonly rows: readonly string[];
  /** The same, `unknown` and `multi`. */
  readonly columns: readonly string[];
  /** `[row][column]` */
  readonly counts: readonly (readonly number[])[];
}

/** What answers to a task's questions are worth. */
export interface MmlaScore {
  readonly n: number;
  readonly metrics: MmlaMetrics;
  readonly invalid: { readonly unknown: number; readonly multi: number };
  /** What the macro averages run over, in the order of `confusion.columns`. */
  readonly perClass: readonly ClassMetrics[];
  readonly confusion: MmlaConfusion;
}

type LabelledTask = Pick<MmlaTask, 'key' | 'labels'>;

/** Gold labels and answers as places in the rows and columns of a confusion. */
export interface ScoredPlaces {
  readonly rows: Uint16Array;
  readonly columns: Uint16Array;
}

/**
 * @param gold labels of the task
 * @param answers what `parseMmlaAnswer` made of the answers, in the order of `gold`
 * @throws InputError `MMLA_LABELS_UNKNOWN`; RangeError where the lengths differ
 */
export function scoredPlaces(
  task: LabelledTask,
  gold: readonly string[],
  answers: readonly string[],
): ScoredPlaces {
  if (gold.length !== answers.length) {
    throw new RangeError(`There are ${gold.length} gold labels and ${answers.length} answers.`);
  }
  const columns = new Map([...task.labels, ...invalidAnswers].map((label, i) => [label, i]));
  const bad = new Set([
    ...gold.filter((label) => !(columns.get(label)! < task.labels.length)),
    ...answers.filter((answer) => !columns.has(answer)),
  ]);
  if (bad.size > 0) {
    throw new InputError(
      'MMLA_LABELS_UNKNOWN',
      `${[...bad].map((label) => `"${label}"`).join(', ')} is no label of ${task.key}; they are ${task.labels.join(', ')}.`,
    );
  }
  const places = (of: readonly string[]) => Uint16Array.from(of, (label) => columns.get(label)!);
  return { rows: places(gold), columns: places(answers) };
}

/** @param times how often each sample counts; once by default */
export function confusionOf(
  task: LabelledTask,
  { rows, columns }: ScoredPlaces,
  times?: ArrayLike<number>,
): MmlaConfusion {
  const names = [...task.labels, ...invalidAnswers];
  const counts = task.labels.map(() => names.map(() => 0));
  for (let i = 0; i < rows.length; i++) counts[rows[i]!]![columns[i]!]! += times?.[i] ?? 1;
  return { rows: task.labels, columns: names, counts };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Of the classes that a mode knows, in the order in which scikit-learn adds them up. */
function classification({ rows, columns, counts }: MmlaConfusion, mode: MmlaMode): ClassificationReport {
  const support = counts.map(sum);
  if (mode === 'strict') return classificationOfCounts(rows, { confusion: counts, support });
  const occurs = (column: number) => (support[column] ?? 0) > 0 || counts.some((row) => row[column]! > 0);
  const places = columns.map((_, i) => i).filter(occurs);
  places.sort((a, b) => (columns[a]! < columns[b]! ? -1 : 1));
  return classificationOfCounts(
    places.map((place) => columns[place]!),
    {
      confusion: places.map((row) => places.map((column) => counts[row]?.[column] ?? 0)),
      support: places.map((place) => support[place] ?? 0),
    },
  );
}

const metricsOf = ({ accuracy, macro, weighted }: ClassificationReport): MmlaMetrics => ({
  ...{ ACC: accuracy, F1: macro.f1, P: macro.precision, R: macro.recall },
  ...{ WF1: weighted.f1, WP: weighted.precision },
});

/** The six metrics of a confusion, as scikit-learn computes them with `zero_division=0`. */
export const confusionMetrics = (confusion: MmlaConfusion, mode: MmlaMode): MmlaMetrics =>
  metricsOf(classification(confusion, mode));

/** Everything about a confusion. */
export function scoreConfusion(confusion: MmlaConfusion, mode: MmlaMode): MmlaScore {
  const report = classification(confusion, mode);
  const { rows, columns, counts } = confusion;
  const invalid = (i: number) => sum(counts.map((row) => row[rows.length + i]!));
  return {
    n: sum(counts.map(sum)),
    metrics: metricsOf(report),
    invalid: { unknown: invalid(0), multi: invalid(1) },
    perClass: report.perClass.toSorted((a, b) => columns.indexOf(a.label) - columns.indexOf(b.label)),
    confusion,
  };
}

/**
 * Scores answers to a task.
 *
 * @param gold labels of the task
 * @param answers what `parseMmlaAnswer` made of the answers, in the order of `gold`
 * @throws InputError `MMLA_LABELS_UNKNOWN`
 */
export const scoreMmla = (
  task: LabelledTask,
  mode: MmlaMode,
  gold: readonly string[],
  answers: readonly string[],
): MmlaScore => scoreConfusion(confusionOf(task, scoredPlaces(task, gold, answers)), mode);

/**
 * A fraction as percent with two decimals, as `round(100 * fraction, 2)` of Python: from the exact value of the double, and a
 * tie to the even hundredth, where `toFixed` takes the larger one.
 */
export function roundedPercent(fraction: number): number {
  const value = fraction * 100;
  // Halves of a hundredth that a double holds exactly are odd eighths.
  const eighths = value * 8;
  if (Number.isInteger(eighths) && eighths % 2 !== 0) {
    const below = Math.floor(value * 100);
    return (below % 2 === 0 ? below : below + 1) / 100;
  }
  return Number(value.toFixed(2));
}
