import type { ValueType } from '../graph.ts';
import type { OperatorName } from '../operators.ts';
import type { SymbolicGraph, SymbolicNode, SymbolicValue } from '../symbolic.ts';

const products = new Set<OperatorName>([
  'MatMul',
  'Convolution',
  'ConvolutionInputGradient',
  'ConvolutionFilterGradient',
]);
/** Elements go to other places and stay what they are. */
const moves = new Set<OperatorName>([
  'Reshape',
  'Expand',
  'Transpose',
  'Slice',
  'Concat',
  'Pad',
  'Tile',
  'Gather',
]);
const reductions = new Set<OperatorName>(['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'SegmentSum']);
/** Between bfloat16 numbers one of these gives the same in bfloat16 as in float32 with its result rounded. */
const roundedOnce = new Set<OperatorName>([
  'Add',
  'Subtract',
  'Multiply',
  'Maximum',
  'Minimum',
  'Negate',
  'Abs',
  'Relu',
  'Select',
]);

/** What the rules need to know of each value before any type is decided. */
class Uses {
  readonly producers: ReadonlyMap<number, SymbolicNode>;
  readonly #users = new Map<number, SymbolicNode[]>();
  readonly #graph: SymbolicGraph;
  readonly #onlyStatistics = new Map<number, boolean>();

  constructor(graph: SymbolicGraph) {
    this.#graph = graph;
    this.producers = new Map(graph.nodes.map((node) => [node.output, node]));
    for (const node of graph.nodes) {
      for (const input of new Set(node.inputs)) {
        const users = this.#users.get(input);
        if (users === undefined) this.#users.set(input, [node]);
        else users.push(node);
      }
    }
  }

  isFloat(value: number): boolean {
    return this.#graph.values[value]!.dtype === 'float32';
  }

  floatInputs(node: SymbolicNode): number[] {
    return node.inputs.filter((input) => this.isFloat(input));
  }

  of(value: number): readonly SymbolicNode[] {
    return this.#users.get(value) ?? [];
  }

  /**
   * Whether a value is kept for what follows: more than one operation needs it, not counting those that only sum it up
   * and read it where it is computed; or one that takes nothing but kept values.
   */
  isLasting(value: number): boolean {
    const users = this.of(value);
    if (users.filter((user) => !this.#isStatistic(user)).length > 1) return true;
    return users.length > 0 && users.every(({ op }) => products.has(op) || moves.has(op));
  }

  /** A reduction, or arithmetic that leads to nothing but reductions. */
  #isStatistic(node: SymbolicNode): boolean {
    if (reductions.has(node.op)) return true;
    if (products.has(node.op) || moves.has(node.op)) return false;
    let only = this.#onlyStatistics.get(node.output);
    if (only === undefined) {
      const users = this.of(node.output);
      only = users.length > 0 && users.every((user) => this.#isStatistic(user));
      this.#onlyStatistics.set(node.output, only);
    }
    return only;
  }
}

/** A sum over rows, which begins a gradient of its own; a sum along the last axis is a statistic of each row. */
function sumsRows(node: SymbolicNode, rank: number): boolean {
  if (node.op === 'SegmentSum') return true;
  return reductions.has(node.op) && !(node.attributes.axes as number[]).includes(rank - 1);
}

/**
 * Values from which a result of the function is reached without a matrix product or a sum over rows in between: the
 * loss from the logits on, gradients from the product that gives them through the optimizer, what a model returns.
 */
function leadingToResults(graph: SymbolicGraph, uses: Uses): Set<number> {
  const found = new Set<number>();
  // Rounded for the product in any case; what else it leads to (the score of one token beside those of all) is as exact.
  const isOperand = (value: number) => uses.of(value).some(({ op }) => products.has(op));
  const open = [...graph.outputs.values()].filter((value) => uses.isFloat(value));
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    const node = uses.producers.get(value);
    if (node === undefined || products.has(node.op)) continue;
    const inputs = uses.floatInputs(node);
    const rank = inputs.length === 0 ? 0 : graph.values[inputs[0]!]!.shape.length;
    if (!sumsRows(node, rank)) open.push(...inputs.filter((input) => !isOperand(input)));
  }
  return found;
}

/** Values that only serve as scores of a softmax: those of a product and what arithmetic makes of them in between. */
function scoresOf(graph: SymbolicGraph, uses: Uses): Set<number> {
  const found = new Set<number>();
  const softmax = graph.nodes.filter(({ op }) => op === 'Softmax' || op === 'LogSoftmax');
  const open = softmax.flatMap(({ inputs }) => inputs);
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = uses.producers.get(value);
    if (node === undefined || uses.of(value).length > 1) continue;
    found.add(value);
    if (!products.has(node.op)) open.push(...uses.floatInputs(node));
  }
  return found;
}

/** What comes from a matrix product or out of a table, as large as that was: everything but statistics and constants. */
function activationsOf(graph: SymbolicGraph, uses: Uses): Set<number> {
  const weights = new Set(graph.weights.values());
  const found = new Set<number>();
  for (const { op, inputs, output } of graph.nodes) {
    if (!uses.isFloat(output) || reductions.has(op)) continue;
    const isLookup = op === 'Gather' && weights.has(inputs[0]!);
    if (products.has(op) || isLookup || inputs.some((input) => found.has(input))) found.add(output);
  }
  return found;
}

/** Weights that a product multiplies, as they are or moved, or that rows are picked from. */
function heldWeights(graph: SymbolicGraph, uses: Uses): Set<number> {
  const weights = new Set(graph.weights.values());
  const held = new Set<number>();
  const origin = (value: number): number => {
    const node = uses.producers.get(value);
    return node !== undefined && moves.has(node.op) && node.op !== 'Concat' ? origin(node.inputs[0]!) : value;
  };
  for (const node of graph.nodes) {
    const read = products.has(node.op) ? node.inputs : node.op === 'Gather' ? [node.inputs[0]!] : [];
    for (const value of read.map(origin)) {
      if (weights.has(value) && uses.isFloat(value)) held.add(value);
    }
  }
  return held;
}

/**
 * Mixed precision as a decision about a graph: bfloat16 is a format in which values are kept, and arithmetic is done in
 * float32. Inputs, state and outputs stay the float32 tensors that they were. A product of bfloat16 operands adds up in
 * float32 and rounds once, to the type of its result. The rules know operators and no layers:
 *
 * 1. Operands of matrix products and convolutions are bfloat16. A frozen weight that one of them multiplies, or that rows
 *    are picked from (an embedding), is bfloat16 itself: no other copy of it is made.
 * 2. Float32 stays what a result is reached from without another product or a sum over rows in between: logits and loss,
 *    gradients of weights, clipping, AdamW, hidden states that are returned. So do the scores that a softmax takes, all
 *    reductions and their results (means, maxima, sums), what is computed from these alone, inputs, state and constants.
 * 3. Of all other values, which carry activations and their gradients, bfloat16 are results of products, what is moved
 *    (reshaped, transposed, gathered, and what that is made from), and what more than one operation goes on with: the
 *    residual stream, what the backward pass needs of the forward one. Operations that only lead to sums (the square in a
 *    norm) do not count: they read it where it is computed.
 * 4. What lies in between, chains of elementwise operations and softmax, is float32: a chain reads bfloat16 and rounds
 *    once, at its end. One operation between bfloat16 values that ends in one is done in it, where that rounds alike.
 *
 * Widening is exact and repeated at each use, so that no float32 copy is kept for it. Rounding is done once for all uses,
 * and left out where a value was widened before.
 *
 * @param graph of float32, as it was traced and optimized
 */
export function applyBfloat16(graph: SymbolicGraph): SymbolicGraph {
  const uses = new Uses(graph);
  const exact = new Set([...leadingToResults(graph, uses), ...scoresOf(graph, uses)]);
  const activations = activationsOf(graph, uses);
  const values: SymbolicValue[] = [...graph.values];
  const nodes: SymbolicNode[] = [];
  /** The bfloat16 value that a float32 one was widened from. */
  const widenedFrom = new Map<number, number>();
  /** The bfloat16 value that a float32 one was rounded to, where it was. */
  const rounded = new Map<number, number>();

  const typeOf = (value: number): ValueType => values[value]!.dtype;
  const setType = (value: number, dtype: ValueType) => {
    values[value] = { ...values[value]!, dtype };
  };
  const cast = (value: number, to: ValueType, output?: number): number => {
    const result = output ?? values.push({ ...values[value]!, dtype: to }) - 1;
    nodes.push({ op: 'Cast', inputs: [value], output: result, attributes: { to }, sizes: {} });
    return result;
  };
  const widened = (value: number): number => {
    if (typeOf(value) !== 'bfloat16') return value;
    const wide = cast(value, 'float32');
    widenedFrom.set(wide, value);
    return wide;
  };
  const narrowed = (value: number): number => {
    if (typeOf(value) !== 'float32') return value;
    const before = widenedFrom.get(value) ?? rounded.get(value);
    if (before !== undefined) return before;
    const narrow = cast(value, 'bfloat16');
    rounded.set(value, narrow);
    return narrow;
  };
  /** Appends a node that computes in float32 what is then kept as bfloat16 under the name of its output. */
  const addRounded = (node: SymbolicNode) => {
    const wide = values.push(values[node.output]!) - 1;
    nodes.push({ ...node, output: wide });
    setType(node.output, 'bfloat16');
    cast(wide, 'bfloat16', node.output);
  };

  for (const weight of heldWeights(graph, uses)) setType(weight, 'bfloat16');
  for (const node of graph.nodes) {
    const { op, output } = node;
    const floats = uses.floatInputs(node);
    if (floats.length === 0) {
      nodes.push(node);
      continue;
    }
    const isKept = activations.has(output) && !exact.has(output);
    const given = (type: (value: number) => number): number[] => {
      const typed = new Map([...new Set(floats)].map((input) => [input, type(input)]));
      return node.inputs.map((input) => typed.get(input) ?? input);
    };
    const areNarrow = floats.every((input) => typeOf(input) === 'bfloat16');
    if (products.has(op)) {
      nodes.push({ ...node, inputs: given(narrowed) });
      if (isKept) setType(output, 'bfloat16');
    } else if (moves.has(op) && (areNarrow || isKept)) {
      const inputs = given(narrowed);
      if (exact.has(output)) {
        const moved = values.push({ ...values[output]!, dtype: 'bfloat16' }) - 1;
        nodes.push({ ...node, inputs, output: moved });
        cast(moved, 'float32', output);
        widenedFrom.set(output, moved);
      } else {
        setType(output, 'bfloat16');
        nodes.push({ ...node, inputs });
      }
    } else if (isKept && uses.isLasting(output)) {
      if (areNarrow && roundedOnce.has(op)) {
        setType(output, 'bfloat16');
        nodes.push(node);
      } else addRounded({ ...node, inputs: given(widened) });
    } else {
      nodes.push({ ...node, inputs: given(widened) });
    }
  }
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, widened(value)]));
  return { ...graph, values, nodes, outputs };
}
