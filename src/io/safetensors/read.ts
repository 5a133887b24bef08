import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { readInto, withFile } from '../filesystem.ts';
import { bfloat16ToFloat32, halfToFloat32 } from '../float16.ts';
import type { SafetensorsEntry, SafetensorsHeader } from './header.ts';
import { elementCount, maxHeaderBytes, parseHeader } from './header.ts';

/** F16 and BF16 come as bit patterns in a `Uint16Array`, BOOL as 0 and 1 in a `Uint8Array`. */
export type SafetensorsData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint16Array
  | Uint8Array;

/** Bytes that are read at a time where they have to be converted. */
const conversionBytes = 8 * 1024 * 1024;

export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
}

/** The typed array in which elements of a dtype are held. */
export const arrayTypes = {
  F32: Float32Array,
  F64: Float64Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

async function readHeader(handle: FileHandle, path: string): Promise<SafetensorsHeader> {
  const { size } = await handle.stat();
  const prefix = Buffer.alloc(8);
  if ((await readInto(handle, prefix, 0)) < 8) {
    throw new InputError(
      'SAFETENSORS_TRUNCATED',
      `${path} is not a valid safetensors file: it has ${size} bytes, fewer than the 8 that give the header's length. Get it again.`,
    );
  }
  if (prefix.toString('latin1') === 'version ') {
    throw new InputError(
      'SAFETENSORS_LFS_POINTER',
      `${path} is a Git LFS pointer, not the weights it stands for. Run "git lfs pull" in its repository, or download the file itself.`,
    );
  }
  const headerBytes = prefix.readBigUInt64LE(0);
  if (headerBytes > BigInt(Math.min(maxHeaderBytes, size - 8))) {
    throw new InputError(
      'SAFETENSORS_HEADER_TOO_LARGE',
      `${path} is not a valid safetensors file: its first 8 bytes announce a header of ${headerBytes} bytes, ` +
        `but the file has ${size} bytes and a header at most ${maxHeaderBytes}. It may be of another format or not completely downloaded.`,
    );
  }
  const header = new Uint8Array(Number(headerBytes));
  await readInto(handle, header, 8);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch (error) {
    throw new InputError(
      'SAFETENSORS_NOT_JSON',
      `${path} is not a valid safetensors file: its header is not UTF-8 text.`,
      { cause: error },
    );
  }
  return parseHeader(text, path, 8 + header.byteLength, size);
}

/**
 * Reads and checks the header of a safetensors file; no tensor is read. Entries carry absolute byte offsets, so
 * that an engine can map the range by itself.
 *
 * @throws InputError `SAFETENSORS_TRUNCATED`, `_LFS_POINTER`, `_HEADER_TOO_LARGE`, those of `parseHeader`, and
 *   those of `fileError`
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const { entries, metadata } = await withFile(path, (handle) => readHeader(handle, path));
  return { path, entries, metadata };
}

async function readRange(handle: FileHandle, entry: SafetensorsEntry, target: Uint8Array, position: number) {
  const bytes = await readInto(handle, target, position);
  if (bytes < target.byteLength) {
    throw new InputError(
      'SAFETENSORS_TRUNCATED',
      `${entry.file} ended while tensor "${entry.name}" was read: it has become shorter since it was opened.`,
    );
  }
}

/** Elements of a strided tensor in row-major order. `target` has as many elements as `shape`. */
function gather(
  source: SafetensorsData,
  target: SafetensorsData,
  shape: readonly number[],
  strides: readonly number[],
): void {
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < target.length; to++) {
    target[to] = source[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
}

/**
 * Reads one tensor as it is stored, in row-major order: I64 as `BigInt64Array`, F16 and BF16 as bit patterns.
 *
 * @throws InputError `SAFETENSORS_TRUNCATED` and those of `fileError`
 */
export async function readTensor(entry: SafetensorsEntry): Promise<SafetensorsData> {
  const { dtype, shape, strides, begin, end } = entry;
  // Both formats are little-endian, and so is every machine that Node supports in practice.
  const stored = new arrayTypes[dtype]((end - begin) / arrayTypes[dtype].BYTES_PER_ELEMENT);
  await withFile(entry.file, (handle) =>
    readRange(handle, entry, new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), begin),
  );
  if (strides === undefined) return stored;
  const data = new arrayTypes[dtype](elementCount(shape));
  gather(stored, data, shape, strides);
  return data;
}

/** Floating-point elements as float32. */
function convert(dtype: 'F16' | 'BF16' | 'F64', source: SafetensorsData, target: Float32Array): void {
  if (dtype === 'F64') target.set(source as Float64Array);
  else if (dtype === 'F16') halfToFloat32(source as Uint16Array, target);
  else bfloat16ToFloat32(source as Uint16Array, target);
}

/**
 * Reads one tensor of floating-point numbers as float32: F32 as it is, F16 and BF16 exactly, F64 rounded.
 * Converted in pieces, so that the peak is the result and 8 MiB.
 *
 * @throws InputError `SAFETENSORS_NOT_FLOAT`, `SAFETENSORS_TRUNCATED` and those of `fileError`
 */
export async function readFloat32(entry: SafetensorsEntry): Promise<Float32Array> {
  const { dtype } = entry;
  if (dtype === 'F32') {
    return (await readTensor(entry)) as Float32Array;
  }
  if (dtype !== 'F16' && dtype !== 'BF16' && dtype !== 'F64') {
    throw new InputError(
      'SAFETENSORS_NOT_FLOAT',
      `${entry.file}: tensor "${entry.name}" has element type ${dtype}, and floating-point numbers are expected here.`,
    );
  }
  const result = new Float32Array(elementCount(entry.shape));
  if (entry.strides !== undefined) {
    convert(dtype, await readTensor(entry), result);
    return result;
  }
  const arrayType = arrayTypes[dtype];
  const width = arrayType.BYTES_PER_ELEMENT;
  await withFile(entry.file, async (handle) => {
    const buffer = new ArrayBuffer(Math.min(conversionBytes, result.length * width));
    for (let first = 0; first < result.length; first += buffer.byteLength / width) {
      const count = Math.min(buffer.byteLength / width, result.length - first);
      await readRange(handle, entry, new Uint8Array(buffer, 0, count * width), entry.begin + first * width);
      convert(dtype, new arrayType(buffer, 0, count), result.subarray(first, first + count));
    }
  });
  return result;
}
