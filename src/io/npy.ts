import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from './atomic.ts';
import { readInto, withFile } from './filesystem.ts';
import { elementCount, headerRange, npyStartBytes, parseHeader } from './npy-header.ts';

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

function fault(code: string, path: string, what: string): InputError {
  return new InputError(`NPY_${code}`, `${path}: ${what}`);
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
  const faultHere = (code: string, what: string) => fault(code, path, what);
  const { size } = await handle.stat();
  const start = Buffer.alloc(npyStartBytes);
  const got = await readInto(handle, start, 0);
  const range = headerRange(start.subarray(0, got), size, faultHere);
  const header = Buffer.alloc(range.end - range.begin);
  await readInto(handle, header, range.begin);
  const members = parseHeader(header, range.version, faultHere);
  const dtype = parseDtype(members.descr, path);
  if (members.fortran) {
    throw fault(
      'FORTRAN_ORDER',
      path,
      'is stored column by column (Fortran order); save it with numpy.ascontiguousarray(array).',
    );
  }
  const begin = range.end;
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
