import type { SymbolicGraph, SymbolicNode, SymbolicValue } from '../symbolic.ts';

/** What a rewriting rule may ask for. */
export interface Rewriter {
  /** The node that computes a value; undefined for inputs, weights and constants. */
  producer(value: number): SymbolicNode | undefined;
  /** Inserts a node before the current one and returns its result. */
  insert(node: Omit<SymbolicNode, 'output'>, result: SymbolicValue): number;
  value(id: number): SymbolicValue;
}

/**
 * Goes through the nodes in order. `rule` sees each node with its inputs already replaced, and returns the node to
 * keep (same output) or the value that stands for its result.
 */
export function rewrite(
  graph: SymbolicGraph,
  rule: (node: SymbolicNode, rewriter: Rewriter) => SymbolicNode | number,
): SymbolicGraph {
  const replaced = new Map<number, number>();
  const current = (value: number) => replaced.get(value) ?? value;
  const producers = new Map<number, SymbolicNode>();
  const nodes: SymbolicNode[] = [];
  const values = [...graph.values];
  const keep = (node: SymbolicNode) => {
    producers.set(node.output, node);
    nodes.push(node);
  };
  const rewriter: Rewriter = {
    producer: (value) => producers.get(value),
    value: (id) => values[id]!,
    insert: (node, result) => {
      const output = values.push(result) - 1;
      keep({ ...node, output });
      return output;
    },
  };
  for (const node of graph.nodes) {
    const result = rule({ ...node, inputs: node.inputs.map(current) }, rewriter);
    if (typeof result === 'number') replaced.set(node.output, current(result));
    else keep(result);
  }
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, current(value)]));
  return { ...graph, values, nodes, outputs };
}
