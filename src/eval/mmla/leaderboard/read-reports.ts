import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { mmlaTaskKeys } from '../../../data/mmla/tasks.ts';
import { allOrFaults, InputError } from '../../../errors.ts';
import { fileError } from '../../../io/filesystem.ts';
import { readMmlaReport } from '../report/schema.ts';
import type { NamedReport } from './merge.ts';

/** A file, or `report.json` in a folder. */
async function reportFile(path: string): Promise<string> {
  const status = await stat(path).catch((error) => {
    throw fileError(error, path, 'read');
  });
  return status.isDirectory() ? join(path, 'report.json') : path;
}

async function readReport(path: string): Promise<NamedReport> {
  const file = await reportFile(path);
  const report = await readMmlaReport(file);
  const foreign = report.tasks.filter(({ task }) => !mmlaTaskKeys.some((key) => key === task));
  if (foreign.length === 0) return { file, report };
  throw new InputError(
    'MMLA_REPORT_INVALID',
    `${file} has tasks that MMLA has not: ${foreign.map(({ task }) => task).join(', ')}. Its tasks are ${mmlaTaskKeys.join(', ')}.`,
  );
}

/**
 * Reads reports of `eval mmla`.
 *
 * @param paths files, or folders that hold a `report.json`
 * @throws InputError for all that cannot be read at once
 */
export const readReports = (paths: readonly string[]): Promise<NamedReport[]> =>
  allOrFaults(paths.map(readReport));
