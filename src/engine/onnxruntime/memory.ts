import type { SymbolicGraph } from '../ir/symbolic.ts';

/**
 * Above this many bytes of weights that several operations use, a session saves memory rather than time.
 */
export const leanBytes = 2 ** 30;

/** Values between operations, of a batch of 4 x 128, that a session which saves memory may hold, as a share of those weights. */
export const leanShare = 0.185;

/**
 * Bytes of the weights that more than one operation uses, as training does forwards and backwards. For each of them
 * onnxruntime would keep a copy in the order that its product reads fastest, beside the others'.
 */
export function sharedWeightBytes(graph: SymbolicGraph): number {
  const uses = new Map<number, number>();
  for (const node of graph.nodes) {
    for (const value of node.inputs) uses.set(value, (uses.get(value) ?? 0) + 1);
  }
  return [...graph.weights.values()]
    .filter((value) => (uses.get(value) ?? 0) > 1)
    .reduce(
      (sum, value) =>
        sum + graph.values[value]!.shape.reduce((product, size) => product * size.coefficient, 4),
      0,
    );
}
