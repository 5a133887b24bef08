import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from './atomic.ts';
import { readInto, withFile } from './filesystem.ts';

export type NpyDtype = 'uint8' | 'int16' | 'int32' | 'int64' | 'float32' | 'float64' | 'bool';

/** Booleans are 0 and 1 in a `Uint8Array`. */
export type NpyData = Uint8Array | Int16Array | Int32Array | BigInt64Array | Float32Array | Float64Array;

export interface NpyArray {
  readonly dtype: NpyDtype;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: NpyData;
}

/** A checked npy file, not read yet: the data are the bytes from `begin` to `end`. */
export interface NpyFile {
  readonly path: string;
  readonly dtype: NpyDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const arrayTypes = {
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
  float64: Float64Array,
  bool: Uint8Array,
} as const;

/** NumPy's `descr` of every supported dtype, as NumPy writes it. */
const descriptions: Record<NpyDtype, string> = {
  uint8: '|u1',
  int16: '<i2',
  int32: '<i4',
  int64: '<i8',
  float32: '<f4',
  float64: '<f8',
  bool: '|b1',
};

/** Far more than any array needs; keeps a damaged length from allocating gigabytes. */
const maxHeaderBytes = 1024 * 1024;

function fault(code: string, path: string, what: string): InputError {
  return new InputError(`NPY_${code}`, `${path}: ${what}`);
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The three members of the header, which is the text of a Python dictionary such as
 * `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. `descr` is undefined when it is not a plain string
 * (records). Matched as a whole, in any order of the keys; nothing is evaluated.
 */
function matchHeader(
  text: string,
): { descr: string | undefined; fortran: boolean; shape: number[] } | undefined {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (body === undefined) {
    return undefined;
  }
  const member =
    /\s*(?:'(\w+)'|"(\w+)")\s*:\s*(?:'([^'\\]*)'|"([^"\\]*)"|(True|False)|\(([\dL,\s]*)\)|(\[.*\]))\s*(?:,|$)/sy;
  const found: { descr?: string | undefined; fortran?: boolean; shape?: number[] } = {};
  let position = 0;
  while (position < body.trimEnd().length) {
    member.lastIndex = position;
    const match = member.exec(body);
    if (match === null) {
      return undefined;
    }
    const key = match[1] ?? match[2];
    if (key === 'descr' && !('descr' in found) && (match[3] ?? match[4] ?? match[7]) !== undefined) {
      found.descr = match[3] ?? match[4];
    } else if (key === 'fortran_order' && !('fortran' in found) && match[5] !== undefined) {
      found.fortran = match[5] === 'True';
    } else if (key === 'shape' && !('shape' in found) && match[6] !== undefined) {
      const sizes = match[6].split(',').map((size) => size.trim());
      if (sizes.at(-1) === '') {
        sizes.pop();
      }
      // Python 2 wrote `3L`.
      if (!sizes.every((size) => /^\d+L?$/.test(size))) {
        return undefined;
      }
      found.shape = sizes.map((size) => Number.parseInt(size, 10));
      if (!found.shape.every(Number.isSafeInteger)) {
        return undefined;
      }
    } else {
      return undefined;
    }
    position = member.lastIndex;
  }
  const { fortran, shape } = found;
  return 'descr' in found && fortran !== undefined && shape !== undefined
    ? { descr: found.descr, fortran, shape }
    : undefined;
}

function parseDtype(descr: string | undefined, path: string): NpyDtype {
  const supported = Object.keys(descriptions).join(', ');
  if (descr === undefined) {
    throw fault(
      'STRUCTURED_DTYPE',
      path,
      `holds records with named fields; supported are plain arrays of ${supported}.`,
    );
  }
  if (/^[<>|=]?O/.test(descr)) {
    throw fault(
      'OBJECT_DTYPE',
      path,
      `holds Python objects (dtype "${descr}"), which would need unpickling and could run code; save it with a numeric dtype.`,
    );
  }
  if (descr.startsWith('>')) {
    throw fault(
      'BIG_ENDIAN',
      path,
      `is big-endian (dtype "${descr}"); save it as "${descr.replace('>', '<')}".`,
    );
  }
  for (const [dtype, description] of Object.entries(descriptions)) {
    // A byte has no order, so `<u1` and `u1` mean the same as `|u1`.
    const isByte = description.startsWith('|');
    if (descr === description || (isByte && descr.replace(/^[<|=]/, '') === description.slice(1))) {
      return dtype as NpyDtype;
    }
  }
  throw fault('UNKNOWN_DTYPE', path, `has dtype "${descr}"; supported are ${supported}.`);
}

async function readHeader(handle: FileHandle, path: string): Promise<NpyFile> {
  const { size } = await handle.stat();
  const start = Buffer.alloc(12);
  const got = await readInto(handle, start, 0);
  if (got < 10 || start.toString('latin1', 0, 6) !== '\x93NUMPY') {
    throw fault('NOT_NPY', path, 'is not an npy file: it does not begin with the mark of one.');
  }
  const version = start[6]!;
  if (version < 1 || version > 3) {
    throw fault('UNKNOWN_VERSION', path, `has npy version ${version}; supported are 1, 2 and 3.`);
  }
  const headerBegin = version === 1 ? 10 : 12;
  const headerBytes = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
  if (headerBytes > Math.min(maxHeaderBytes, size - headerBegin)) {
    throw fault(
      'TRUNCATED',
      path,
      `announces a header of ${headerBytes} bytes, and the file has ${size} bytes in all.`,
    );
  }
  const header = Buffer.alloc(headerBytes);
  await readInto(handle, header, headerBegin);
  const text = header.toString(version === 3 ? 'utf8' : 'latin1');
  const members = matchHeader(text);
  if (members === undefined) {
    throw fault(
      'BAD_HEADER',
      path,
      `has a header that is not the expected dictionary of descr, fortran_order and shape: ${JSON.stringify(text.trim().slice(0, 200))}.`,
    );
  }
  const dtype = parseDtype(members.descr, path);
  if (members.fortran) {
    throw fault(
      'FORTRAN_ORDER',
      path,
      'is stored column by column (Fortran order); save it with numpy.ascontiguousarray(array).',
    );
  }
  const begin = headerBegin + headerBytes;
  const due = elementCount(members.shape) * arrayTypes[dtype].BYTES_PER_ELEMENT;
  if (due !== size - begin) {
    throw fault(
      due > size - begin ? 'TRUNCATED' : 'TRAILING_BYTES',
      path,
      `an array of ${dtype} with shape (${members.shape.join(', ')}) takes ${due} bytes, and ${size - begin} follow the header.`,
    );
  }
  return { path, dtype, shape: members.shape, begin, end: size };
}

/**
 * Reads and checks the header of an npy file (versions 1 to 3, little-endian, row-major) against the file's size.
 *
 * @throws InputError `NPY_NOT_NPY`, `_UNKNOWN_VERSION`, `_BAD_HEADER`, `_UNKNOWN_DTYPE`, `_OBJECT_DTYPE`,
 *   `_STRUCTURED_DTYPE`, `_BIG_ENDIAN`, `_FORTRAN_ORDER`, `_TRUNCATED`, `_TRAILING_BYTES`, and those of `fileError`
 */
export async function openNpy(path: string): Promise<NpyFile> {
  return withFile(path, (handle) => readHeader(handle, path));
}

async function readBytes(
  handle: FileHandle,
  file: NpyFile,
  target: NpyData,
  position: number,
): Promise<void> {
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  if ((await readInto(handle, bytes, position)) < bytes.byteLength) {
    throw fault('TRUNCATED', file.path, 'has become shorter since it was opened.');
  }
}

/**
 * Reads a whole npy file.
 *
 * @throws InputError as `openNpy`
 */
export async function readNpy(path: string): Promise<NpyArray> {
  return withFile(path, async (handle) => {
    const file = await readHeader(handle, path);
    const data = new arrayTypes[file.dtype](elementCount(file.shape));
    await readBytes(handle, file, data, file.begin);
    return { dtype: file.dtype, shape: file.shape, data };
  });
}

/**
 * Reads some entries along the first axis, in the given order: a few frames of a long video.
 *
 * @param rows indices into the first axis; may repeat
 * @returns an array of shape `[rows.length, ...]`
 * @throws InputError `NPY_NO_SUCH_ROW`, `NPY_TRUNCATED`, and those of `fileError`
 */
export async function readNpyRows(file: NpyFile, rows: readonly number[]): Promise<NpyArray> {
  const [rowCount = 0, ...rowShape] = file.shape;
  const missing = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= rowCount);
  if (missing !== undefined) {
    throw fault(
      'NO_SUCH_ROW',
      file.path,
      `has ${rowCount} entries along its first axis, and number ${missing} is asked for.`,
    );
  }
  const rowLength = elementCount(rowShape);
  const data = new arrayTypes[file.dtype](rows.length * rowLength);
  await withFile(file.path, async (handle) => {
    for (const [index, row] of rows.entries()) {
      const target = data.subarray(index * rowLength, (index + 1) * rowLength);
      await readBytes(handle, file, target, file.begin + row * target.byteLength);
    }
  });
  return { dtype: file.dtype, shape: [rows.length, ...rowShape], data };
}

/**
 * Writes an npy file (version 1, as NumPy writes it) atomically.
 *
 * @throws InputError `NPY_SIZE_MISMATCH` and those of `writeFileAtomic`
 */
export async function writeNpy(path: string, { dtype, shape, data }: NpyArray): Promise<void> {
  if (!(data instanceof arrayTypes[dtype]) || data.length !== elementCount(shape)) {
    throw fault(
      'SIZE_MISMATCH',
      path,
      `an array of ${dtype} with shape (${shape.join(', ')}) needs a ${arrayTypes[dtype].name} of ${elementCount(shape)} elements and is given a ${data.constructor.name} of ${data.length}.`,
    );
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${descriptions[dtype]}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // The data begin at a multiple of 64 bytes; a newline ends the header.
  const total = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(total, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(total - 10, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', total - 1, 'latin1');
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeFileAtomic(path, [header, bytes], total + bytes.byteLength);
}
