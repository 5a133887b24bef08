import { halfToFloat32 } from '../float16.ts';
import type { PickleKind } from './machine.ts';
import { standardGlobals } from './standard-globals.ts';
import type { PickleGlobal, PickleObject, PickleValue } from './values.ts';

/** NumPy's element type: a letter for the kind, bytes (characters for `U`) an element, and the byte order. */
class PickledDtype implements PickleObject {
  readonly description = 'a numpy dtype';
  readonly kind: string;
  readonly size: number;
  littleEndian = true;

  constructor(kind: string, size: number) {
    this.kind = kind;
    this.size = size;
  }
}

/** An array of NumPy. Elements are JavaScript values, also those of a numeric array; row-major unless told otherwise. */
export class PickledArray implements PickleObject {
  readonly description = 'a numpy array';
  shape: readonly number[] = [0];
  /** Whether the first axis varies fastest. */
  fortranOrder = false;
  values: readonly PickleValue[] = [];
}

const compact = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

/** Reads one number; by kind and bytes. */
const readers: Readonly<Record<string, (view: DataView, at: number, little: boolean) => PickleValue>> = {
  b1: (view, at) => view.getUint8(at) !== 0,
  u1: (view, at) => view.getUint8(at),
  i1: (view, at) => view.getInt8(at),
  u2: (view, at, little) => view.getUint16(at, little),
  i2: (view, at, little) => view.getInt16(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u8: (view, at, little) => compact(view.getBigUint64(at, little)),
  i8: (view, at, little) => compact(view.getBigInt64(at, little)),
  f2: (view, at, little) => {
    const value = new Float32Array(1);
    halfToFloat32(Uint16Array.of(view.getUint16(at, little)), value);
    return value[0]!;
  },
  f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
};

/** Fixed-size text, which NumPy pads with zeros; undefined for code points beyond Unicode. */
function readText(view: DataView, at: number, characters: number, little: boolean): string | undefined {
  let text = '';
  for (let index = 0; index < characters; index++) {
    const code = view.getUint32(at + 4 * index, little);
    if (code > 0x10ffff) return undefined;
    text += String.fromCodePoint(code);
  }
  return text.replace(/\0+$/, '');
}

/** All elements of a buffer; undefined where it does not fit the type, or the type is not read. */
function decode({ kind, size, littleEndian }: PickledDtype, data: Uint8Array): PickleValue[] | undefined {
  const width = kind === 'U' ? 4 * size : size;
  if (width === 0 || data.byteLength % width !== 0) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = readers[`${kind}${size}`];
  const values: PickleValue[] = [];
  for (let at = 0; at < data.byteLength; at += width) {
    let value: PickleValue | undefined;
    if (kind === 'U') value = readText(view, at, size, littleEndian);
    else if (kind === 'S') value = data.subarray(at, at + size);
    else value = read?.(view, at, littleEndian);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

const isShape = (value: PickleValue | undefined): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);

const dtype: PickleGlobal = {
  construct: ([code]) => {
    const match = typeof code === 'string' ? /^([OUSbiuf])(\d{1,9})$/.exec(code) : null;
    return match === null ? undefined : new PickledDtype(match[1]!, Number(match[2]));
  },
  setState: (value, state) => {
    if (!Array.isArray(state)) return false;
    const [, order, subtype, names, fields] = state;
    // Records have names and fields; they are not read.
    if (subtype !== null || names !== null || fields !== null) return false;
    if (order !== '<' && order !== '>' && order !== '|' && order !== '=') return false;
    (value as PickledDtype).littleEndian = order !== '>';
    return true;
  },
};

const array: PickleGlobal = {
  construct: (args) => (args.length === 3 ? new PickledArray() : undefined),
  setState: (value, state) => {
    if (!Array.isArray(state) || state.length !== 5) return false;
    const [, shape, type, fortran, data] = state;
    if (!isShape(shape) || !(type instanceof PickledDtype)) return false;
    let values: readonly PickleValue[] | undefined;
    if (type.kind === 'O') values = Array.isArray(data) ? data : undefined;
    else if (data instanceof Uint8Array) values = decode(type, data);
    if (values === undefined || values.length !== shape.reduce((product, size) => product * size, 1)) {
      return false;
    }
    Object.assign(value as PickledArray, { shape, fortranOrder: fortran === true, values });
    return true;
  },
};

const scalar: PickleGlobal = {
  construct: ([type, data]) => {
    if (!(type instanceof PickledDtype) || !(data instanceof Uint8Array)) return undefined;
    const values = decode(type, data);
    // An empty string has no bytes.
    if (type.kind === 'U' && type.size === 0) return '';
    return values?.length === 1 ? values[0] : undefined;
  },
};

/** Pickled arrays of Python objects as `numpy.save` and `numpy.savez` write them, under old and new module names. */
export const numpyKind: PickleKind = {
  name: 'an array of Python objects',
  advice:
    'Only arrays, numbers, text and plain containers are read; save the data again without other classes, or as JSON.',
  globals: new Map([
    ...standardGlobals,
    ['numpy.dtype', dtype],
    ['numpy.ndarray', {}],
    ...['numpy.core', 'numpy._core'].flatMap((module): [string, PickleGlobal][] => [
      [`${module}.multiarray._reconstruct`, array],
      [`${module}.multiarray.scalar`, scalar],
    ]),
  ]),
};
