import { open } from 'node:fs/promises';
import { InputError, NumericError } from '../errors.ts';
import { AppendFile } from './append-file.ts';
import { decodeUtf8, fileError, readInto, withFile } from './filesystem.ts';
import { findDuplicateKey, isJsonObject } from './json.ts';

const newline = 0x0a;
const readBytes = 256 * 1024;

export interface JsonlRow {
  /** Line number, from 1. */
  readonly row: number;
  readonly value: Record<string, unknown>;
}

export interface JsonlOptions {
  /** A longer line is an error. Default 16 MiB. */
  readonly maxLineBytes?: number;
  /** Told of each line that is not a good object, which is then passed over; without it the first one is an error. */
  readonly onBadRow?: (row: number, error: InputError) => void;
}

const defaultMaxLineBytes = 16 * 1024 * 1024;

interface Line {
  readonly row: number;
  readonly bytes: Uint8Array;
  /** Whether a newline follows. */
  readonly ended: boolean;
}

async function* readLines(path: string, maxLineBytes: number): AsyncGenerator<Line> {
  const handle = await open(path, 'r').catch((error) => {
    throw fileError(error, path, 'read');
  });
  try {
    let position = 0;
    let row = 1;
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    for (;;) {
      const buffer = Buffer.allocUnsafe(readBytes);
      const count = await readInto(handle, buffer, position).catch((error) => {
        throw fileError(error, path, 'read');
      });
      position += count;
      let start = 0;
      while (start < count) {
        const found = buffer.subarray(0, count).indexOf(newline, start);
        const end = found === -1 ? count : found;
        pending.push(buffer.subarray(start, end));
        pendingBytes += end - start;
        if (pendingBytes > maxLineBytes) {
          throw new InputError(
            'JSONL_LINE_TOO_LONG',
            `${path}, row ${row}: the line has more than ${maxLineBytes} bytes. Expected is one JSON object on each line.`,
          );
        }
        if (found !== -1) {
          yield { row, bytes: Buffer.concat(pending), ended: true };
          row++;
          pending = [];
          pendingBytes = 0;
        }
        start = end + 1;
      }
      if (count < readBytes) {
        if (pendingBytes > 0) {
          yield { row, bytes: Buffer.concat(pending), ended: false };
        }
        return;
      }
    }
  } finally {
    await handle.close();
  }
}

/** Whether any object in a parsed value has a key of its own named `__proto__`, which would poison copies of it. */
function hasProtoKey(value: unknown): boolean {
  const waiting = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === 'object' && next !== null) {
      if (Object.hasOwn(next, '__proto__')) {
        return true;
      }
      for (const member of Object.values(next)) {
        waiting.push(member);
      }
    }
  }
  return false;
}

function parseLine({ row, bytes, ended }: Line, path: string): Record<string, unknown> | undefined {
  const where = `${path}, row ${row}`;
  const text = decodeUtf8(bytes, where);
  if (text.trim() === '') {
    return undefined;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const torn = ended
      ? ''
      : ' It is the last line and has no end: the program that wrote it was probably stopped.';
    throw new InputError(
      'JSONL_NOT_JSON',
      `${where}: the line is not JSON (${error instanceof Error ? error.message : error}).${torn}`,
      { cause: error },
    );
  }
  if (!isJsonObject(value)) {
    throw new InputError('JSONL_NOT_AN_OBJECT', `${where}: the line is not a JSON object.`);
  }
  if (hasProtoKey(value)) {
    throw new InputError('JSONL_FORBIDDEN_KEY', `${where}: the key "__proto__" is not allowed.`);
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new InputError(
      'JSONL_DUPLICATE_KEY',
      `${where}: the key "${duplicate}" occurs twice in one object.`,
    );
  }
  return value;
}

/**
 * Reads JSON Lines: one object on each line, UTF-8, as a stream. Blank lines are passed over but counted.
 *
 * With `onBadRow` only a line that is too long ends the reading, since it says that the file is another kind of file.
 *
 * @throws InputError `JSONL_NOT_JSON`, `JSONL_NOT_AN_OBJECT`, `JSONL_FORBIDDEN_KEY`, `JSONL_DUPLICATE_KEY`,
 *   `JSONL_LINE_TOO_LONG`, `FILE_NOT_UTF8`, each naming file and row; and those of `fileError`
 */
export async function* readJsonl(path: string, options: JsonlOptions = {}): AsyncGenerator<JsonlRow> {
  for await (const line of readLines(path, options.maxLineBytes ?? defaultMaxLineBytes)) {
    let value: Record<string, unknown> | undefined;
    try {
      value = parseLine(line, path);
    } catch (error) {
      if (options.onBadRow === undefined || !(error instanceof InputError)) {
        throw error;
      }
      options.onBadRow(line.row, error);
    }
    if (value !== undefined) {
      yield { row: line.row, value };
    }
  }
}

/** What a stopped writer had left behind. */
export interface TornLine {
  readonly path: string;
  readonly bytes: number;
  /** Its beginning, for a message. */
  readonly beginning: string;
}

/** Offset just after the last newline of the file; 0 where there is none. */
async function lastLineBegin(path: string): Promise<{ begin: number; size: number }> {
  return withFile(path, async (handle) => {
    const { size } = await handle.stat();
    const buffer = Buffer.alloc(64 * 1024);
    for (let end = size; end > 0; end -= buffer.byteLength) {
      const begin = Math.max(0, end - buffer.byteLength);
      const piece = buffer.subarray(0, end - begin);
      await readInto(handle, piece, begin);
      const found = piece.lastIndexOf(newline);
      if (found !== -1) {
        return { begin: begin + found + 1, size };
      }
    }
    return { begin: 0, size };
  });
}

/**
 * Makes a JSONL file whole again after its writer was killed: a last line without a newline is cut off, unless
 * it is a complete object that lacks nothing but the newline, which is then added. All other lines stay as they are.
 *
 * @returns what was cut off, for the caller to report; undefined where the file was whole or does not exist
 * @throws InputError those of `fileError`
 */
export async function dropTornLine(path: string): Promise<TornLine | undefined> {
  try {
    const { begin, size } = await lastLineBegin(path);
    if (begin === size) {
      return undefined;
    }
    const handle = await open(path, 'r+');
    try {
      // A longer one could not be read again.
      const line = Buffer.alloc(Math.min(size - begin, defaultMaxLineBytes));
      await readInto(handle, line, begin);
      const text = line.toString('utf8');
      const complete = line.byteLength === size - begin && isCompleteObject(text);
      if (complete) {
        await handle.write('\n', size);
      } else {
        await handle.truncate(begin);
      }
      await handle.sync();
      return complete ? undefined : { path, bytes: size - begin, beginning: text.slice(0, 200) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const known = fileError(error, path, 'write');
    if (known instanceof InputError && known.code === 'FILE_NOT_FOUND') {
      return undefined;
    }
    throw known;
  }
}

function isCompleteObject(text: string): boolean {
  try {
    return isJsonObject(JSON.parse(text));
  } catch {
    return false;
  }
}

/**
 * Appends objects to a JSONL file, each line in one write. A killed process leaves at most one torn line at the end,
 * which the next `open` drops and reports as `dropped`; a power cut may take lines since the last `sync`.
 */
export class JsonlWriter {
  /** The torn line that `open` found and dropped. */
  readonly dropped: TornLine | undefined;
  readonly #file: AppendFile;

  private constructor(file: AppendFile, dropped: TornLine | undefined) {
    this.#file = file;
    this.dropped = dropped;
  }

  /**
   * Opens a file to continue it, or creates it.
   *
   * @throws InputError those of `fileError`
   */
  static async open(path: string): Promise<JsonlWriter> {
    const dropped = await dropTornLine(path);
    try {
      return new JsonlWriter(await AppendFile.open(path, 'a'), dropped);
    } catch (error) {
      throw fileError(error, path, 'write');
    }
  }

  /**
   * Appends one line; lines keep the order of the calls.
   *
   * @throws NumericError `JSONL_NOT_FINITE`: JSON has no NaN or infinity, and null would hide it
   * @throws InputError `DISK_FULL` and others of `fileError`; the file is as before
   */
  async append(value: Readonly<Record<string, unknown>>): Promise<void> {
    const text = JSON.stringify(value, (key, member: unknown) => {
      if (typeof member === 'number' && !Number.isFinite(member)) {
        throw new NumericError(
          'JSONL_NOT_FINITE',
          `${this.#file.path}: "${key}" is ${member}, which JSON cannot hold.`,
        );
      }
      return member;
    });
    await this.#file.append(Buffer.from(`${text}\n`));
  }

  /** Waits for all lines and forces them to the disk. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  /** Waits for all lines, forces them to the disk and closes the file. */
  close(): Promise<void> {
    return this.#file.close();
  }
}

/** The text of a JSON Lines file. */
export const jsonLines = (rows: readonly object[]): string =>
  rows
    .map(
      (row) => `${JSON.stringify(row)}
`,
    )
    .join('');
