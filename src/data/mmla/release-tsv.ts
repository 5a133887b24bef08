import type { MmlaFormat } from './format.ts';
import { readLenientText } from './lenient-text.ts';
import { taskWords } from './prompts.ts';
import { RecordCollector } from './record-collector.ts';
import type { MmlaTask } from './tasks.ts';
import { mmlaTasks } from './tasks.ts';

/** What the column of the labels may be called: after the dimension, as prompts word it, or just so. */
const labelColumns = (task: MmlaTask): string[] => [...new Set([task.taskKey, ...taskWords(task), 'label'])];
const allLabelColumns = [...new Set(mmlaTasks.flatMap(labelColumns))];

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

interface TableRow {
  /** Its first line, from 0, and the one after its last. */
  readonly begin: number;
  readonly end: number;
  /** As it stands. */
  readonly text: string;
  readonly cells: readonly string[];
}

const cellPattern = /(?:"([^"]*(?:""[^"]*)*)"|(?!")([^\t\n]*))(\t|$)/y;

/** Cells of a text whose quotes are those of a program: these may hold tabs and line breaks. Undefined where they are not. */
function quotedCells(text: string): string[] | undefined {
  const cells: string[] = [];
  cellPattern.lastIndex = 0;
  for (;;) {
    const found = cellPattern.exec(text);
    if (found === null) return undefined;
    cells.push(found[1]?.replaceAll('""', '"') ?? found[2]!);
    if (found[3] === '') return cells;
  }
}

/** Most lines of one row. */
const mostLines = 50;

/** A row with quotes that hold tabs or line breaks, up to the next line that is a row of its own. */
function quotedRow(lines: readonly string[], begin: number, columns: number): TableRow | undefined {
  for (let end = begin + 1; end <= Math.min(lines.length, begin + mostLines); end++) {
    const text = lines.slice(begin, end).join('\n');
    const cells = quotedCells(text);
    if (cells?.length === columns) return { begin, end, text, cells };
    if (lines[end]?.split('\t').length === columns) break;
  }
  return undefined;
}

/** Rows below the header: a line each, unless it takes quotes with tabs or line breaks in them to have all cells. */
function* tableRows(lines: readonly string[], columns: number): Generator<TableRow> {
  const areAllQuoted = lines[0]!.startsWith('"');
  for (let begin = 1; begin < lines.length; ) {
    const text = lines[begin]!;
    const cells = text.split('\t').map((cell) => unquoted(cell, areAllQuoted));
    const line = { begin, end: begin + 1, text, cells };
    const mayGoOn = text.includes('"') && (cells.length !== columns || /(?:^|\t)"[^"\t]*$/.test(text));
    const row = (mayGoOn ? quotedRow(lines, begin, columns) : undefined) ?? line;
    if (text.trim() !== '') yield row;
    begin = row.end;
  }
}

/**
 * The tables of the released data set: tab-separated, with the columns `id`, `utterance` and one named after the dimension,
 * such as `dialogue_act`, or `label`; others are passed over. They name no video: samples are named by task and number.
 * Rows are counted by line, the header being 1.
 */
export const releaseTsv: MmlaFormat = {
  name: 'released TSV (id, utterance, and a column named after the dimension, or label)',
  recognises: ({ text }) => {
    const columns = headerOf(text);
    return (
      columns.includes('id') &&
      columns.includes('utterance') &&
      allLabelColumns.some((column) => columns.includes(column))
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
    const label = labelColumns(request.task).find((name) => columns.includes(name))!;
    const [id, utterance, gold] = ['id', 'utterance', label].map((name) => columns.indexOf(name)) as [
      number,
      number,
      number,
    ];
    for (const { begin, text: whole, cells } of tableRows(linesOf(text), columns.length)) {
      const row = begin + 1;
      const encoding = encodingFault(whole);
      if (encoding !== undefined) collector.badRow(row, encoding);
      else if (cells.length !== columns.length) {
        collector.badRow(row, `has ${cells.length} cells, and the header names ${columns.length} columns`);
      } else {
        collector.add({ row, number: cells[id]!.trim(), text: cells[utterance]!, gold: cells[gold]! });
      }
    }
    return collector.result();
  },
};

function missingColumns(columns: readonly string[], task: MmlaTask): string | undefined {
  const hasLabels = labelColumns(task).some((column) => columns.includes(column));
  const wanted = ['id', 'utterance', ...(hasLabels ? [] : [task.taskKey])];
  const missing = wanted.filter((column) => !columns.includes(column));
  if (missing.length === 0) return undefined;
  const others = hasLabels ? [] : allLabelColumns.filter((column) => columns.includes(column));
  const hint = others.length === 0 ? '' : `; it has ${others.join(', ')}: is it a file of another task?`;
  return `there is no column ${missing.join(', ')} for ${task.key}${hint}`;
}
