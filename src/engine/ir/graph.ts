import type { DataType } from '../types.ts';
import { type Attributes, type OperatorName, operators, type Sizes } from './operators.ts';

/**
 * Element types of values within a graph. Traces know those of the boundary; `bfloat16` comes from the pass of that name
 * (`passes/bfloat16.ts`) and never crosses the boundary of a compiled function.
 */
export type ValueType = DataType | 'bfloat16';

/** One result of a node, a graph input, a weight or a constant. */
export interface Value {
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

export interface GraphNode {
  readonly op: OperatorName;
  /** Indices into `Graph.values`. */
  readonly inputs: readonly number[];
  readonly output: number;
  /** What never depends on a named dimension: axes, permutations, flags, values. */
  readonly attributes: Attributes;
  /** Integers that may depend on named dimensions: target shapes, slice bounds, depths. */
  readonly sizes: Sizes;
  /** The model function that asked for it; recorded only when a trace is repeated to explain an error. */
  readonly location: string | undefined;
}

export type Constant = Float32Array | Int32Array | Uint8Array;

/**
 * A traced function: a list of single-output nodes in the order of execution. Value indices are dense and
 * equal between two traces of the same function.
 */
export interface Graph {
  readonly name: string;
  readonly values: Value[];
  readonly nodes: GraphNode[];
  /** Graph inputs (plain inputs and state) by name. */
  readonly inputs: Map<string, number>;
  readonly weights: Map<string, number>;
  readonly constants: Map<number, Constant>;
  /** Results by name; state results carry the prefix that the caller chose. */
  readonly outputs: Map<string, number>;
}

/** Collects nodes while a function is traced. Output shapes come from the shape rule of the operator. */
export class GraphBuilder {
  readonly graph: Graph;
  readonly #locate: (() => string | undefined) | undefined;

  constructor(name: string, locate?: () => string | undefined) {
    this.graph = {
      name,
      values: [],
      nodes: [],
      inputs: new Map(),
      weights: new Map(),
      constants: new Map(),
      outputs: new Map(),
    };
    this.#locate = locate;
  }

  addValue(dtype: DataType, shape: readonly number[]): number {
    this.graph.values.push({ dtype, shape });
    return this.graph.values.length - 1;
  }

  value(id: number): Value {
    return this.graph.values[id]!;
  }

  addConstant(data: Constant, dtype: DataType, shape: readonly number[]): number {
    const id = this.addValue(dtype, shape);
    this.graph.constants.set(id, data);
    return id;
  }

  add(op: OperatorName, inputs: readonly number[], attributes: Attributes = {}, sizes: Sizes = {}): number {
    const operator = operators[op];
    const values = inputs.map((id) => this.value(id));
    const shape = operator.shape(
      values.map((value) => value.shape),
      attributes,
      sizes,
    );
    const output = this.addValue(
      operator.dtype(
        values.map((value) => value.dtype),
        attributes,
      ),
      shape,
    );
    this.graph.nodes.push({ op, inputs, output, attributes, sizes, location: this.#locate?.() });
    return output;
  }
}
