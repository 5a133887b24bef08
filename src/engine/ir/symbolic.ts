import { EngineError } from '../../errors.ts';
import { traceFunction } from '../trace/trace.ts';
import type { CompileOptions, TensorFunction } from '../types.ts';
import type { Constant, Graph, GraphNode, ValueType } from './graph.ts';
import type { Attributes, OperatorName } from './operators.ts';
import {
  constantSize,
  type Dimensions,
  evaluateSize,
  monomials,
  type SizeExpression,
  solveSize,
  traceAssignments,
} from './sizes.ts';

export interface SymbolicValue {
  readonly dtype: ValueType;
  readonly shape: readonly SizeExpression[];
}

export interface SymbolicNode {
  readonly op: OperatorName;
  readonly inputs: readonly number[];
  readonly output: number;
  readonly attributes: Attributes;
  readonly sizes: Readonly<Record<string, readonly SizeExpression[]>>;
}

/** A graph whose sizes are expressions of named dimensions: one graph for every size. */
export interface SymbolicGraph {
  readonly name: string;
  readonly values: readonly SymbolicValue[];
  readonly nodes: readonly SymbolicNode[];
  readonly inputs: ReadonlyMap<string, number>;
  readonly weights: ReadonlyMap<string, number>;
  readonly constants: ReadonlyMap<number, Constant>;
  readonly outputs: ReadonlyMap<string, number>;
}

/** The named dimensions of all inputs and state entries, in order of appearance. */
function namedDimensions(options: CompileOptions): string[] {
  const names = new Set<string>();
  for (const spec of [...Object.values(options.inputs), ...Object.values(options.state ?? {})]) {
    for (const size of spec.shape) if (typeof size === 'string') names.add(size);
  }
  return [...names];
}

const sameList = (a: readonly unknown[], b: readonly unknown[]) =>
  a.length === b.length && a.every((element, i) => Object.is(element, b[i]));

function sameAttributes(a: Attributes, b: Attributes): boolean {
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => {
      const [x, y] = [a[key], b[key]];
      return Array.isArray(x) && Array.isArray(y) ? sameList(x, y) : Object.is(x, y);
    })
  );
}

/** Two traces of one function, held against each other. */
class Comparison {
  readonly first: Graph;
  readonly second: Graph;
  readonly at: readonly [Dimensions, Dimensions];
  readonly candidates: readonly Record<string, number>[];
  readonly explain: () => Graph;

  constructor(first: Graph, second: Graph, at: readonly [Dimensions, Dimensions], explain: () => Graph) {
    this.first = first;
    this.second = second;
    this.at = at;
    this.candidates = monomials(Object.keys(at[0]));
    this.explain = explain;
  }

  /** The error for node `index`, with the place in the model found by tracing once more. */
  fail(code: string, index: number, what: string): EngineError {
    const node = this.first.nodes[index];
    const where = node === undefined ? undefined : this.explain().nodes[index]?.location;
    const place = where === undefined ? '' : `, at ${where}`;
    const op = node === undefined ? '' : ` in operation ${node.op}`;
    return new EngineError(
      code,
      `The function "${this.first.name}" cannot be compiled for all sizes: ${what}${op}${place}. ` +
        'Whatever depends on a named dimension in content has to be an input of the function; sums of dimensions need a name of their own.',
    );
  }

  solve(index: number, first: readonly number[], second: readonly number[], what: string): SizeExpression[] {
    return first.map((size, i) => {
      const solved = solveSize(size, second[i]!, this.at, this.candidates);
      if (solved === undefined) {
        const sizes = JSON.stringify(this.at[0]);
        const other = JSON.stringify(this.at[1]);
        throw this.fail(
          'TRACE_SIZE_UNSOLVED',
          index,
          `${what} is ${size} with ${sizes} but ${second[i]} with ${other}, which is no constant times powers of the dimensions`,
        );
      }
      return solved;
    });
  }

  node(index: number): SymbolicNode {
    const a = this.first.nodes[index]!;
    const b = this.second.nodes[index]!;
    if (a.op !== b.op || !sameList(a.inputs, b.inputs) || a.output !== b.output) {
      throw this.fail('TRACE_DIVERGED', index, `its operations differ between sizes (${a.op} or ${b.op})`);
    }
    if (!sameAttributes(a.attributes, b.attributes)) {
      throw this.fail(
        'TRACE_CONSTANT',
        index,
        `a constant depends on a size (${JSON.stringify(a.attributes)} or ${JSON.stringify(b.attributes)})`,
      );
    }
    const sizes: Record<string, SizeExpression[]> = {};
    for (const [key, list] of Object.entries(a.sizes)) {
      const other = b.sizes[key]!;
      if (list.length !== other.length)
        throw this.fail('TRACE_DIVERGED', index, `the rank of ${key} differs between sizes`);
      sizes[key] = this.solve(index, list, other, `a size (${key})`);
    }
    return { op: a.op, inputs: a.inputs, output: a.output, attributes: a.attributes, sizes };
  }

  constants(): Map<number, Constant> {
    for (const [id, data] of this.first.constants) {
      const other = this.second.constants.get(id);
      if (other === undefined || !sameList(Array.from(data), Array.from(other))) {
        const user = this.first.nodes.findIndex((node) => node.inputs.includes(id));
        throw this.fail('TRACE_CONSTANT', user, 'the content of a constant depends on a size');
      }
    }
    return this.first.constants;
  }
}

/**
 * Traces `fn` at two sizes, solves every integer that differs as an expression of the named dimensions, and
 * verifies the result with a third trace. Without named dimensions one trace is enough.
 * @throws EngineError naming the operation and the model function where that cannot be done
 */
export function traceSymbolic(fn: TensorFunction, options: CompileOptions): SymbolicGraph {
  const derived = options.derived ?? {};
  const names = namedDimensions(options);
  const free = names.filter((name) => derived[name] === undefined);
  const [a, b, c] = names.length === 0 ? [{}, {}, {}] : traceAssignments(free, derived);
  const first = traceFunction(fn, options, a);
  const second = names.length === 0 ? first : traceFunction(fn, options, b);
  const comparison = new Comparison(first, second, [a, b], () => traceFunction(fn, options, a, true));
  if (first.nodes.length !== second.nodes.length) {
    const index = first.nodes.findIndex((node, i) => node.op !== second.nodes[i]?.op);
    throw comparison.fail(
      'TRACE_DIVERGED',
      Math.max(index, 0),
      `it runs ${first.nodes.length} operations at one size and ${second.nodes.length} at another`,
    );
  }
  const nodes = first.nodes.map((_, index) => comparison.node(index));
  const producers = new Map(first.nodes.map((node, index) => [node.output, index]));
  const declared = declaredShapes(first, options);
  const values = first.values.map((value, id): SymbolicValue => {
    const index = producers.get(id) ?? -1;
    const shape =
      declared.get(id) ??
      comparison.solve(index, value.shape, second.values[id]!.shape, 'the size of a result');
    return { dtype: value.dtype, shape };
  });
  const graph: SymbolicGraph = {
    name: first.name,
    values,
    nodes,
    inputs: first.inputs,
    weights: first.weights,
    constants: comparison.constants(),
    outputs: first.outputs,
  };
  if (names.length > 0) verify(graph, traceFunction(fn, options, c), c, comparison);
  return graph;
}

/** Shapes of inputs and weights are known by name; no need to solve them. */
function declaredShapes(graph: Graph, options: CompileOptions): Map<number, SizeExpression[]> {
  const shapes = new Map<number, SizeExpression[]>();
  const specs = { ...options.inputs, ...options.state };
  for (const [name, id] of graph.inputs) {
    const shape = specs[name]!.shape;
    shapes.set(
      id,
      shape.map((size) =>
        typeof size === 'number' ? constantSize(size) : { coefficient: 1, powers: { [size]: 1 } },
      ),
    );
  }
  for (const id of graph.weights.values()) shapes.set(id, graph.values[id]!.shape.map(constantSize));
  return shapes;
}

function verify(graph: SymbolicGraph, third: Graph, at: Dimensions, comparison: Comparison): void {
  graph.nodes.forEach((node, index) => {
    const actual: GraphNode | undefined = third.nodes[index];
    const same =
      actual !== undefined &&
      actual.op === node.op &&
      sameList(actual.inputs, node.inputs) &&
      sameAttributes(actual.attributes, node.attributes) &&
      Object.entries(node.sizes).every(([key, list]) =>
        sameList(
          list.map((size) => evaluateSize(size, at)),
          actual.sizes[key]!,
        ),
      );
    if (!same) {
      throw comparison.fail(
        'TRACE_SIZE_UNSOLVED',
        index,
        'a size solved from two traces is wrong in a third',
      );
    }
  });
}
