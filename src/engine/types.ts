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
export type WeightSource = HostTensor | FileWeight;

/** A frozen weight in a file. */
export interface FileWeight {
  readonly storage: 'F32' | 'F16' | 'BF16';
  readonly shape: readonly number[];
  readonly file: string;
  /** Absolute byte offset of the first element in `file`. */
  readonly begin: number;
  readonly end: number;
}

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
  /** What an engine may compute twice where memory does not suffice to keep it. */
  readonly recomputation?: Recomputation;
  /**
   * Whether all devices of the engine run the function at once, each on the replica of the state that is its own.
   * Otherwise the first one runs it.
   */
  readonly replicated?: boolean;
}

/** Repeated parts of a function that computes a result and its gradients, such as the layers of a model. */
export interface Recomputation {
  /** The part that a weight or a state entry belongs to; undefined for what belongs to none. */
  readonly segmentOf: (name: string) => string | undefined;
  /** The output that gradients are of: whatever it needs is the forward pass. */
  readonly result: string;
}

/** Values that stay with the engine between calls. Created by `Engine.createState`. */
export interface State {
  /** Copies of the current values (of all entries when `names` is absent). */
  read(names?: readonly string[]): Promise<HostTensorMap>;
  /** Replaces the given entries; shapes must match. */
  write(values: HostTensorMap): Promise<void>;
  /**
   * Compares the replicas of a state that several devices hold, bit for bit. `read` gives those of the first one.
   * @throws EngineError `ENGINE_REPLICAS` naming the entries in which they differ
   */
  checkReplicas?(names: readonly string[]): Promise<void>;
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
  /**
   * Runs a replicated function once on every device. `run` gives all of them the same inputs, and returns what the first
   * one gives.
   *
   * @param inputs of each device, of the same sizes
   * @returns the outputs of each
   */
  runAll?(inputs: readonly HostTensorMap[], state?: State): Promise<HostTensorMap[]>;
  dispose(): Promise<void>;
}

/**
 * Number format of the arithmetic. `bf16`: products of bfloat16 with sums in float32, everything that is sensitive in
 * float32 (`ir/passes/bfloat16.ts`); what goes in and comes out is float32 in both.
 */
export type Precision = 'fp32' | 'bf16';

export interface Engine {
  readonly name: string;
  /** `fp32` where absent. */
  readonly precision?: Precision;
  /** The shared library that computes, where it comes from no package. */
  readonly library?: { readonly file: string; readonly version: string };
  /**
   * Whether every combination of sizes of named dimensions is a program of its own, whose compilation takes seconds to
   * minutes. Callers then round sizes up to few (`bucketOf`) and mask what they added. Otherwise sizes are free, and
   * callers give them as they are.
   */
  readonly fixedSizes?: boolean;
  compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction>;
  /** Devices that run replicated functions; 1 where absent. With more there is `CompiledFunction.runAll`. */
  readonly devices?: number;
  /** @param options `replicated`: every device holds the values, for replicated functions; otherwise the first one */
  createState(values: HostTensorMap, options?: { readonly replicated?: boolean }): State;
}
