import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { mmlaTask, mmlaTaskKeys } from '../../../src/data/mmla/tasks.ts';
import { type MmlaReport, mmlaReportSchema } from '../../../src/eval/mmla/report/schema.ts';

type TaskReport = MmlaReport['tasks'][number];

/** A task of a report in which all six metrics are the same fraction. */
export function taskReport(
  task: string,
  fraction: number,
  other: Partial<TaskReport> & { readonly half?: number } = {},
): TaskReport {
  const { half, ...given } = other;
  const all = <Value>(value: Value) => ({
    ...{ ACC: value, F1: value, P: value, R: value, WF1: value, WP: value },
  });
  const interval = { confidence: 0.95, resamples: 1000, seed: 42 };
  const invalid = { unknown: 0, multi: 0 };
  return {
    ...{ task, mode: 'strict', split: 'test', gold: 'gold.tsv', n: mmlaTask(task).counts.test },
    ...{ metrics: all(fraction), deviation: null, invalid, perClass: [] },
    confusion: { rows: [], columns: [], counts: [] },
    intervals: half === undefined ? null : all({ low: fraction - half, high: fraction + half, ...interval }),
    seeds: [{ predictions: 'answers.jsonl', metrics: all(fraction), invalid }],
    ...given,
  };
}

/** A report that the reader of reports takes. */
export const report = (name: string, tasks: TaskReport[], provenance = 'stored answers'): MmlaReport =>
  mmlaReportSchema.parse({
    ...{ format: 'affectgpt-mmla-report', version: 1, benchmark: 'mmla', program: '0.1.0' },
    ...{ model: { name, provenance }, tasks },
  });

/** All twelve tasks at the same fraction. */
export const wholeReport = (name: string, fraction: number, half?: number): MmlaReport =>
  report(
    name,
    mmlaTaskKeys.map((key) => taskReport(key, fraction, half === undefined ? {} : { half })),
  );

/** Writes a report as JSON into a folder. */
export function writeReportTo(folder: string, name: string, content: MmlaReport): string {
  const file = path.join(folder, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
}
