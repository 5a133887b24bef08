import { evaluateSize } from './sizes.ts';
import type { SymbolicGraph, SymbolicValue } from './symbolic.ts';

/** Sizes to compare memory at: a batch of 4, everything else 128. */
const representative = new Proxy<Record<string, number>>(
  {},
  { get: (_, name) => (name === 'batch' ? 4 : 128) },
);

/** Bytes of a value at representative sizes of the named dimensions. */
export function valueBytes(
  { dtype, shape }: SymbolicValue,
  dimensions: Readonly<Record<string, number>> = representative,
): number {
  const elementBytes = { bool: 1, bfloat16: 2, int32: 4, float32: 4 }[dtype];
  return shape.reduce((product, size) => product * evaluateSize(size, dimensions), elementBytes);
}

/**
 * Bytes of results alive while each node runs, in the order of the graph: from the node that makes a value to its last
 * use. Inputs, weights and constants do not count, and a reshaped value counts as another.
 */
export function liveBytes(
  graph: SymbolicGraph,
  dimensions: Readonly<Record<string, number>> = representative,
): Float64Array {
  const made = new Map(graph.nodes.map(({ output }, position) => [output, position]));
  const lastUse = new Map<number, number>();
  graph.nodes.forEach(({ inputs }, position) => {
    for (const input of inputs) lastUse.set(input, position);
  });
  for (const output of graph.outputs.values()) lastUse.set(output, graph.nodes.length - 1);
  const changes = new Float64Array(graph.nodes.length + 1);
  for (const [value, position] of made) {
    const bytes = valueBytes(graph.values[value]!, dimensions);
    changes[position]! += bytes;
    changes[(lastUse.get(value) ?? position) + 1]! -= bytes;
  }
  let now = 0;
  return changes
    .map((change) => {
      now += change;
      return now;
    })
    .slice(0, -1);
}
