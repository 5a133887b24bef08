import type { MmlaFormat } from './format.ts';
import { readLenientText } from './lenient-text.ts';
import { RecordCollector } from './record-collector.ts';
import type { MmlaTask } from './tasks.ts';
import { mmlaTasks } from './tasks.ts';

const dimensionColumns = [...new Set(mmlaTasks.map(({ taskKey }) => taskKey))];

const headerOf = (text: string): string[] =>
  linesOf(text)[0]!
    .split('\t')
    .map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'));

const linesOf = (text: string): string[] => text.split(/\r?\n/);

/**
 * A cell, quotes and all: utterances have quotes of their own. Undone is only what programs write that quote cells with
 * quotes in them, and then double these: `"He said ""no"""`.
 */
function unquoted(cell: string, areAllQuoted: boolean): string {
  const inside = /^"(.*)"$/s.exec(cell)?.[1];
  if (inside === undefined) return cell;
  const isDoubled = inside.includes('""') && !inside.replaceAll('""', '').includes('"');
  return areAllQuoted || isDoubled ? inside.replaceAll('""', '"') : cell;
}

/**
 * The tables of the released data set: tab-separated, with the columns `id`, `utterance` and one named after the dimension,
 * such as `dialogue_act`; others are passed over. They name no video: samples are named by task and number.
 */
export const releaseTsv: MmlaFormat = {
  name: 'released TSV (id, utterance, and a column named after the dimension)',
  recognises: ({ text }) => {
    const columns = headerOf(text);
    return (
      columns.includes('id') &&
      columns.includes('utterance') &&
      dimensionColumns.some((column) => columns.includes(column))
    );
  },
  read: async (request) => {
    const collector = new RecordCollector(request);
    const { text, encodingFault } = await readLenientText(request.file);
    const columns = headerOf(text);
    const missing = missingColumns(columns, request.task);
    if (missing !== undefined) {
      collector.fault(1, missing);
      return collector.result();
    }
    const [id, utterance, label] = ['id', 'utterance', request.task.taskKey].map((name) =>
      columns.indexOf(name),
    ) as [number, number, number];
    const [header = '', ...lines] = linesOf(text);
    const areAllQuoted = /^"/.test(header);
    lines.forEach((line, index) => {
      if (line.trim() === '') return;
      // The header is row 1.
      const row = index + 2;
      const encoding = encodingFault(line);
      const cells = line.split('\t').map((cell) => unquoted(cell, areAllQuoted));
      if (encoding !== undefined) collector.badRow(row, encoding);
      else if (cells.length !== columns.length) {
        collector.badRow(row, `has ${cells.length} cells, and the header names ${columns.length} columns`);
      } else {
        collector.add({ row, number: cells[id]!.trim(), text: cells[utterance]!, gold: cells[label]! });
      }
    });
    return collector.result();
  },
};

function missingColumns(columns: readonly string[], task: MmlaTask): string | undefined {
  const missing = ['id', 'utterance', task.taskKey].filter((column) => !columns.includes(column));
  if (missing.length === 0) return undefined;
  const others = dimensionColumns.filter((column) => column !== task.taskKey && columns.includes(column));
  const hint = others.length === 0 ? '' : `; it has ${others.join(', ')}: is it a file of another task?`;
  return `there is no column ${missing.join(', ')} for ${task.key}${hint}`;
}
