import { CsvError, parse } from 'csv-parse/sync';
import { InputError } from '../errors.ts';
import { readText } from './filesystem.ts';

/** Longest row, in characters: as the longest line of a JSONL file. */
const maxRowLength = 16 * 1024 * 1024;

/** Faults named in one message. */
const faultsShown = 20;

export interface CsvRow {
  /** As a spreadsheet counts: the header is row 1; empty lines count, a quoted cell of several lines is one row. */
  readonly row: number;
  /** Cells by column name, exactly as they stand in the file. */
  readonly values: Readonly<Record<string, string>>;
}

export interface CsvTable {
  readonly columns: readonly string[];
  readonly rows: readonly CsvRow[];
}

export interface CsvOptions {
  /** Columns that must be there. */
  readonly required?: readonly string[];
  /** Columns that may be there; any other one is an error. All are allowed when absent. */
  readonly optional?: readonly string[];
  /** Default `,`. */
  readonly delimiter?: ',' | ';' | '\t';
  /** Of a table that may be written in another encoding than UTF-8. */
  readonly decode?: (bytes: Uint8Array, path: string) => string;
  /** Told of each row with too few or too many cells, which is then passed over; without it they are an error. */
  readonly onBadRow?: (row: number, message: string) => void;
}

interface CsvRecord {
  readonly row: number;
  readonly cells: string[];
}

function parseRecords(text: string, path: string, delimiter: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  try {
    parse(text, {
      delimiter,
      // Counted below, so that all rows with a wrong number of cells are reported at once.
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: maxRowLength,
      on_record: (cells: string[], { records: count, empty_lines: emptyLines }) => {
        records.push({ row: count + emptyLines, cells });
        return null;
      },
    });
  } catch (error) {
    if (error instanceof CsvError) {
      const { lines } = error as CsvError & { lines?: number };
      const where = lines === undefined ? '' : `, line ${lines}`;
      if (error.code === 'CSV_MAX_RECORD_SIZE') {
        throw new InputError(
          'CSV_ROW_TOO_LONG',
          `${path}${where}: the row has more than ${maxRowLength} characters. A quote may never be closed, or it is another kind of file.`,
          { cause: error },
        );
      }
      throw new InputError('CSV_MALFORMED', `${path}${where}: ${error.message}.`, { cause: error });
    }
    throw error;
  }
  return records;
}

function checkColumns(
  columns: readonly string[],
  path: string,
  { required = [], optional }: CsvOptions,
): void {
  const faults: string[] = [];
  columns.forEach((column, index) => {
    if (column === '' || column === '__proto__') {
      faults.push(`column ${index + 1} has ${column === '' ? 'no name' : 'the forbidden name "__proto__"'}`);
    } else if (columns.indexOf(column) !== index) {
      faults.push(`column "${column}" occurs twice`);
    } else if (optional !== undefined && !required.includes(column) && !optional.includes(column)) {
      faults.push(`column "${column}" is not known; known are ${[...required, ...optional].join(', ')}`);
    }
  });
  for (const column of required) {
    if (!columns.includes(column)) {
      faults.push(`column "${column}" is missing`);
    }
  }
  if (faults.length > 0) {
    const present = columns.map((column) => JSON.stringify(column)).join(', ');
    throw new InputError(
      'CSV_BAD_HEADER',
      `${path}, row 1: ${faults.join('; ')}. The header reads ${present}.`,
    );
  }
}

/**
 * Reads a CSV file with a header row (UTF-8, with or without a byte order mark; quotes as in RFC 4180). Empty lines
 * are passed over.
 *
 * @throws InputError `CSV_MALFORMED` (quotes), `CSV_ROW_TOO_LONG`, `CSV_EMPTY` (no header), `CSV_BAD_HEADER` (all faults of the header),
 *   `CSV_BAD_ROW` (all rows with too few or too many cells), `FILE_NOT_UTF8`, `FILE_TOO_LARGE`, and those of
 *   `fileError`
 */
export async function readCsv(path: string, options: CsvOptions = {}): Promise<CsvTable> {
  const [header, ...records] = parseRecords(
    await readText(path, options.decode),
    path,
    options.delimiter ?? ',',
  );
  if (header === undefined) {
    throw new InputError(
      'CSV_EMPTY',
      `${path} is empty; expected is a header row with the names of the columns.`,
    );
  }
  const columns = header.cells;
  checkColumns(columns, path, options);
  const isEven = ({ cells }: CsvRecord): boolean => cells.length === columns.length;
  const uneven = records.filter((record) => !isEven(record));
  if (options.onBadRow !== undefined) {
    for (const { row, cells } of uneven) {
      options.onBadRow(
        row,
        `the header names ${columns.length} columns, but the row has ${cells.length} cells`,
      );
    }
  } else if (uneven.length > 0) {
    const shown = uneven.slice(0, faultsShown).map(({ row, cells }) => `row ${row} has ${cells.length}`);
    const rest = uneven.length > faultsShown ? `, and ${uneven.length - faultsShown} more rows` : '';
    throw new InputError(
      'CSV_BAD_ROW',
      `${path}: the header names ${columns.length} columns, but ${shown.join(', ')}${rest}. Cells that contain the delimiter need quotes.`,
    );
  }
  const rows = records.filter(isEven).map(({ row, cells }) => ({
    row,
    values: Object.fromEntries(columns.map((column, index) => [column, cells[index]!])),
  }));
  return { columns, rows };
}
