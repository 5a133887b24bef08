import * as tf from '@tensorflow/tfjs';
import { readTensor } from '../../io/safetensors.ts';
import type { WeightSource } from '../types.ts';

/** What TensorFlow calls the types (`tensorflow/c/tf_datatype.h`) that tfjs has no names for. */
const storedTypes = { BF16: 14, F16: 19 } as const;
const isStoredType = (type: number): boolean => Object.values<number>(storedTypes).includes(type);

interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}
interface OperationOutput {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** What is used of the binding of tfjs-node. */
export interface TensorflowBinding {
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_UINT8: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_BOOL: number;
  createTensor(shape: readonly number[], type: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  /** Those that have not been deleted. */
  getNumOfTensors(): number;
  tensorDataSync(id: number): Float32Array;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    ids: readonly number[],
    outputs: number,
  ): OperationOutput[];
}

interface StoredData {
  readonly shape: readonly number[];
  /** Of TensorFlow. */
  readonly dtype: number;
  readonly id: number;
  readonly values: null;
  readonly refCount: number;
}

/** What is used of the backend of tfjs-node. */
export interface TensorflowBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: TensorflowBinding;
  readonly tensorMap: { get(dataId: object): StoredData; set(dataId: object, data: StoredData): void };
  getInputTensorIds(tensors: readonly tf.TensorInfo[]): number[];
  createOutputTensor(output: OperationOutput): tf.Tensor;
  executeSingleOutput(name: string, attributes: Attribute[], inputs: tf.TensorInfo[]): tf.Tensor;
  executeMultipleOutputs(
    name: string,
    attributes: Attribute[],
    inputs: tf.TensorInfo[],
    outputs: number,
  ): tf.Tensor[];
  readSync(dataId: object): tf.BackendValues;
}

const taught = new WeakSet<TensorflowBackend>();

/**
 * Lets the backend compute with tensors whose data TensorFlow holds in bfloat16 or float16, while tfjs takes them for float32:
 * an operation gets them widened, which is exact, and the widened copy is gone when it has run, so that no tape keeps it
 * for the backward pass. Of a gather only the rows that it takes are widened.
 */
function teach(backend: TensorflowBackend): void {
  if (taught.has(backend)) return;
  taught.add(backend);
  const { binding } = backend;
  const { getInputTensorIds, executeSingleOutput, executeMultipleOutputs, readSync } = backend;

  const type = (name: string, value: number): Attribute => ({ name, type: binding.TF_ATTR_TYPE, value });
  const widen = (id: number, from: number): OperationOutput => {
    const truncate = { name: 'Truncate', type: binding.TF_ATTR_BOOL, value: false };
    return binding.executeOp(
      'Cast',
      [type('SrcT', from), type('DstT', binding.TF_FLOAT), truncate],
      [id],
      1,
    )[0]!;
  };

  /** Widened inputs of the operation that is running. */
  let widened: number[] = [];
  const andForget = <T>(run: () => T): T => {
    try {
      return run();
    } finally {
      for (const id of widened) binding.deleteTensor(id);
      widened = [];
    }
  };

  backend.getInputTensorIds = (tensors) =>
    getInputTensorIds.call(backend, tensors).map((id, i) => {
      const { dataId } = tensors[i]!;
      // A whole number of 64 bits has no data of its own.
      const stored = dataId === undefined ? undefined : backend.tensorMap.get(dataId).dtype;
      if (stored === undefined || !isStoredType(stored)) return id;
      const wide = widen(id, stored).id;
      widened.push(wide);
      return wide;
    });

  backend.executeSingleOutput = (name, attributes, inputs) => {
    const stored = name === 'GatherV2' ? backend.tensorMap.get(inputs[0]!.dataId) : undefined;
    if (stored === undefined || !isStoredType(stored.dtype)) {
      return andForget(() => executeSingleOutput.call(backend, name, attributes, inputs));
    }
    const own = attributes.map((one) => (one.name === 'Tparams' ? { ...one, value: stored.dtype } : one));
    const ids = [stored.id, ...getInputTensorIds.call(backend, inputs.slice(1))];
    const rows = binding.executeOp(name, own, ids, 1)[0]!;
    const result = backend.createOutputTensor(widen(rows.id, stored.dtype));
    binding.deleteTensor(rows.id);
    return result;
  };

  backend.executeMultipleOutputs = (name, attributes, inputs, outputs) =>
    andForget(() => executeMultipleOutputs.call(backend, name, attributes, inputs, outputs));

  backend.readSync = (dataId) => {
    const { id, dtype } = backend.tensorMap.get(dataId) ?? {};
    if (id === undefined || dtype === undefined || !isStoredType(dtype))
      return readSync.call(backend, dataId);
    const wide = widen(id, dtype).id;
    const values = binding.tensorDataSync(wide);
    binding.deleteTensor(wide);
    return values;
  };
}

/**
 * A weight of a file in TensorFlow's memory as it is stored: two bytes an element for BF16 and F16, four for F32.
 *
 * @returns undefined for one in host memory
 */
export async function storedWeight(
  backend: TensorflowBackend,
  name: string,
  source: WeightSource,
): Promise<tf.Tensor | undefined> {
  if ('dtype' in source) return undefined;
  const { storage } = source;
  const { binding } = backend;
  const values = await readTensor({ ...source, name, dtype: storage });
  const shape = [...source.shape];
  const dtype = storage === 'F32' ? binding.TF_FLOAT : storedTypes[storage];
  let id: number;
  if (storage === 'F32') {
    id = binding.createTensor(shape, dtype, values);
  } else {
    teach(backend);
    // The binding takes no arrays of these types; TensorFlow gives bytes another type without touching them.
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const raw = binding.createTensor([...shape, 2], binding.TF_UINT8, bytes);
    const attributes = [
      { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_UINT8 },
      { name: 'type', type: binding.TF_ATTR_TYPE, value: dtype },
    ];
    id = binding.executeOp('Bitcast', attributes, [raw], 1)[0]!.id;
    binding.deleteTensor(raw);
  }
  const dataId = {};
  backend.tensorMap.set(dataId, { shape, dtype, id, values: null, refCount: 1 });
  return tf
    .engine()
    .makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' }, backend as unknown as tf.KernelBackend);
}
