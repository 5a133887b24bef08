import type { SymbolicGraph } from '../symbolic.ts';

/** Drops nodes whose results nobody needs (tfjs computes gradients that a function then ignores). */
export function removeDeadCode(graph: SymbolicGraph): SymbolicGraph {
  const needed = new Set(graph.outputs.values());
  const kept = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!needed.has(node.output)) return false;
      for (const input of node.inputs) needed.add(input);
      return true;
    })
    .toReversed();
  const constants = new Map([...graph.constants].filter(([id]) => needed.has(id)));
  return { ...graph, nodes: kept, constants };
}
