import type { MmlaFault } from '../../data/mmla/format.ts';
import { readMmlaFile, rowsInvalid } from '../../data/mmla/read-file.ts';
import type { MmlaSplit, MmlaTask } from '../../data/mmla/tasks.ts';
import { InputError } from '../../errors.ts';
import type { BootstrapOptions } from '../bootstrap.ts';
import { mmlaIntervals } from './intervals.ts';
import { type GoldSample, matchPredictions, ownGold } from './match.ts';
import { confusionOf, type MmlaMode, type MmlaScore, scoreConfusion, scoredPlaces } from './metrics.ts';
import { parseMmlaAnswer } from './parse-answer.ts';
import { readMmlaPredictions } from './predictions.ts';
import type { MmlaTaskReport } from './report/schema.ts';
import { mean, meanMetrics, metricDeviations } from './seeds.ts';

/** Answers of one seed, in the order of the gold samples. */
export interface SeedAnswers {
  /** File that they are from. */
  readonly predictions: string;
  readonly texts: readonly string[];
}

/** What is to be scored of a task. */
export interface MmlaAnswerSet {
  readonly task: MmlaTask;
  readonly split: MmlaSplit;
  /** File of the gold labels; null where predictions carry them. */
  readonly goldFile: string | null;
  readonly gold: readonly GoldSample[];
  /** At least one. */
  readonly seeds: readonly SeedAnswers[];
}

/** Files of a task. */
export interface MmlaTaskFiles {
  readonly task: MmlaTask;
  readonly split: MmlaSplit;
  /** One for each seed. */
  readonly predictions: readonly string[];
  /** Absent where predictions carry their gold labels. */
  readonly gold?: string;
}

/**
 * Reads the files of a task.
 *
 * @throws InputError `MMLA_ROWS_INVALID` with all that is wrong with any of the files, and with names that do not fit;
 *   `MMLA_NO_GOLD`; those of `readMmlaFile` and `readMmlaPredictions`
 */
export async function readAnswerSet({
  task,
  split,
  predictions: paths,
  gold: goldFile,
}: MmlaTaskFiles): Promise<MmlaAnswerSet> {
  const faults: MmlaFault[] = [];
  const files = [];
  for (const path of paths) files.push(await readMmlaPredictions(path, task));
  let gold: readonly GoldSample[] | undefined;
  if (goldFile !== undefined) {
    const read = await readMmlaFile({ file: goldFile, task, split });
    faults.push(...read.faults);
    gold = read.records.filter((record) => record.split === undefined || record.split === split);
    if (gold.length === 0 && read.faults.length === 0) {
      throw new InputError(
        'MMLA_NO_GOLD',
        `${goldFile} holds ${read.records.length} samples of ${task.key}, but none of the ${split} split. Choose another with --split.`,
      );
    }
  }
  faults.push(...files.flatMap((file) => file.faults));
  // Names would be missing that stand in rows at fault.
  if (faults.length > 0) throw rowsInvalid(faults);
  gold ??= ownGold(files[0]!, task);
  if (gold === undefined) {
    throw new InputError(
      'MMLA_NO_GOLD',
      `${paths[0]} does not carry the gold labels of ${task.key}. Give a file of its samples with --gold.`,
    );
  }
  const goldName = goldFile ?? paths[0]!;
  const seeds = files.map((file) => {
    const matched = matchPredictions(task, split, gold, file, goldName);
    faults.push(...matched.faults);
    return { predictions: file.file, texts: matched.texts };
  });
  if (faults.length > 0) throw rowsInvalid(faults);
  return { task, split, goldFile: goldFile ?? null, gold, seeds };
}

export interface ScoreOptions {
  readonly mode: MmlaMode;
  /** Of the intervals, which are those of `strict`. */
  readonly bootstrap: BootstrapOptions;
}

/** A task with all its figures, and those of each seed. */
export interface MmlaTaskEvaluation {
  readonly task: MmlaTask;
  readonly report: MmlaTaskReport;
  /** In the order of the files. */
  readonly seeds: readonly { readonly predictions: string; readonly score: MmlaScore }[];
}

/** Scores the answers to a task: those of each seed, and all of them together. */
export function evaluateMmlaTask(
  { task, split, goldFile, gold, seeds: answers }: MmlaAnswerSet,
  { mode, bootstrap }: ScoreOptions,
): MmlaTaskEvaluation {
  const labels = gold.map(({ label }) => label);
  const places = answers.map(({ texts }) =>
    scoredPlaces(
      task,
      labels,
      texts.map((text) => parseMmlaAnswer(task, text)),
    ),
  );
  const scores = places.map((one) => scoreConfusion(confusionOf(task, one), mode));
  const metrics = scores.map((score) => score.metrics);
  const [first] = scores;
  const report: MmlaTaskReport = {
    ...{ task: task.key, mode, split, gold: goldFile, n: first!.n },
    metrics: meanMetrics(metrics),
    deviation: metricDeviations(metrics),
    invalid: {
      unknown: mean(scores.map(({ invalid }) => invalid.unknown)),
      multi: mean(scores.map(({ invalid }) => invalid.multi)),
    },
    perClass: meanClasses(scores),
    confusion: summedConfusion(scores),
    intervals: mode === 'strict' ? mmlaIntervals(task, mode, places, bootstrap) : null,
    seeds: scores.map((score, i) => ({
      ...{ predictions: answers[i]!.predictions, metrics: score.metrics, invalid: score.invalid },
    })),
  };
  return { task, report, seeds: scores.map((score, i) => ({ predictions: answers[i]!.predictions, score })) };
}

/** Means of what each seed has of a class; 0 where it occurs in another seed only, as it is no class there. */
function meanClasses(scores: readonly MmlaScore[]): MmlaTaskReport['perClass'] {
  return scores[0]!.confusion.columns.flatMap((label) => {
    const found = scores.map(({ perClass }) => perClass.find((one) => one.label === label));
    if (found.every((one) => one === undefined)) return [];
    const of = (key: 'precision' | 'recall' | 'f1' | 'support') => mean(found.map((one) => one?.[key] ?? 0));
    return [
      { label, precision: of('precision'), recall: of('recall'), f1: of('f1'), support: of('support') },
    ];
  });
}

function summedConfusion(scores: readonly MmlaScore[]): MmlaTaskReport['confusion'] {
  const { rows, columns } = scores[0]!.confusion;
  const at = (row: number, column: number) =>
    scores.reduce((sum, { confusion }) => sum + confusion.counts[row]![column]!, 0);
  return {
    rows: [...rows],
    columns: [...columns],
    counts: rows.map((_, i) => columns.map((_, j) => at(i, j))),
  };
}
