import { writeReportFiles } from '../../report-folder.ts';
import { reportHtml } from './html.ts';
import { reportMarkdown } from './markdown.ts';
import type { MmlaReport } from './schema.ts';

/**
 * Writes `report.json`, `report.md` and `report.html` into a folder.
 *
 * @returns the paths
 * @throws InputError of `writeReportFiles`
 */
export const writeMmlaReport = (folder: string, report: MmlaReport): Promise<string[]> =>
  writeReportFiles(folder, [
    ['report.json', `${JSON.stringify(report, null, 1)}\n`],
    ['report.md', reportMarkdown(report)],
    ['report.html', reportHtml(report)],
  ]);
