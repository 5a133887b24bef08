import { markdownTable, type Table } from '../../../report/table.ts';
import type { Evaluation } from './json.ts';
import {
  checkpointTable,
  findingsOf,
  headerRows,
  metricTable,
  scoreTable,
  setLevelTable,
  twelveTable,
  wheelTable,
} from './tables.ts';

/** Scores as the papers lay them out; also what the command prints. */
export function scoresMarkdown(evaluation: Evaluation): string {
  const header = headerRows(evaluation).map(([key, value]) => `- ${key}: ${value}\n`);
  const more = evaluation.sets.flatMap((set) =>
    [twelveTable(set), setLevelTable(set)].map((table) =>
      table === undefined ? '' : `\n${set.dataset.title}\n\n${markdownTable(table)}`,
    ),
  );
  return `${header.join('')}\n${markdownTable(scoreTable(evaluation))}${more.join('')}`;
}

/** `report.md` */
export function reportMarkdown(evaluation: Evaluation): string {
  const parts = ['# MER-UniBench\n', scoresMarkdown(evaluation)];
  const add = (title: string, table: Table | undefined) => {
    if (table !== undefined) parts.push(`${title}\n\n${markdownTable(table)}`);
  };
  add('## Checkpoints\n\nThe best of each set is marked with *.', checkpointTable(evaluation));
  for (const set of evaluation.sets) {
    add(`## ${set.dataset.title}`, metricTable(set));
    const wheels = wheelTable(set);
    if (wheels !== undefined) parts.push(markdownTable(wheels));
    const findings = findingsOf(set);
    if (findings.length > 0) parts.push(findings.map(({ message }) => `- ${message}\n`).join(''));
  }
  return parts.join('\n');
}
