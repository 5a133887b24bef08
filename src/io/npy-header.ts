import type { InputError } from '../errors.ts';

/** Makes an error of a file whose name its maker knows. */
export type NpyFault = (code: string, what: string) => InputError;

/** Where the header's text lies in an npy file; the data follow it. */
export interface NpyHeaderRange {
  readonly version: number;
  readonly begin: number;
  readonly end: number;
}

/** What the header says. */
export interface NpyHeader {
  /** NumPy's name of the element type, such as `<f4`; undefined for records with named fields. */
  readonly descr: string | undefined;
  readonly fortran: boolean;
  readonly shape: readonly number[];
}

/** Bytes that `headerRange` looks at. */
export const npyStartBytes = 12;

/** As many axes as NumPy allows. */
const maxAxes = 64;

/** Far more than any array needs; keeps a damaged length from allocating gigabytes. */
const maxHeaderBytes = 1024 * 1024;

/**
 * Reads where the header lies.
 *
 * @param start the first `npyStartBytes` bytes, fewer where the file has fewer
 * @param size bytes of the whole file
 * @throws InputError `NPY_NOT_NPY`, `NPY_UNKNOWN_VERSION`, `NPY_TRUNCATED`
 */
export function headerRange(start: Buffer, size: number, fault: NpyFault): NpyHeaderRange {
  if (start.byteLength < 10 || start.toString('latin1', 0, 6) !== '\x93NUMPY') {
    throw fault('NOT_NPY', 'is not an npy file: it does not begin with the mark of one.');
  }
  const version = start[6]!;
  if (version < 1 || version > 3) {
    throw fault('UNKNOWN_VERSION', `has npy version ${version}; supported are 1, 2 and 3.`);
  }
  const begin = version === 1 ? 10 : 12;
  if (start.byteLength < begin) throw fault('TRUNCATED', `ends after ${size} bytes, within its header.`);
  const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
  if (length > Math.min(maxHeaderBytes, size - begin)) {
    throw fault('TRUNCATED', `announces a header of ${length} bytes, and the file has ${size} bytes in all.`);
  }
  return { version, begin, end: begin + length };
}

/** @throws InputError `NPY_BAD_HEADER` */
export function parseHeader(header: Buffer, version: number, fault: NpyFault): NpyHeader {
  const text = header.toString(version === 3 ? 'utf8' : 'latin1');
  const members = matchHeader(text);
  if (members === undefined) {
    throw fault(
      'BAD_HEADER',
      `has a header that is not the expected dictionary of descr, fortran_order and shape: ${JSON.stringify(text.trim().slice(0, 200))}.`,
    );
  }
  return members;
}

/**
 * The three members of the header, which is the text of a Python dictionary such as
 * `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. `descr` is undefined when it is not a plain string
 * (records). Matched as a whole, in any order of the keys; nothing is evaluated.
 */
function matchHeader(text: string): NpyHeader | undefined {
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
      if (sizes.length > maxAxes || !sizes.every((size) => /^\d+L?$/.test(size))) {
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

/** Elements of an array: 1 for one without axes. */
export const elementCount = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);
