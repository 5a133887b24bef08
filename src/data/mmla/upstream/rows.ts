import { InputError } from '../../../errors.ts';
import type { CsvOptions, CsvRow } from '../../../io/csv.ts';
import { readCsv } from '../../../io/csv.ts';
import type { ReadRequest } from '../format.ts';
import { RecordCollector } from '../record-collector.ts';
import type { MmlaTaskKey } from '../tasks.ts';

/** A sample as a file of its authors has it, with all that is wrong with it. */
export interface UpstreamRow {
  readonly row: number;
  /** What follows the key of the task in an id, such as `0_2`. */
  readonly number: string;
  readonly text: string;
  /** As the registry spells it. */
  readonly label: string;
  readonly faults: readonly string[];
}

/**
 * Any bytes as text: what is no UTF-8 becomes U+FFFD, so that each row it is in can be named. A leading byte order
 * mark goes.
 */
export const decodeTolerantly = (bytes: Uint8Array): string => new TextDecoder('utf-8').decode(bytes);

/** The header of a table, by its first line. */
export function headerOf(text: string): readonly string[] {
  const line = text.replace(/^\ufeff/, '').split(/\r?\n/, 1)[0]!;
  return line.split(',').map((column) => column.trim().replace(/^"(.*)"$/, '$1'));
}

/** What will hold the records of a file; it has a fault where the task is not made of this data set. */
export function collectorFor(request: ReadRequest, what: string, tasks: readonly MmlaTaskKey[]) {
  const collector = new RecordCollector(request);
  const { key } = request.task;
  const fits = tasks.includes(key);
  if (!fits) {
    const made = `${tasks.join(' and ')} ${tasks.length === 1 ? 'is' : 'are'} made`;
    collector.fault(null, `this is ${what}, of which ${made}, and ${key} is not`);
  }
  return { collector, fits };
}

/**
 * Reads something that may be no such file at all, which is then a fault of the file as a whole.
 * @param read its errors of content (not those of reading files) become the fault
 */
export async function readContent<T>(
  file: string,
  collector: RecordCollector,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof InputError) || !/^(CSV|JSON)_/.test(error.code)) throw error;
    collector.fault(null, error.message.replaceAll(file, 'the file'));
    return undefined;
  }
}

/** For `readCsv`: rows that it cannot read become faults. */
export const csvOptions = (collector: RecordCollector) =>
  ({
    decode: decodeTolerantly,
    onBadRow: (row, message) => collector.badRow(row, message),
  }) satisfies CsvOptions;

/** Rows of a table that has these columns; none, and a fault, where it has not. */
export async function readRows(
  file: string,
  columns: readonly string[],
  collector: RecordCollector,
  decode = decodeTolerantly,
): Promise<readonly CsvRow[]> {
  const options = { ...csvOptions(collector), required: columns, decode };
  const table = await readContent(file, collector, () => readCsv(file, options));
  return table?.rows ?? [];
}

/** Makes records of the rows that have no faults, in their order. */
export function addRows(collector: RecordCollector, rows: readonly UpstreamRow[]): void {
  for (const { row, number, text, label, faults } of rows) {
    const broken = text.includes('\ufffd') ? ['the utterance has bytes that are no UTF-8'] : [];
    const found = [...faults, ...broken];
    for (const message of found) collector.badRow(row, message);
    if (found.length === 0) collector.add({ row, number, text, gold: label });
  }
}
