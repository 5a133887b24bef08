import type { SymbolicGraph, SymbolicNode } from '../symbolic.ts';

/**
 * Goes through the nodes in order. `rule` sees each node with its inputs already replaced and the producers of
 * those inputs, and returns the node to keep (same output) or the value that stands for its result.
 */
export function rewrite(
  graph: SymbolicGraph,
  rule: (node: SymbolicNode, producer: (value: number) => SymbolicNode | undefined) => SymbolicNode | number,
): SymbolicGraph {
  const replaced = new Map<number, number>();
  const current = (value: number) => replaced.get(value) ?? value;
  const producers = new Map<number, SymbolicNode>();
  const nodes: SymbolicNode[] = [];
  for (const node of graph.nodes) {
    const result = rule({ ...node, inputs: node.inputs.map(current) }, (value) => producers.get(value));
    if (typeof result === 'number') {
      replaced.set(node.output, current(result));
    } else {
      producers.set(result.output, result);
      nodes.push(result);
    }
  }
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, current(value)]));
  return { ...graph, nodes, outputs };
}
