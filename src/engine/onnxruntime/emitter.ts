import path from 'node:path';
import { EngineError } from '../../errors.ts';
import type { OperatorName } from '../ir/operators.ts';
import { isConstant, type SizeExpression } from '../ir/sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../ir/symbolic.ts';
import type { DataType, FileWeight, WeightSource } from '../types.ts';
import {
  encodeModel,
  type FileRange,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxType,
  type OnnxValueInfo,
  onnxElementType,
} from './model-file.ts';
import { nameOutputs } from './name-outputs.ts';
import { type Emit, emitters } from './operators.ts';

type NodeAttributes = Readonly<Record<string, OnnxAttribute>>;

/** Prefix of output names, so that a state entry can be input and output under its own name. */
export const outputPrefix = 'new:';

/** Writes a symbolic graph as ONNX: keeps names, initializers and the arithmetic of dynamic sizes. */
export class Emitter {
  readonly graph: SymbolicGraph;
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxInitializer<Uint8Array>[] = [];
  /** Whether only operators of the ONNX standard may be used, for whoever else is to run the graph. */
  readonly standardOnly: boolean;
  readonly #emitters: Readonly<Record<OperatorName, Emit>>;
  readonly #names = new Map<number, string>();
  readonly #memo = new Map<string, string>();
  #count = 0;

  constructor(graph: SymbolicGraph, { standardOnly = false, operators = {} }: EmitOptions = {}) {
    this.graph = graph;
    this.standardOnly = standardOnly;
    this.#emitters = { ...emitters, ...operators };
    for (const [name, value] of graph.inputs) this.#names.set(value, name);
  }

  /** The ONNX name of a graph value; constants are written at first use. */
  name(value: number): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const data = this.graph.constants.get(value);
    if (data === undefined) throw new Error(`value ${value} is used before it is computed`);
    const { dtype, shape } = this.graph.values[value]!;
    const name = this.initializer(
      dtype,
      shape.map((size) => size.coefficient),
      data,
    );
    this.#names.set(value, name);
    return name;
  }

  setName(value: number, name: string): void {
    this.#names.set(value, name);
  }

  shape(value: number): readonly SizeExpression[] {
    return this.graph.values[value]!.shape;
  }

  dtype(value: number): OnnxType {
    return this.graph.values[value]!.dtype;
  }

  /** Appends an ONNX node and returns the name of its result. */
  add(op: string, inputs: readonly string[], attributes: NodeAttributes = {}, domain?: string): string {
    const output = `t${this.#count++}`;
    this.nodes.push({
      op,
      inputs,
      outputs: [output],
      attributes,
      ...(domain === undefined ? {} : { domain }),
    });
    return output;
  }

  /** Like `add`, once for equal arguments: for sizes and small constants. */
  shared(op: string, inputs: readonly string[], attributes: NodeAttributes = {}): string {
    const key = JSON.stringify([op, inputs, attributes]);
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const name = this.add(op, inputs, attributes);
    this.#memo.set(key, name);
    return name;
  }

  initializer(type: OnnxType, shape: readonly number[], data: ArrayBufferView): string {
    const name = `c${this.#count++}`;
    this.initializers.push({ name, type, shape, data: bytesOf(data) });
    return name;
  }

  /** A scalar or small vector, written once however often it is used. */
  constant(
    type: 'float32' | 'float64' | 'int32' | 'int64' | 'uint32' | 'bool',
    values: readonly number[],
    shape: readonly number[],
  ): string {
    const key = JSON.stringify(['constant', type, values.map(String), shape]);
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const data = {
      float32: () => Float32Array.from(values),
      float64: () => Float64Array.from(values),
      int32: () => Int32Array.from(values),
      uint32: () => Uint32Array.from(values),
      bool: () => Uint8Array.from(values),
      int64: () => BigInt64Array.from(values.map(BigInt)),
    }[type]();
    const name = this.initializer(type, shape, data);
    this.#memo.set(key, name);
    return name;
  }

  integers(values: readonly number[]): string {
    return this.constant('int64', values, [values.length]);
  }

  scalar(value: number, type: DataType = 'float32'): string {
    return this.constant(type, [value], []);
  }

  /** One size as an int64 vector of length 1. */
  size(expression: SizeExpression): string {
    if (isConstant(expression)) return this.integers([expression.coefficient]);
    const factors = Object.entries(expression.powers).flatMap(([name, power]) =>
      Array.from({ length: power }, () => this.#dimension(name)),
    );
    if (expression.coefficient !== 1) factors.push(this.integers([expression.coefficient]));
    return factors.reduce((product, factor) => this.shared('Mul', [product, factor]));
  }

  /** Several sizes as one int64 vector. */
  sizes(expressions: readonly SizeExpression[]): string {
    if (expressions.every(isConstant)) return this.integers(expressions.map((e) => e.coefficient));
    const parts = expressions.map((expression) => this.size(expression));
    return parts.length === 1 ? parts[0]! : this.shared('Concat', parts, { axis: 0 });
  }

  /** The current size of a named dimension, read from an input that has it as an axis. */
  #dimension(name: string): string {
    for (const value of this.graph.inputs.values()) {
      const axis = this.shape(value).findIndex(
        (size) => size.coefficient === 1 && size.powers[name] === 1 && Object.keys(size.powers).length === 1,
      );
      if (axis >= 0) return this.shared('Shape', [this.name(value)], { start: axis, end: axis + 1 });
    }
    throw new EngineError(
      'TRACE_DIMENSION',
      `The function "${this.graph.name}" uses the dimension "${name}", which is no axis of any of its inputs.`,
    );
  }

  node(node: SymbolicNode): void {
    this.setName(node.output, this.#emitters[node.op](this, node));
  }
}

/** A weight as a graph stores it: `data` are its bytes, or what stands for them. */
export interface StoredWeight<Data> {
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly data: Data;
}

/** What a graph takes and gives where that is not what its function does. */
export interface GraphInterface {
  readonly inputs: readonly OnnxValueInfo[];
  /** Computes from `inputs` what the function takes, by name. What is left out is an input as it is. */
  prepare(emitter: Emitter): Readonly<Record<string, string>>;
  /** Computes from the results of the function, by name, what the graph gives; `value` names it. */
  finish(
    emitter: Emitter,
    results: Readonly<Record<string, string>>,
  ): readonly { readonly info: OnnxValueInfo; readonly value: string }[];
}

const valueInfo = (name: string, type: OnnxType, shape: readonly SizeExpression[]): OnnxValueInfo => ({
  name,
  type,
  shape: shape.map((size) => {
    if (isConstant(size)) return size.coefficient;
    return [
      ...(size.coefficient === 1 ? [] : [size.coefficient]),
      ...Object.entries(size.powers).map(([dimension, power]) =>
        power === 1 ? dimension : `${dimension}^${power}`,
      ),
    ].join('*');
  }),
});

/** Inputs as the function has them, outputs under `outputPrefix`. */
const plainInterface = (graph: SymbolicGraph): GraphInterface => ({
  inputs: [...graph.inputs].map(([name, value]) => {
    const { dtype, shape } = graph.values[value]!;
    return valueInfo(name, dtype, shape);
  }),
  prepare: () => ({}),
  finish: (emitter, results) =>
    [...graph.outputs].map(([name, value]) => ({
      info: valueInfo(outputPrefix + name, emitter.dtype(value), emitter.shape(value)),
      value: results[name]!,
    })),
});

export interface EmitOptions {
  /** Default: inputs and outputs of the function. */
  readonly interface?: GraphInterface;
  /** Default: false. */
  readonly standardOnly?: boolean;
  /** Other forms of operators, for a runtime that needs them. */
  readonly operators?: Partial<Record<OperatorName, Emit>>;
}

/**
 * The ONNX form of a graph. Weights that it does not use are left out.
 *
 * @param weights by the name they have in the graph; those of other types than float32 are cast where they are used
 */
export function emitGraph<Data>(
  graph: SymbolicGraph,
  weights: Readonly<Record<string, StoredWeight<Data>>>,
  options: EmitOptions = {},
): OnnxGraph<Uint8Array | Data> {
  const emitter = new Emitter(graph, options);
  const { inputs, prepare, finish } = options.interface ?? plainInterface(graph);
  for (const [name, value] of Object.entries(prepare(emitter))) {
    emitter.setName(graph.inputs.get(name)!, value);
  }
  const stored: OnnxInitializer<Data>[] = [];
  const used = new Set(graph.nodes.flatMap((node) => node.inputs).concat([...graph.outputs.values()]));
  for (const [name, value] of graph.weights) {
    if (!used.has(value)) continue;
    const weight = weights[name]!;
    stored.push({ name, ...weight });
    const isReady = weight.type === emitter.dtype(value);
    emitter.setName(value, isReady ? name : emitter.add('Cast', [name], { to: onnxElementType('float32') }));
  }
  for (const node of graph.nodes) emitter.node(node);
  const results = Object.fromEntries([...graph.outputs].map(([name, value]) => [name, emitter.name(value)]));
  const finished = finish(emitter, results);
  return {
    name: graph.name,
    nodes: nameOutputs(emitter.nodes, finished),
    initializers: [...emitter.initializers, ...stored],
    inputs,
    outputs: finished.map(({ info }) => info),
  };
}

const root = path.parse(process.cwd()).root;

/** The folder that external data locations are relative to: the root, so that weights may lie anywhere. */
export const externalDataFolder = root;

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const storedTypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Where the first byte of a weight of a file is, as a model names it. */
export type Locate = (source: FileWeight) => Omit<FileRange, 'length'>;

/** Host tensors as a model holds them, weights of files as it refers to them. */
export function storedWeight(source: WeightSource, locate: Locate): StoredWeight<Uint8Array | FileRange> {
  if ('dtype' in source) return { type: source.dtype, shape: source.shape, data: bytesOf(source.data) };
  const data = { ...locate(source), length: source.end - source.begin };
  return { type: storedTypes[source.storage], shape: source.shape, data };
}

const belowRoot: Locate = ({ file, begin }) => ({
  ...{ location: path.resolve(file).slice(root.length), offset: begin },
});

/** Bytes of a host tensor from which it is handed over beside the model: written into it, it is copied again and again. */
const apartBytes = 2 ** 16;

/** Host tensors by the location that a model names for them, as sessions of onnxruntime take them. */
export type DataApart = readonly { readonly path: string; readonly data: Uint8Array }[];

/** As `emitOnnx`, with the data of large host tensors apart. */
export function emitOnnxApart(
  graph: SymbolicGraph,
  weights: Readonly<Record<string, WeightSource>>,
): { readonly model: Uint8Array; readonly apart: DataApart } {
  const apart: { path: string; data: Uint8Array }[] = [];
  const stored = Object.entries(weights).map(([name, source]) => {
    const weight = storedWeight(source, belowRoot);
    const { data } = weight;
    if (!(data instanceof Uint8Array) || data.byteLength < apartBytes) return [name, weight] as const;
    const location = `host-memory-${apart.length}`;
    apart.push({ path: location, data });
    return [name, { ...weight, data: { location, offset: 0, length: data.byteLength } }] as const;
  });
  const graphProto = emitGraph(graph, Object.fromEntries(stored));
  const used = new Set(
    graphProto.initializers.map(({ data }) => (data instanceof Uint8Array ? '' : data.location)),
  );
  return { model: encodeModel(graphProto), apart: apart.filter(({ path: location }) => used.has(location)) };
}

/** The ONNX model of a graph. File-backed weights are referred to, not copied. */
export function emitOnnx(graph: SymbolicGraph, weights: Readonly<Record<string, WeightSource>>): Uint8Array {
  const stored = Object.entries(weights).map(
    ([name, source]) => [name, storedWeight(source, belowRoot)] as const,
  );
  return encodeModel(emitGraph(graph, Object.fromEntries(stored)));
}
