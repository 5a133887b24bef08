import { writeReportFiles } from '../../report-folder.ts';
import type { Comparison } from './compare.ts';
import { comparisonJson, comparisonMarkdown } from './format.ts';
import { comparisonHtml } from './html.ts';

/**
 * Writes `compare.json`, `compare.md` and `compare.html` into a folder.
 *
 * @returns the paths
 * @throws InputError of `writeReportFiles`
 */
export const writeComparison = (folder: string, comparison: Comparison): Promise<string[]> =>
  writeReportFiles(folder, [
    ['compare.json', `${JSON.stringify(comparisonJson(comparison), null, 1)}\n`],
    ['compare.md', comparisonMarkdown(comparison)],
    ['compare.html', comparisonHtml(comparison)],
  ]);
