import { liveBytes, valueBytes } from '../liveness.ts';
import { FlowNetwork } from '../minimum-cut.ts';
import type { OperatorName } from '../operators.ts';
import { isConstant } from '../sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../symbolic.ts';

/** A matrix product over no more than this many numbers costs about what moving its result costs. */
const thin = 64;

/** What costs little more than going through its result once. Sums are not among them: they are small, and kept. */
const cheap: ReadonlySet<OperatorName> = new Set<OperatorName>([
  ...(['Negate', 'Exp', 'Log', 'Sqrt', 'Reciprocal', 'Sigmoid', 'Tanh', 'Erf', 'Abs', 'Sign'] as const),
  ...([
    'Floor',
    'Relu',
    'Sin',
    'Cos',
    'LogicalNot',
    'Cast',
    'Add',
    'Subtract',
    'Multiply',
    'Divide',
  ] as const),
  ...(['Maximum', 'Minimum', 'Power', 'Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal'] as const),
  ...(['NotEqual', 'LogicalAnd', 'LogicalOr', 'Select', 'Fill', 'Reshape', 'Expand', 'Transpose'] as const),
  ...(['Slice', 'Concat', 'Pad', 'Tile', 'OneHot', 'Softmax', 'DropoutMask'] as const),
]);

/** How many numbers each number of a product is the sum of; undefined where it depends on a named dimension. */
function innerSize(graph: SymbolicGraph, { inputs, attributes }: SymbolicNode): number | undefined {
  const inner = graph.values[inputs[0]!]!.shape.at(attributes.transposeA === true ? -2 : -1)!;
  return isConstant(inner) ? inner.coefficient : undefined;
}

/** A product whose rows are so many times as long as those that it is made from saves much for its price. */
const wide = 4;

/** Products with frozen weights that are wide, such as those into the feed-forward part of a decoder. */
function wideProducts(graph: SymbolicGraph): SymbolicNode[] {
  const weights = new Set(graph.weights.values());
  return graph.nodes.filter((node) => {
    const width = graph.values[node.output]!.shape.at(-1);
    return (
      node.op === 'MatMul' &&
      weights.has(node.inputs[1]!) &&
      width !== undefined &&
      isConstant(width) &&
      width.coefficient >= wide * (innerSize(graph, node) ?? Number.POSITIVE_INFINITY)
    );
  });
}

function isCheap(graph: SymbolicGraph, node: SymbolicNode): boolean {
  if (node.op !== 'MatMul') return cheap.has(node.op);
  const shape = graph.values[node.inputs[0]!]!.shape;
  // Of attention: of the size of a head one way, of the tokens the other.
  if (shape.length > 2) return true;
  return (innerSize(graph, node) ?? Number.POSITIVE_INFINITY) <= thin;
}

/**
 * The values of `before` that are kept for later: those of the fewest bytes from which all that is `needed` can be
 * computed again by cheap operations, and those that make `repeatable`. A minimum cut between what cannot be computed
 * again and what is needed.
 */
function chooseKept(
  graph: SymbolicGraph,
  before: readonly SymbolicNode[],
  needed: ReadonlySet<number>,
  repeatable: ReadonlySet<number>,
): Set<number> {
  const vertices = new Map(before.map(({ output }, position) => [output, 2 + 2 * position]));
  const [source, sink] = [0, 1];
  const network = new FlowNetwork(2 + 2 * before.length);
  for (const node of before) {
    const enters = vertices.get(node.output)!;
    const leaves = enters + 1;
    network.addEdge(enters, leaves, valueBytes(graph.values[node.output]!));
    if (needed.has(node.output)) network.addEdge(leaves, sink, Number.POSITIVE_INFINITY);
    if (!isCheap(graph, node) && !repeatable.has(node.output))
      network.addEdge(source, enters, Number.POSITIVE_INFINITY);
    else {
      for (const input of node.inputs) {
        const from = vertices.get(input);
        if (from !== undefined) network.addEdge(from + 1, enters, Number.POSITIVE_INFINITY);
      }
    }
  }
  const onSinkSide = network.cutNearSink(source, sink);
  return new Set(
    before
      .map(({ output }) => output)
      .filter((value) => !onSinkSide[vertices.get(value)!] && onSinkSide[vertices.get(value)! + 1]),
  );
}

/**
 * Computes cheap values twice instead of keeping them from the forward to the backward pass. The two are told apart by
 * the point at which most bytes are alive: what was made before it and is used after it is kept, or made from what
 * is kept right before it is used. Every value is computed by the same operations as before, to the same bits.
 *
 * @param limit where that leaves more bytes alive at the sizes of `liveBytes`, as many of the wide products with frozen
 *   weights are computed twice, too, as hold the rest
 */
export function rematerialise(graph: SymbolicGraph, limit = Number.POSITIVE_INFINITY): SymbolicGraph {
  const alone = repeat(graph, new Set());
  const excess = liveBytes(alone).reduce((most, bytes) => Math.max(most, bytes), 0) - limit;
  if (excess <= 0) return alone;
  const repeatable = new Set<number>();
  let saved = 0;
  for (const { output } of wideProducts(graph)) {
    if (saved >= excess) break;
    repeatable.add(output);
    saved += valueBytes(graph.values[output]!);
  }
  return repeatable.size === 0 ? alone : repeat(graph, repeatable);
}

function repeat(graph: SymbolicGraph, repeatable: ReadonlySet<number>): SymbolicGraph {
  const alive = liveBytes(graph);
  const peak = alive.indexOf(alive.reduce((most, bytes) => Math.max(most, bytes), 0));
  const before = graph.nodes.slice(0, peak + 1);
  const after = graph.nodes.slice(peak + 1);
  const producers = new Map(before.map((node) => [node.output, node]));
  const needed = new Set(
    [...after.flatMap(({ inputs }) => inputs), ...graph.outputs.values()].filter((value) =>
      producers.has(value),
    ),
  );
  const kept = chooseKept(graph, before, needed, repeatable);
  for (const output of graph.outputs.values()) kept.add(output);

  const values = [...graph.values];
  const nodes = [...before];
  const again = new Map<number, number>();
  /** The value that stands for one of `before` from here on; made anew, with what it needs, unless it was kept. */
  const standIn = (value: number): number => {
    const node = producers.get(value);
    if (node === undefined || kept.has(value)) return value;
    const known = again.get(value);
    if (known !== undefined) return known;
    const inputs = node.inputs.map(standIn);
    const output = values.push(values[value]!) - 1;
    nodes.push({ ...node, inputs, output });
    again.set(value, output);
    return output;
  };
  for (const node of after) nodes.push({ ...node, inputs: node.inputs.map(standIn) });
  return { ...graph, values, nodes };
}
