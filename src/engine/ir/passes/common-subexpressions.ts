import type { SymbolicGraph, SymbolicNode } from '../symbolic.ts';
import { rewrite } from './rewrite.ts';

const key = ({ op, inputs, attributes, sizes }: SymbolicNode): string =>
  JSON.stringify([op, inputs, attributes, sizes]);

/** Computes equal expressions once. */
export function shareCommonSubexpressions(graph: SymbolicGraph): SymbolicGraph {
  const known = new Map<string, number>();
  return rewrite(graph, (node) => {
    const name = key(node);
    const before = known.get(name);
    if (before === undefined) known.set(name, node.output);
    return before ?? node;
  });
}
