import type { Tensor } from '@tensorflow/tfjs';

/** Element types that cross the boundary of a compiled function. */
export type DataType = 'float32' | 'int32' | 'bool';

/** A tensor in host memory; `data` is row-major and has exactly the product of `shape` elements. */
export interface HostTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** Tensors by name (Hugging Face or published names for parameters). */
export type TensorMap = Record<string, Tensor>;
export type HostTensorMap = Record<string, HostTensor>;

/**
 * A frozen weight: either in host memory or a byte range of a file (as safetensors stores it), which an engine
 * reads or maps by itself so that no second copy lives in JavaScript.
 */
export type WeightSource =
  | HostTensor
  | {
      readonly storage: 'F32' | 'F16' | 'BF16';
      readonly shape: readonly number[];
      readonly file: string;
      /** Absolute byte offset of the first element in `file`. */
      readonly begin: number;
      readonly end: number;
    };

/** The size of one axis: a number, or the name of a dimension that may differ from call to call. */
export type AxisSize = number | string;

export interface InputSpec {
  readonly dtype: DataType;
  readonly shape: readonly AxisSize[];
}

/**
 * A pure function over tensors: no randomness, no reading of values, sizes only through `shape`. Whatever depends
 * on a named dimension in content (rope tables, masks, positions) has to be an input.
 */
export type TensorFunction = (tensors: { inputs: TensorMap; state: TensorMap; weights: TensorMap }) => {
  outputs: TensorMap;
  /** New values of some of the state entries, under the same names. */
  state?: TensorMap;
};

export interface CompileOptions {
  /** Named in errors and in files. */
  readonly name: string;
  readonly inputs: Record<string, InputSpec>;
  /** Tensors that live in a `State` between calls: trainable parameters, optimizer moments, caches. */
  readonly state?: Record<string, InputSpec>;
  readonly weights?: Record<string, WeightSource>;
  /**
   * Named dimensions that follow from others, e.g. `{ total: ({ past, tokens }) => past + tokens }`.
   * Products of dimensions need no entry; sums do.
   */
  readonly derived?: Record<string, (dimensions: Record<string, number>) => number>;
}

/** Values that stay with the engine between calls. Created by `Engine.createState`. */
export interface State {
  /** Copies of the current values (of all entries when `names` is absent). */
  read(names?: readonly string[]): Promise<HostTensorMap>;
  /** Replaces the given entries; shapes must match. */
  write(values: HostTensorMap): Promise<void>;
  dispose(): void;
}

/** A function ready to run for any size of its named dimensions. */
export interface CompiledFunction {
  readonly name: string;
  /**
   * Runs once. Where the function returns new state, `state` holds it afterwards.
   *
   * @param accept looks at the outputs; where it says false, `state` stays as it was
   */
  run(
    inputs: HostTensorMap,
    state?: State,
    accept?: (outputs: HostTensorMap) => boolean,
  ): Promise<HostTensorMap>;
  dispose(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction>;
  createState(values: HostTensorMap): State;
}
