import { extname } from 'node:path';
import { parseOpensetLabels } from '../../data/datasets.ts';
import { InputError } from '../../errors.ts';
import { readCsv } from '../../io/csv.ts';
import { readJsonl } from '../../io/jsonl.ts';
import type { FindingCollector } from './findings.ts';

/** A row about one sample. Cells of a CSV file are text; a column that is not there is undefined. */
export interface SampleRow {
  /** `row 7`, for messages. */
  readonly where: string;
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Endings of the files that `readSampleRows` reads. */
export const rowFileEndings = ['.jsonl', '.csv'];

/**
 * Reads JSON Lines or CSV with a `name` (or `id`) and at least one of some other columns. A CSV file with rows that do not
 * fit its header is refused as a whole, since cells may have moved.
 *
 * @param columns those of which the file has to have one
 * @param reject is told of each row that cannot be read: what is wrong (of all rows that are alike), and the row
 * @throws InputError `ROWS_NO_COLUMN`, and those of `readCsv` and `readJsonl`
 */
export async function readSampleRows(
  path: string,
  columns: readonly string[],
  reject: (what: string, where: string) => void,
): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  const take = (row: number, values: Readonly<Record<string, unknown>>) => {
    const where = `row ${row}`;
    const { name, id } = values;
    const either = name ?? id;
    if (typeof either !== 'string' || either === '') {
      reject('rows without a name', where);
    } else if (name !== undefined && id !== undefined && name !== id) {
      reject('rows whose name and id differ', where);
    } else if (columns.every((column) => values[column] === undefined)) {
      reject(`rows without any of ${columns.join(', ')}`, where);
    } else rows.push({ where, name: either, values });
  };
  if (extname(path).toLowerCase() === '.csv') {
    const table = await readCsv(path);
    const has = (column: string) => table.columns.includes(column);
    if (!(has('name') || has('id')) || !columns.some(has)) {
      throw new InputError(
        'ROWS_NO_COLUMN',
        `${path}, row 1: expected are the columns name and ${columns.join(' or ')}. The header reads ${table.columns.join(', ')}.`,
      );
    }
    for (const { row, values } of table.rows) take(row, values);
  } else {
    const onBadRow = (row: number, { message }: InputError) => {
      const [, reason = message] = /: (the line .*?)\.?$/s.exec(message) ?? [];
      reject('rows that are not JSON objects', `row ${row} (${reason})`);
    };
    for await (const { row, value } of readJsonl(path, { onBadRow })) take(row, value);
  }
  return rows;
}

/** Whether a value stands for none: NaN, null or None, or the word `nan` that they become in a table of text. */
export const isMissing = (value: unknown): boolean =>
  value === null ||
  Number.isNaN(value) ||
  (typeof value === 'string' && value.trim().toLowerCase() === 'nan');

/**
 * A list of words: as it is, in the published notation (`[happy, 'sad']`, brackets or not), or as a cell (`happy; sad`, or
 * the published notation with brackets). Undefined where the value is none of these.
 */
export function labelList(value: unknown, notation: 'published' | 'cell'): readonly string[] | undefined {
  if (typeof value !== 'string') {
    return Array.isArray(value) && value.every((label) => typeof label === 'string') ? value : undefined;
  }
  if (notation === 'published') return parseOpensetLabels(value);
  if (/^\s*\[.*\]\s*$/s.test(value)) return parseOpensetLabels(value.trim());
  return value
    .split(';')
    .map((label) => label.trim())
    .filter((label) => label !== '');
}

/** Keeps one of each name. */
export class UniqueSamples<Value> {
  readonly samples = new Map<string, Value>();
  readonly #contradictions: string[] = [];
  readonly #collector: FindingCollector;

  constructor(collector: FindingCollector) {
    this.#collector = collector;
  }

  add(name: string, value: Value): void {
    const earlier = this.samples.get(name);
    if (earlier === undefined) this.samples.set(name, value);
    else if (JSON.stringify(earlier) === JSON.stringify(value)) {
      this.#collector.add('duplicate', 'samples that stand there twice with the same content', name);
    } else this.#contradictions.push(name);
  }

  /** Names that stand there twice with different contents. */
  get contradictions(): string[] {
    return [...new Set(this.#contradictions)];
  }
}
