import { mmlaTask } from '../../../data/mmla/tasks.ts';
import { markdownTable } from '../../../report/table.ts';
import type { MmlaReport } from './schema.ts';
import { classTable, confusionAsTable, headerRows, intervalTable, scoreTable, seedTable } from './tables.ts';

/** Scores of all tasks. */
function scoresMarkdown(report: MmlaReport): string {
  const header = headerRows(report).map(([key, value]) => `- ${key}: ${value}\n`);
  const intervals = intervalTable(report);
  return [
    header.join(''),
    markdownTable(scoreTable(report)),
    ...(intervals === undefined ? [] : [markdownTable(intervals)]),
  ].join('\n');
}

/** What the command prints: the scores, and of a single task also its classes. */
export function printedMarkdown(report: MmlaReport): string {
  const [task, ...others] = report.tasks;
  const classes = others.length === 0 ? [markdownTable(classTable(task!))] : [];
  return [scoresMarkdown(report), ...classes].join('\n');
}

/** `report.md` */
export function reportMarkdown(report: MmlaReport): string {
  const parts = ['# MMLA\n', scoresMarkdown(report)];
  for (const task of report.tasks) {
    const { title, dimension } = mmlaTask(task.task);
    parts.push(`## ${title}: ${dimension}\n`, markdownTable(classTable(task)));
    const seeds = seedTable(task);
    if (seeds !== undefined) parts.push(markdownTable(seeds));
    parts.push(markdownTable(confusionAsTable(task)));
  }
  return parts.join('\n');
}
