import { InputError } from '../../errors.ts';
import { writeFileAtomic } from '../atomic.ts';
import { float32ToBfloat16 } from '../float16.ts';
import type { HeaderTensor, SafetensorsDtype } from './header.ts';
import {
  bytesPerElement,
  compareForWriting,
  elementCount,
  formatHeader,
  safetensorsDtypes,
} from './header.ts';
import type { SafetensorsData } from './read.ts';
import { arrayTypes } from './read.ts';

/** Elements converted at a time when F32 is stored as BF16. */
const conversionElements = 4 * 1024 * 1024;

export interface SafetensorsTensor {
  /** Element type of `data`. */
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /**
   * The elements, or a function that gives them when their turn comes and they can be let go afterwards: so a model
   * is written that does not fit into memory, e.g. `() => readTensor(entry)`.
   */
  readonly data: SafetensorsData | (() => SafetensorsData | Promise<SafetensorsData>);
  /** Stores F32 data as BF16, rounded to nearest even. */
  readonly storage?: 'BF16';
}

interface PlannedTensor extends HeaderTensor {
  readonly source: SafetensorsTensor;
}

function plan(name: string, source: SafetensorsTensor, path: string): PlannedTensor {
  if (name === '__metadata__') {
    throw new InputError('SAFETENSORS_BAD_NAME', `${path}: a tensor cannot be named "__metadata__".`);
  }
  if (!safetensorsDtypes.includes(source.dtype)) {
    throw new InputError(
      'SAFETENSORS_UNKNOWN_DTYPE',
      `${path}: tensor "${name}" is to be written as ${source.dtype}; supported are ${safetensorsDtypes.join(', ')}.`,
    );
  }
  if (source.storage !== undefined && source.dtype !== 'F32') {
    throw new InputError(
      'SAFETENSORS_BAD_STORAGE',
      `${path}: tensor "${name}" is ${source.dtype}; only F32 can be stored as ${source.storage}.`,
    );
  }
  if (!source.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new InputError(
      'SAFETENSORS_BAD_SHAPE',
      `${path}: the shape [${source.shape.join(', ')}] of tensor "${name}" is not a list of sizes.`,
    );
  }
  if (typeof source.data !== 'function') {
    checkData(name, source, source.data, path);
  }
  return { name, dtype: source.storage ?? source.dtype, shape: source.shape, source };
}

function checkData(
  name: string,
  { dtype, shape }: SafetensorsTensor,
  data: SafetensorsData,
  path: string,
): void {
  if (!(data instanceof arrayTypes[dtype]) || data.length !== elementCount(shape)) {
    throw new InputError(
      'SAFETENSORS_SIZE_MISMATCH',
      `${path}: tensor "${name}" (${dtype}, shape [${shape.join(', ')}]) needs a ${arrayTypes[dtype].name} of ` +
        `${elementCount(shape)} elements and is given a ${data.constructor.name} of ${data.length}.`,
    );
  }
}

async function* pieces(tensors: readonly PlannedTensor[], header: Uint8Array, path: string) {
  yield header;
  for (const { name, source } of tensors) {
    const data = typeof source.data === 'function' ? await source.data() : source.data;
    checkData(name, source, data, path);
    if (source.storage === 'BF16') {
      const values = data as Float32Array;
      const converted = new Uint16Array(Math.min(conversionElements, values.length));
      for (let first = 0; first < values.length; first += conversionElements) {
        const part = values.subarray(first, first + conversionElements);
        float32ToBfloat16(part, converted);
        yield new Uint8Array(converted.buffer, 0, part.length * 2);
      }
    } else {
      yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
  }
}

/**
 * Writes a safetensors file atomically, tensor by tensor without a copy of the model in memory. Order and header are
 * those of the official writer (wide element types first, then by name; header padded so that the data begin at a
 * multiple of 8 bytes).
 *
 * @throws InputError `SAFETENSORS_BAD_NAME`, `_UNKNOWN_DTYPE`, `_BAD_STORAGE`, `_BAD_SHAPE`, `_SIZE_MISMATCH`, and
 *   those of `writeFileAtomic` (`DISK_FULL` names the bytes needed)
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, SafetensorsTensor>>,
  metadata?: Record<string, string>,
): Promise<void> {
  const planned = Object.entries(tensors)
    .map(([name, source]) => plan(name, source, path))
    .sort(compareForWriting);
  const header = formatHeader(planned, metadata);
  const bytes = planned.reduce(
    (sum, { dtype, shape }) => sum + elementCount(shape) * bytesPerElement(dtype),
    header.byteLength,
  );
  await writeFileAtomic(path, pieces(planned, header, path), bytes);
}
