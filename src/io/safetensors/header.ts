import { InputError } from '../../errors.ts';
import { findDuplicateKey, isJsonObject } from '../json.ts';

/** Bytes per element, in the order in which the official writer sorts (the last one comes first in a file). */
const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
} as const;

export type SafetensorsDtype = keyof typeof elementBytes;

/** Supported element types, ascending as in the official library. */
export const safetensorsDtypes = Object.keys(elementBytes) as SafetensorsDtype[];

/** Largest header that the official library accepts. */
export const maxHeaderBytes = 100_000_000;

/** Where a tensor lies: `begin` and `end` are absolute byte offsets in `file`, of safetensors or of torch. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly file: string;
  readonly begin: number;
  readonly end: number;
  /**
   * Elements from one index to the next along each axis, where they are not in row-major order: transposed views in
   * files of torch. Reading puts them in order.
   */
  readonly strides?: readonly number[];
}

export interface SafetensorsHeader {
  /** In the order of the data in the file. */
  readonly entries: Map<string, SafetensorsEntry>;
  readonly metadata: Record<string, string>;
}

export function bytesPerElement(dtype: SafetensorsDtype): number {
  return elementBytes[dtype];
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A stranger's names and shapes may be as long as a header. */
const shortened = (text: string): string => (text.length > 500 ? `${text.slice(0, 500)}…` : text);

function fault(code: string, file: string, what: string): InputError {
  return new InputError(
    `SAFETENSORS_${code}`,
    `${file} is not a valid safetensors file: ${shortened(what)} It may be damaged or not completely downloaded; get it again.`,
  );
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (!isJsonObject(value)) {
    throw fault('BAD_METADATA', file, '"__metadata__" is not an object.');
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw fault('BAD_METADATA', file, `"__metadata__" holds "${key}", whose value is not a string.`);
    }
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, file: string, dataBegin: number): SafetensorsEntry {
  if (!isJsonObject(value)) {
    throw fault('BAD_ENTRY', file, `the entry of tensor "${name}" is not an object.`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) {
    throw new InputError(
      'SAFETENSORS_UNKNOWN_DTYPE',
      `${file}: ${shortened(`tensor "${name}" has ${typeof dtype === 'string' ? `element type "${dtype}"` : 'no element type'}`)}; supported are ${safetensorsDtypes.join(', ')}.`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw fault('BAD_ENTRY', file, `the shape of tensor "${name}" is not a list of sizes.`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw fault('BAD_ENTRY', file, `"data_offsets" of tensor "${name}" are not two byte offsets.`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) {
    throw fault('OUT_OF_BOUNDS', file, `tensor "${name}" ends (${end}) before it begins (${begin}).`);
  }
  const known = dtype as SafetensorsDtype;
  const due = elementCount(shape) * elementBytes[known];
  if (due !== end - begin) {
    throw fault(
      'SIZE_MISMATCH',
      file,
      `tensor "${name}" (${dtype}, shape [${shape.join(', ')}]) needs ${due} bytes and is given ${end - begin}.`,
    );
  }
  return { name, dtype: known, shape, file, begin: dataBegin + begin, end: dataBegin + end };
}

/** The data has to be covered by the tensors exactly once, from its first byte to its last. */
function checkLayout(
  entries: readonly SafetensorsEntry[],
  dataBegin: number,
  fileBytes: number,
  file: string,
) {
  let covered = dataBegin;
  for (const { name, begin, end } of entries) {
    if (begin < covered) {
      throw fault(
        'OVERLAP',
        file,
        `tensor "${name}" begins ${covered - begin} bytes before the previous one ends.`,
      );
    }
    if (begin > covered) {
      if (end > fileBytes) {
        throw fault(
          'OUT_OF_BOUNDS',
          file,
          `tensor "${name}" lies ${end - fileBytes} bytes beyond the end of the file.`,
        );
      }
      throw fault('HOLE', file, `${begin - covered} bytes before tensor "${name}" belong to no tensor.`);
    }
    covered = end;
  }
  if (covered > fileBytes) {
    throw fault('TRUNCATED', file, `the last ${covered - fileBytes} of ${covered} bytes are missing.`);
  }
  if (covered < fileBytes) {
    throw fault('TRAILING_BYTES', file, `${fileBytes - covered} bytes follow the last tensor.`);
  }
}

/**
 * Reads the header's JSON and checks every rule of the format.
 *
 * @param text the header without its length
 * @param dataBegin absolute offset of the first data byte
 * @param fileBytes size of the whole file
 * @throws InputError `SAFETENSORS_NOT_JSON`, `_DUPLICATE_NAME`, `_BAD_METADATA`, `_BAD_ENTRY`, `_UNKNOWN_DTYPE`,
 *   `_SIZE_MISMATCH`, `_OUT_OF_BOUNDS`, `_OVERLAP`, `_HOLE`, `_TRUNCATED`, `_TRAILING_BYTES`
 */
export function parseHeader(
  text: string,
  file: string,
  dataBegin: number,
  fileBytes: number,
): SafetensorsHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw fault(
      'NOT_JSON',
      file,
      `its header is not JSON (${error instanceof Error ? error.message : error}).`,
    );
  }
  if (!isJsonObject(parsed)) {
    throw fault('NOT_JSON', file, 'its header is not a JSON object.');
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw fault('DUPLICATE_NAME', file, `its header holds "${duplicate}" twice.`);
  }
  const list: SafetensorsEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '__metadata__') {
      metadata = parseMetadata(value, file);
    } else {
      list.push(parseEntry(name, value, file, dataBegin));
    }
  }
  list.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(list, dataBegin, fileBytes, file);
  return { entries: new Map(list.map((entry) => [entry.name, entry])), metadata };
}

/** A tensor about to be written. */
export interface HeaderTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
}

/** The order of the official writer: wide elements first, so that all are aligned; then by name (as UTF-8). */
export function compareForWriting(a: HeaderTensor, b: HeaderTensor): number {
  const byDtype = safetensorsDtypes.indexOf(b.dtype) - safetensorsDtypes.indexOf(a.dtype);
  return byDtype || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

/** Length and header, padded with blanks to a multiple of 8 bytes; the data of `tensors` follow in their order. */
export function formatHeader(
  tensors: readonly HeaderTensor[],
  metadata?: Record<string, string>,
): Uint8Array {
  // Put together by hand: an object would move names that look like numbers to the front.
  const members = metadata === undefined ? [] : [`"__metadata__":${JSON.stringify(metadata)}`];
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = begin + elementCount(shape) * elementBytes[dtype];
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = Buffer.from(`{${members.join(',')}}`);
  const padded = Math.ceil(text.byteLength / 8) * 8;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded), 0);
  text.copy(header, 8);
  return header;
}
