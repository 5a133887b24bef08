import { basename } from 'node:path';
import { NumericError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import type { ChoiceEvaluation } from './choices.ts';

/** What `evaluation.json` holds and `--json` prints: all but the scores of the samples. */
export function evaluationJson(evaluation: ChoiceEvaluation) {
  const { samples, metrics, type, checkpoint, split, limit, choices, seconds } = evaluation;
  const { perClass, confusion, ...averages } = metrics;
  return {
    method: 'choices',
    ...{ checkpoint, split, limit, labelType: type, n: samples.length, choices },
    metrics: averages,
    ...{ perClass, confusion, seconds },
  };
}

/**
 * Writes the figures of an evaluation to `<base>.json` and the scores of its samples to `<base>.jsonl`, whole or not at
 * all. Files of an earlier evaluation under the same name are replaced.
 *
 * @throws NumericError `SCORE_NOT_FINITE`, and InputError of `fileError`
 */
export async function writeEvaluation(base: string, evaluation: ChoiceEvaluation): Promise<void> {
  const bad = evaluation.samples.find(({ scores }) => !Object.values(scores).every(Number.isFinite));
  if (bad !== undefined) {
    throw new NumericError(
      'SCORE_NOT_FINITE',
      `The model gives a choice of sample "${bad.name}" no finite likelihood: ${Object.values(bad.scores).join(', ')}.`,
    );
  }
  const lines = evaluation.samples.map((sample) => `${JSON.stringify(sample)}\n`);
  await writeFileAtomic(`${base}.jsonl`, lines.join(''));
  await writeFileAtomic(`${base}.json`, `${JSON.stringify(evaluationJson(evaluation), null, 2)}\n`);
}

const percent = (fraction: number): string => (fraction * 100).toFixed(2);

/** The figures for people: percent with two decimals. */
export function formatEvaluation({ samples, metrics, ...about }: ChoiceEvaluation): string {
  const { accuracy, weighted, macro, perClass } = metrics;
  const model = about.checkpoint === null ? 'untrained model' : basename(about.checkpoint);
  const rows = [
    ['label', 'precision', 'recall', 'F1', 'support'],
    ...perClass.map(({ label, precision, recall, f1, support }) => [
      label,
      ...[precision, recall, f1].map(percent),
      String(support),
    ]),
    ...Object.entries({ macro, weighted }).map(([name, { precision, recall, f1 }]) => [
      `${name} mean`,
      ...[precision, recall, f1].map(percent),
      String(samples.length),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  '),
  );
  return [
    `${model} on ${samples.length} samples of "${about.split}", likeliest of ${about.choices.length} choices: ` +
      `accuracy ${percent(accuracy)} %, weighted F1 ${percent(weighted.f1)} %, macro F1 ${percent(macro.f1)} % (${about.seconds.toFixed(1)} s)`,
    ...table.map((line) => `  ${line}`),
    '',
  ].join('\n');
}
