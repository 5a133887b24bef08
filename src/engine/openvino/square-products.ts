import { rewrite } from '../ir/passes/rewrite.ts';
import { isConstant } from '../ir/sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../ir/symbolic.ts';

/** How a node multiplies by a square frozen weight on its right: the weight's value, and whether it is transposed. */
function squareProduct(
  graph: SymbolicGraph,
  weights: ReadonlySet<number>,
  { op, inputs, attributes }: SymbolicNode,
) {
  const right = inputs[1];
  if (op !== 'MatMul' || right === undefined || !weights.has(right) || attributes.transposeA === true)
    return undefined;
  const [rows, columns] = graph.values[right]!.shape;
  const isSquare =
    rows !== undefined &&
    columns !== undefined &&
    isConstant(rows) &&
    isConstant(columns) &&
    rows.coefficient === columns.coefficient;
  return isSquare && graph.values[inputs[0]!]!.shape.length === 2
    ? { weight: right, isTransposed: attributes.transposeB === true }
    : undefined;
}

/**
 * Writes `y W^T` as `(W y^T)^T` for every square frozen `W` that is also used as it is. OpenVINO's plugin for processors
 * (2026.4) packs a square constant once and takes that packing for both uses, in float32: the result of one is then wrong.
 * As a left operand the weight is not packed.
 */
export function avoidSharedSquarePacking(graph: SymbolicGraph): SymbolicGraph {
  const weights = new Set(graph.weights.values());
  const uses = graph.nodes.flatMap((node) => squareProduct(graph, weights, node) ?? []);
  const plain = new Set(uses.filter(({ isTransposed }) => !isTransposed).map(({ weight }) => weight));
  return rewrite(graph, (node, rewriter) => {
    const product = squareProduct(graph, weights, node);
    if (product === undefined || !product.isTransposed || !plain.has(product.weight)) return node;
    const { dtype, shape } = rewriter.value(node.output);
    const [rows, columns] = shape;
    const turned = rewriter.insert(
      {
        ...node,
        inputs: [product.weight, node.inputs[0]!],
        attributes: { transposeA: false, transposeB: true },
      },
      { dtype, shape: [columns!, rows!] },
    );
    return {
      op: 'Transpose',
      inputs: [turned],
      output: node.output,
      attributes: { permutation: [1, 0] },
      sizes: {},
    };
  });
}
