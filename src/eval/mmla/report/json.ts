import { packageVersion } from '../../../config/package-folder.ts';
import type { MmlaTaskEvaluation } from '../evaluate.ts';
import { type MmlaReport, mmlaReportFormat, mmlaReportVersion } from './schema.ts';

/** Whose answers are scored. */
export type ReportedModel = MmlaReport['model'];

/** All figures of one model, as `report.json` has them. */
export function mmlaReport(model: ReportedModel, tasks: readonly MmlaTaskEvaluation[]): MmlaReport {
  return {
    ...{ format: mmlaReportFormat, version: mmlaReportVersion, benchmark: 'mmla', program: packageVersion() },
    ...{ model, tasks: tasks.map(({ report }) => report) },
  };
}

/**
 * What `eval mmla --json` prints of a task: one object for each file of predictions, with the keys of its contract, and
 * `predictions`, the file, where there are several. Means, deviations, intervals and confusions are in `report.json`.
 */
export function contractJson({ task, report, seeds }: MmlaTaskEvaluation) {
  return seeds.map(({ predictions, score: { n, metrics, invalid, perClass } }) => ({
    ...{ benchmark: 'mmla', task: task.key, mode: report.mode, n, metrics, invalid, perClass },
    ...(seeds.length > 1 && { predictions }),
  }));
}
