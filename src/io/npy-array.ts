import { InputError } from '../errors.ts';
import { halfToFloat32 } from './float16.ts';
import type { NpyFault } from './npy-header.ts';
import { elementCount, headerRange, npyStartBytes, parseHeader } from './npy-header.ts';
import { numpyKind, PickledArray, type PickleValue, unpickle } from './pickle.ts';

/** Numbers of an array. Booleans are 0 and 1 in a `Uint8Array`, half precision is widened to a `Float32Array`. */
export type NumberData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A whole array, row-major whatever the order it was stored in. One without axes has one element. */
export type ParsedArray =
  | {
      readonly kind: 'numbers';
      readonly dtype: NumberDtype;
      readonly shape: readonly number[];
      readonly data: NumberData;
    }
  | { readonly kind: 'text'; readonly shape: readonly number[]; readonly data: readonly string[] }
  | { readonly kind: 'objects'; readonly shape: readonly number[]; readonly data: readonly PickleValue[] };

/** NumPy's code of each type, and the array that holds what the file holds. */
const numberTypes = {
  bool: { code: 'b1', stored: Uint8Array },
  int8: { code: 'i1', stored: Int8Array },
  uint8: { code: 'u1', stored: Uint8Array },
  int16: { code: 'i2', stored: Int16Array },
  uint16: { code: 'u2', stored: Uint16Array },
  int32: { code: 'i4', stored: Int32Array },
  uint32: { code: 'u4', stored: Uint32Array },
  int64: { code: 'i8', stored: BigInt64Array },
  uint64: { code: 'u8', stored: BigUint64Array },
  float16: { code: 'f2', stored: Uint16Array },
  float32: { code: 'f4', stored: Float32Array },
  float64: { code: 'f8', stored: Float64Array },
} as const;

export type NumberDtype = keyof typeof numberTypes;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads an npy file that lies in memory: numbers, text (`U`, and `S` as UTF-8) and Python objects, which go through the
 * restricted unpickler. Any byte order, rows or columns first.
 *
 * @param where the file, for messages
 * @throws InputError `NPY_NOT_NPY`, `_UNKNOWN_VERSION`, `_BAD_HEADER`, `_UNKNOWN_DTYPE`, `_STRUCTURED_DTYPE`,
 *   `_TRUNCATED`, `_TRAILING_BYTES`, `_BAD_TEXT`, `_BAD_OBJECTS`, and those of `unpickle`
 */
export function parseNpy(bytes: Buffer, where: string): ParsedArray {
  const fault: NpyFault = (code, what) => new InputError(`NPY_${code}`, `${where}: ${what}`);
  const range = headerRange(bytes.subarray(0, npyStartBytes), bytes.byteLength, fault);
  const header = parseHeader(bytes.subarray(range.begin, range.end), range.version, fault);
  const { descr, fortran, shape } = header;
  if (descr === undefined) {
    throw fault('STRUCTURED_DTYPE', 'holds records with named fields; only plain arrays are read.');
  }
  if (/^\|?O8?$/.test(descr)) return parseObjects(bytes, range.end, shape, where, fault);
  const [, order, code, digits] = /^([<>|=]?)([a-zA-Z])(\d{1,9})$/.exec(descr) ?? [];
  const size = Number(digits);
  const dtype = (Object.keys(numberTypes) as NumberDtype[]).find(
    (key) => numberTypes[key].code === `${code}${digits}`,
  );
  const isText = (code === 'U' || code === 'S') && size > 0;
  if (dtype === undefined && !isText) {
    throw fault(
      'UNKNOWN_DTYPE',
      `has dtype "${descr}"; supported are ${Object.keys(numberTypes).join(', ')}, text and Python objects.`,
    );
  }
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + range.end, bytes.byteLength - range.end);
  const width = code === 'U' ? 4 * size : size;
  const count = elementCount(shape);
  // Whatever is allocated below is as long as the bytes that are really there.
  if (count * width !== body.byteLength) {
    throw fault(
      count * width < body.byteLength ? 'TRAILING_BYTES' : 'TRUNCATED',
      `byte ${range.end}: an array of "${descr}" with shape (${shape.join(', ')}) takes ${count * width} bytes, and ${body.byteLength} follow.`,
    );
  }
  const bigEndian = order === '>';
  if (dtype !== undefined) {
    const data = numbers(dtype, body, bigEndian);
    return { kind: 'numbers', dtype, shape, data: fortran ? rowMajor(data, shape) : data };
  }
  const texts: string[] = [];
  for (let at = 0; at < body.byteLength; at += width) {
    const element = body.subarray(at, at + width);
    const text = code === 'U' ? utf32Text(element, bigEndian) : utf8Text(element);
    if (text === undefined) {
      throw fault(
        'BAD_TEXT',
        `byte ${range.end + at}: element ${texts.length} is not ${code === 'U' ? 'Unicode' : 'UTF-8'} text. The file is damaged; get it again.`,
      );
    }
    texts.push(text);
  }
  return { kind: 'text', shape, data: fortran ? rowMajor(texts, shape) : texts };
}

function parseObjects(
  bytes: Buffer,
  start: number,
  shape: readonly number[],
  where: string,
  fault: NpyFault,
): ParsedArray {
  const { value, end } = unpickle(bytes, { kind: numpyKind, where, start });
  const fits =
    value instanceof PickledArray &&
    value.shape.length === shape.length &&
    value.shape.every((size, axis) => size === shape[axis]);
  if (!fits) {
    throw fault('BAD_OBJECTS', `byte ${start}: holds no array of shape (${shape.join(', ')}).`);
  }
  if (end !== bytes.byteLength) {
    throw fault(
      'TRAILING_BYTES',
      `byte ${end}: ${bytes.byteLength - end} bytes follow the array's Python objects.`,
    );
  }
  // NumPy pickles objects row by row, also those of an array that is stored column by column.
  return { kind: 'objects', shape, data: value.values };
}

function numbers(dtype: NumberDtype, body: Uint8Array, bigEndian: boolean): NumberData {
  const { stored } = numberTypes[dtype];
  // A copy, because the data may begin anywhere in the file.
  const copy = Buffer.from(body.slice().buffer);
  if (bigEndian) {
    if (stored.BYTES_PER_ELEMENT === 2) copy.swap16();
    else if (stored.BYTES_PER_ELEMENT === 4) copy.swap32();
    else if (stored.BYTES_PER_ELEMENT === 8) copy.swap64();
  }
  const data = new stored(copy.buffer as ArrayBuffer);
  if (dtype !== 'float16') return data;
  const widened = new Float32Array(data.length);
  halfToFloat32(data as Uint16Array, widened);
  return widened;
}

/** The elements of an array that was stored column by column, row by row. */
function rowMajor<T extends NumberData | string[]>(data: T, shape: readonly number[]): T {
  const ordered = data.slice() as T;
  const position = shape.map(() => 0);
  for (let target = 0; target < data.length; target++) {
    let source = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) source = source * shape[axis]! + position[axis]!;
    ordered[target] = data[source]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis]!++;
      if (position[axis]! < shape[axis]!) break;
      position[axis] = 0;
    }
  }
  return ordered;
}

/** Text of fixed length, which NumPy pads with zeros; undefined for what is no character. */
function utf32Text(bytes: Uint8Array, bigEndian: boolean): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.byteLength;
  while (end > 0 && view.getUint32(end - 4) === 0) end -= 4;
  // By way of UTF-16, which takes no more room; adding up characters is several times slower.
  const utf16 = Buffer.allocUnsafe(end);
  let length = 0;
  for (let at = 0; at < end; at += 4) {
    const code = view.getUint32(at, !bigEndian);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    if (code > 0xffff) {
      length = utf16.writeUInt16LE(0xd800 + ((code - 0x10000) >> 10), length);
      length = utf16.writeUInt16LE(0xdc00 + ((code - 0x10000) & 0x3ff), length);
    } else length = utf16.writeUInt16LE(code, length);
  }
  return utf16.toString('utf16le', 0, length);
}

function utf8Text(bytes: Uint8Array): string | undefined {
  let end = bytes.byteLength;
  while (end > 0 && bytes[end - 1] === 0) end--;
  try {
    return utf8.decode(bytes.subarray(0, end));
  } catch {
    return undefined;
  }
}
