import { firstOf, InputError } from '../../errors.ts';
import type { PickleValue } from '../pickle.ts';
import { bytesPerElement, elementCount, type SafetensorsEntry } from '../safetensors/header.ts';
import type { TorchCheckpoint } from './checkpoint.ts';
import { TorchTensor } from './kind.ts';

/** Faults named in one message. */
const faultsShown = 20;

/** Strides of a row-major tensor, in elements. */
function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/**
 * Where a tensor lies in its file, or what is wrong with it. One whose elements are not in row-major order (a transposed
 * view) gets the strides with which it has to be read.
 */
function locateTensor(file: string, name: string, tensor: TorchTensor): SafetensorsEntry | string {
  const { storage, dtype, offset, shape, strides } = tensor;
  if (dtype === undefined) return `has elements of type ${tensor.typeName}, which is not supported`;
  if (!shape.every(isSize) || !isSize(offset)) {
    return `has shape [${shape.join(', ')}] at offset ${offset}; sizes from 0 are expected`;
  }
  const count = elementCount(shape);
  const width = bytesPerElement(dtype);
  if (!isSize(count * width)) return `has the impossible shape [${shape.join(', ')}]`;
  if (strides.length !== shape.length || !strides.every(isSize)) {
    return `has ${shape.length} axes and strides [${strides.join(', ')}]`;
  }
  const begin = storage.begin + offset * width;
  const isRowMajor = rowMajorStrides(shape).every((stride, axis) => {
    return shape[axis]! <= 1 || stride === strides[axis];
  });
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0);
  const span = count === 0 ? 0 : last + 1;
  if ((offset + span) * width > storage.bytes) {
    return `(${dtype}, shape [${shape.join(', ')}], offset ${offset}) reaches beyond its storage of ${storage.bytes} bytes`;
  }
  const entry = { name, dtype, shape, file, begin, end: begin + span * width };
  if (count === 0 || isRowMajor) return entry;
  if (count > span) return `repeats its elements (strides [${strides.join(', ')}]); save it contiguous`;
  return { ...entry, strides };
}

/**
 * The tensors directly in a dictionary of the checkpoint, by name; other values are left out.
 *
 * @throws InputError `TORCH_BAD_TENSOR` with every fault: shapes that are none, ranges beyond the storage, unsupported
 *   element types
 */
export function tensorsIn(
  checkpoint: Pick<TorchCheckpoint, 'path'>,
  dictionary: ReadonlyMap<PickleValue, PickleValue>,
): Map<string, SafetensorsEntry> {
  const entries = new Map<string, SafetensorsEntry>();
  const faults: string[] = [];
  for (const [name, value] of dictionary) {
    if (typeof name !== 'string' || !(value instanceof TorchTensor)) continue;
    const entry = locateTensor(checkpoint.path, name, value);
    if (typeof entry === 'string') faults.push(`tensor "${name}" ${entry}`);
    else entries.set(name, entry);
  }
  if (faults.length > 0) {
    throw new InputError(
      'TORCH_BAD_TENSOR',
      `${checkpoint.path} cannot be used: ${firstOf(faults, faultsShown, '; ')}.`,
    );
  }
  return entries;
}

const hasTensors = (value: PickleValue): value is Map<PickleValue, PickleValue> =>
  value instanceof Map && [...value.values()].some((member) => member instanceof TorchTensor);

/**
 * The tensors of a file that is a state dict itself, as model folders have them.
 *
 * @throws InputError `TORCH_NO_STATE_DICT`, naming the keys below which tensors lie; those of `tensorsIn`
 */
export function topLevelTensors(checkpoint: TorchCheckpoint): Map<string, SafetensorsEntry> {
  const { content, path } = checkpoint;
  if (hasTensors(content)) return tensorsIn(checkpoint, content);
  const below =
    content instanceof Map
      ? [...content].flatMap(([key, value]) =>
          typeof key === 'string' && hasTensors(value) ? [key.slice(0, 60)] : [],
        )
      : [];
  const advice =
    below.length > 0
      ? `Its tensors lie below ${below.map((key) => `"${key}"`).join(', ')}: save that dictionary alone. A checkpoint of the published AffectGPT code is read by affectgpt import.`
      : 'It holds no tensors by name.';
  throw new InputError(
    'TORCH_NO_STATE_DICT',
    `${path} is not a state dict, a dictionary from names to tensors. ${advice}`,
  );
}
