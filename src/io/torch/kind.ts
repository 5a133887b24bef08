import { standardGlobals } from '../pickle/standard-globals.ts';
import type { PickleGlobal, PickleKind, PickleObject, PickleValue } from '../pickle.ts';
import { bytesPerElement, type SafetensorsDtype } from '../safetensors/header.ts';

/** Largest pickle that is read; one of a real checkpoint has some hundred bytes a tensor. */
export const maxPickleBytes = 128 * 1024 * 1024;

/** An element type named in a pickle. `stored` is undefined for those that nothing here reads (complex, quantised). */
class ElementType implements PickleObject {
  readonly description: string;
  readonly stored: SafetensorsDtype | undefined;

  constructor(name: string, stored?: SafetensorsDtype) {
    this.description = name;
    this.stored = stored;
  }
}

/** The class of a storage; an untyped one counts bytes. */
class StorageType implements PickleObject {
  readonly description: string;
  readonly element: SafetensorsDtype | undefined;

  constructor(name: string, element?: SafetensorsDtype) {
    this.description = name;
    this.element = element;
  }
}

/** Memory that one or more tensors share. Where it lies in the file is found after the pickle has been read. */
export class TorchStorage implements PickleObject {
  readonly description = 'a torch storage';
  readonly key: string;
  /** Undefined for an untyped one. */
  readonly element: SafetensorsDtype | undefined;
  readonly elements: number;
  readonly bytes: number;
  /** Byte offset of the first element in the file. */
  begin = Number.NaN;

  constructor(key: string, element: SafetensorsDtype | undefined, elements: number) {
    this.key = key;
    this.element = element;
    this.elements = elements;
    this.bytes = elements * (element === undefined ? 1 : bytesPerElement(element));
  }
}

/** A tensor as the pickle describes it, nothing of it checked: that is done where its name is known. */
export class TorchTensor implements PickleObject {
  readonly description = 'a torch tensor';
  readonly storage: TorchStorage;
  /** Undefined where nothing here reads its elements; `typeName` says what they are. */
  readonly dtype: SafetensorsDtype | undefined;
  readonly typeName: string;
  /** In elements, as are the strides. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(
    storage: TorchStorage,
    type: { readonly dtype: SafetensorsDtype | undefined; readonly name: string },
    layout: { readonly offset: number; readonly shape: number[]; readonly strides: number[] },
  ) {
    this.storage = storage;
    this.dtype = type.dtype;
    this.typeName = type.name;
    this.offset = layout.offset;
    this.shape = layout.shape;
    this.strides = layout.strides;
  }
}

const isInteger = (value: PickleValue | undefined): value is number | bigint =>
  typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
const isIntegers = (value: PickleValue | undefined): value is (number | bigint)[] =>
  Array.isArray(value) && value.every(isInteger);

function makeTensor(
  args: readonly PickleValue[],
  type: { readonly dtype: SafetensorsDtype | undefined; readonly name: string },
): TorchTensor | undefined {
  const [storage, offset, shape, strides] = args;
  if (!(storage instanceof TorchStorage) || !isInteger(offset)) return undefined;
  if (!isIntegers(shape) || !isIntegers(strides)) return undefined;
  const layout = { offset: Number(offset), shape: shape.map(Number), strides: strides.map(Number) };
  return new TorchTensor(storage, type, layout);
}

/** Conjugated and negated views are kept in the last argument; they would have to be computed. */
const isPlain = (metadata: PickleValue | undefined): boolean =>
  metadata === undefined || metadata === null || (metadata instanceof Map && metadata.size === 0);

const rebuildTensorV2: PickleGlobal = {
  construct: (args) => {
    const [storage, , , , , , metadata] = args;
    if (args.length < 5 || args.length > 7 || !isPlain(metadata)) return undefined;
    const element = storage instanceof TorchStorage ? storage.element : undefined;
    return makeTensor(args, { dtype: element, name: 'untyped' });
  },
};

/** For element types that have no storage class of their own. */
const rebuildTensorV3: PickleGlobal = {
  construct: (args) => {
    const [, , , , , , type, metadata] = args;
    if (args.length < 7 || args.length > 8 || !isPlain(metadata)) return undefined;
    if (!(type instanceof ElementType)) return undefined;
    return makeTensor(args, { dtype: type.stored, name: type.description });
  },
};

const rebuildParameter: PickleGlobal = {
  construct: ([tensor, ...rest]) => (tensor instanceof TorchTensor && rest.length <= 2 ? tensor : undefined),
};

const size: PickleGlobal = {
  construct: ([sizes, ...rest]) => (isIntegers(sizes) && rest.length === 0 ? [...sizes] : undefined),
};

const device: PickleGlobal = {
  construct: ([type, index]) => {
    if (typeof type !== 'string') return undefined;
    return isInteger(index) ? `${type}:${index}` : type;
  },
};

const storageTypes: Readonly<Record<string, SafetensorsDtype | undefined>> = {
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.DoubleStorage': 'F64',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  'torch.storage.UntypedStorage': undefined,
  'torch.UntypedStorage': undefined,
};

const elementTypes: Readonly<Record<string, SafetensorsDtype | undefined>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float64: 'F64',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
  uint16: undefined,
  uint32: undefined,
  uint64: undefined,
  complex64: undefined,
  complex128: undefined,
  float8_e4m3fn: undefined,
  float8_e5m2: undefined,
};

/** What `torch.save` writes for state dicts, and for plain Python values beside them. */
export const torchKind: PickleKind = {
  name: 'a torch checkpoint',
  advice:
    'Only tensors, numbers, text and plain containers are read. Get the weights as safetensors, or, where you trust the file, save its state dict alone with Python: torch.save(torch.load(FILE, weights_only=False)["model"], NEW).',
  globals: new Map<string, PickleGlobal>([
    ...standardGlobals,
    ['torch._utils._rebuild_tensor_v2', rebuildTensorV2],
    ['torch._utils._rebuild_tensor_v3', rebuildTensorV3],
    ['torch._utils._rebuild_parameter', rebuildParameter],
    ['torch.Size', size],
    ['torch.device', device],
    ...Object.entries(storageTypes).map(([name, element]): [string, PickleGlobal] => [
      name,
      { value: new StorageType(name, element) },
    ]),
    ...Object.entries(elementTypes).map(([name, stored]): [string, PickleGlobal] => [
      `torch.${name}`,
      { value: new ElementType(`torch.${name}`, stored) },
    ]),
  ]),
};

/**
 * Reads the persistent ids of torch, `('storage', type, key, device, elements)`, the legacy format's with a view that is
 * None. One storage may be referred to many times.
 */
export class StorageCollector {
  readonly storages = new Map<string, TorchStorage>();

  readonly load = (id: PickleValue): TorchStorage | undefined => {
    if (!Array.isArray(id) || id.length < 5 || id.length > 6) return undefined;
    const [word, type, key, , elements, view = null] = id;
    if (word !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string') return undefined;
    if (!isInteger(elements) || !Number.isSafeInteger(Number(elements)) || elements < 0 || view !== null)
      return undefined;
    const known = this.storages.get(key);
    const storage = new TorchStorage(key, type.element, Number(elements));
    if (known !== undefined) {
      return known.element === storage.element && known.bytes === storage.bytes ? known : undefined;
    }
    this.storages.set(key, storage);
    return storage;
  };
}
