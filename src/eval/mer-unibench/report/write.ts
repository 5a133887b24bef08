import { writeReportFiles } from '../../report-folder.ts';
import { reportHtml } from './html.ts';
import { type Evaluation, reportJsonText } from './json.ts';
import { reportMarkdown } from './markdown.ts';

/**
 * Writes `report.json`, `report.md` and `report.html` into a folder.
 *
 * @returns the paths
 * @throws InputError of `writeReportFiles`
 */
export const writeReport = (folder: string, evaluation: Evaluation): Promise<string[]> =>
  writeReportFiles(folder, [
    ['report.json', reportJsonText(evaluation)],
    ['report.md', reportMarkdown(evaluation)],
    ['report.html', reportHtml(evaluation)],
  ]);
