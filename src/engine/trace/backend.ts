import * as tf from '@tensorflow/tfjs';
import { EngineError } from '../../errors.ts';
import { type Constant, GraphBuilder } from '../ir/graph.ts';
import type { DataType } from '../types.ts';

export const traceBackendName = 'affectgpt-trace';

/** What stands behind a traced tensor: a value of the graph, or host data not yet used by any node. */
interface Entry {
  value: number | undefined;
  host: Constant | undefined;
  shape: readonly number[];
  dtype: DataType;
  references: number;
}

function hostData(values: tf.backend_util.BackendValues | ArrayLike<number>, dtype: string): Constant {
  if (dtype === 'float32')
    return values instanceof Float32Array ? values : Float32Array.from(values as ArrayLike<number>);
  if (dtype === 'int32')
    return values instanceof Int32Array ? values : Int32Array.from(values as ArrayLike<number>);
  if (dtype === 'bool')
    return values instanceof Uint8Array ? values : Uint8Array.from(values as ArrayLike<number>);
  throw new EngineError(
    'TRACE_DTYPE',
    `A traced function used a tensor of type ${dtype}, which no engine runs.`,
  );
}

/**
 * A tfjs backend whose kernels compute nothing: they append nodes to the graph under construction.
 * tfjs records gradients on top of it as on any backend.
 */
export class TraceBackend extends tf.KernelBackend {
  builder: GraphBuilder = new GraphBuilder('none');
  readonly #entries = new WeakMap<object, Entry>();
  #count = 0;

  #put(entry: Entry): object {
    const dataId = {};
    this.#entries.set(dataId, entry);
    this.#count++;
    return dataId;
  }

  #entry(dataId: object): Entry {
    const entry = this.#entries.get(dataId);
    if (entry === undefined) {
      throw new EngineError(
        'TRACE_FOREIGN_TENSOR',
        'A traced function used a tensor that was created outside the trace or has been disposed. Pass it as an input or a weight.',
      );
    }
    return entry;
  }

  /** The tensor description of a graph value. */
  describe(value: number): tf.TensorInfo {
    const { dtype, shape } = this.builder.value(value);
    const dataId = this.#put({ value, host: undefined, shape, dtype, references: 1 });
    return { dataId, shape: [...shape], dtype };
  }

  /** The graph value of a tensor; host data becomes a `Fill` where uniform, else a constant. */
  graphValue(tensor: tf.TensorInfo): number {
    const entry = this.#entry(tensor.dataId);
    if (entry.value !== undefined && sameShape(this.builder.value(entry.value).shape, tensor.shape)) {
      return entry.value;
    }
    if (entry.value !== undefined) {
      // tfjs reshapes some tensors without asking the backend.
      return this.builder.add('Reshape', [entry.value], {}, { shape: tensor.shape });
    }
    const data = entry.host!;
    const uniform = data.length > 0 && data.every((element) => Object.is(element, data[0]));
    const value = uniform
      ? this.builder.add('Fill', [], { value: data[0]!, dtype: entry.dtype }, { shape: tensor.shape })
      : this.builder.addConstant(data, entry.dtype, tensor.shape);
    entry.value = value;
    return value;
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const host = hostData(values, dtype);
    return this.#put({ value: undefined, host, shape, dtype: dtype as DataType, references: 1 });
  }

  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
  ): void {
    const host = hostData(values, dtype);
    this.#entries.set(dataId, { value: undefined, host, shape, dtype: dtype as DataType, references: 1 });
  }

  override readSync(dataId: object): tf.backend_util.BackendValues {
    const entry = this.#entry(dataId);
    if (entry.host !== undefined) return entry.host;
    throw new EngineError(
      'TRACE_READ',
      'A traced function tried to read the value of a tensor. A compiled function must not depend on values; pass what it needs as an input.',
    );
  }

  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    return this.readSync(dataId);
  }

  override incRef(dataId: object): void {
    this.#entry(dataId).references++;
  }

  override refCount(dataId: object): number {
    return this.#entries.get(dataId)?.references ?? 0;
  }

  override disposeData(dataId: object, force = false): boolean {
    const entry = this.#entries.get(dataId);
    if (entry === undefined) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.#entries.delete(dataId);
    this.#count--;
    return true;
  }

  override numDataIds(): number {
    return this.#count;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override dispose(): void {}
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

let registered: TraceBackend | undefined;

/** The one instance, registered with tfjs at first use. */
export function traceBackend(): TraceBackend {
  if (registered === undefined) {
    const backend = new TraceBackend();
    tf.registerBackend(traceBackendName, () => backend, 0);
    registered = backend;
  }
  return registered;
}
