import { isConstant, type SizeExpression } from '../sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../symbolic.ts';
import { type Rewriter, rewrite } from './rewrite.ts';

const sameSize = (a: SizeExpression, b: SizeExpression) =>
  a.coefficient === b.coefficient &&
  Object.keys(a.powers).length === Object.keys(b.powers).length &&
  Object.entries(a.powers).every(([name, power]) => b.powers[name] === power);

const sameShape = (a: readonly SizeExpression[], b: readonly SizeExpression[]) =>
  a.length === b.length && a.every((size, axis) => sameSize(size, b[axis]!));

const isFillOf = (node: SymbolicNode | undefined, value: number) =>
  node?.op === 'Fill' && node.attributes.value === value;

const elementwise = new Set(['Add', 'Subtract', 'Multiply', 'Divide', 'Maximum', 'Minimum']);
const movesOnly = new Set(['Reshape', 'Expand', 'Transpose', 'Slice', 'Tile']);

const isOne = (size: SizeExpression | undefined) =>
  size === undefined || (isConstant(size) && size.coefficient === 1);

/** Whether a tensor of shape `alone` and one of shape `other` broadcast to `output`. */
function broadcastsTo(
  alone: readonly SizeExpression[],
  other: readonly SizeExpression[],
  output: readonly SizeExpression[],
): boolean {
  return output.every((size, axis) => {
    const sizes = [alone, other].map((shape) => shape[shape.length - output.length + axis]);
    return isOne(size) || sizes.some((own) => own !== undefined && sameSize(own, size));
  });
}

/**
 * Algebra that gradients leave behind: products with ones, sums with zeros, reshapes and transposes that cancel,
 * broadcasts that the next operation would do by itself, transposes that a matrix product can absorb.
 * Values do not change, except that `x * 1` and `x + 0` are no longer computed.
 */
export function simplify(graph: SymbolicGraph): SymbolicGraph {
  return rewrite(graph, (original, rewriter) => {
    const { producer } = rewriter;
    const shape = (value: number) => rewriter.value(value).shape;
    const { op, output, attributes } = original;
    const target = shape(output);
    const fits = (value: number) => sameShape(shape(value), target);
    const node = elementwise.has(op) ? withoutBroadcasts(original, rewriter) : original;
    const [first, second] = node.inputs;

    if (op === 'Multiply' || op === 'Add') {
      const neutral = op === 'Multiply' ? 1 : 0;
      for (const [value, other] of [
        [first!, second!],
        [second!, first!],
      ] as const) {
        if (!isFillOf(producer(other), neutral)) continue;
        if (fits(value)) return value;
        return { ...node, op: 'Expand', inputs: [value], sizes: { shape: target } };
      }
    }
    if (movesOnly.has(op) && producer(first!)?.op === 'Fill') {
      return { ...producer(first!)!, output, sizes: { shape: target } };
    }
    switch (op) {
      case 'Reshape': {
        if (fits(first!)) return first!;
        const from = producer(first!);
        if (from?.op !== 'Reshape') return node;
        return fits(from.inputs[0]!) ? from.inputs[0]! : { ...node, inputs: from.inputs };
      }
      case 'Expand':
      case 'Slice':
      case 'Tile':
        return fits(first!) ? first! : node;
      case 'Cast':
        if (rewriter.value(first!).dtype === attributes.to) return first!;
        return producer(first!)?.op === 'OneHot' ? typedOneHot(producer(first!)!, node) : node;
      case 'ReduceSum':
      case 'ReduceMean':
      case 'ReduceMax':
        return (attributes.axes as number[]).length === 0 ? first! : node;
      case 'Transpose': {
        const permutation = attributes.permutation as number[];
        if (permutation.every((axis, i) => axis === i)) return first!;
        const from = producer(first!);
        if (from?.op !== 'Transpose') return node;
        const before = from.attributes.permutation as number[];
        const combined = permutation.map((axis) => before[axis]!);
        return combined.every((axis, i) => axis === i)
          ? from.inputs[0]!
          : { ...node, inputs: from.inputs, attributes: { permutation: combined } };
      }
      case 'MatMul':
        return absorbTransposes(node, producer);
      default:
        return node;
    }
  });
}

/** Inputs as they were before a broadcast, and uniform values as scalars, where the other input gives the shape. */
function withoutBroadcasts(node: SymbolicNode, rewriter: Rewriter): SymbolicNode {
  const target = rewriter.value(node.output).shape;
  const inputs = [...node.inputs];
  for (const i of [0, 1]) {
    const from = rewriter.producer(inputs[i]!);
    const other = rewriter.value(inputs[1 - i]!).shape;
    if (from?.op === 'Expand' && broadcastsTo(rewriter.value(from.inputs[0]!).shape, other, target)) {
      inputs[i] = from.inputs[0]!;
    } else if (from?.op === 'Fill' && from.sizes.shape!.length > 0 && broadcastsTo([], other, target)) {
      const { dtype } = rewriter.value(inputs[i]!);
      inputs[i] = rewriter.insert({ ...from, sizes: { shape: [] } }, { dtype, shape: [] });
    }
  }
  return { ...node, inputs };
}

/** A one-hot tensor made in the type it is cast to. */
const typedOneHot = (oneHot: SymbolicNode, cast: SymbolicNode): SymbolicNode => ({
  ...oneHot,
  output: cast.output,
  attributes: { ...oneHot.attributes, dtype: cast.attributes.to! },
});

/** A transpose of the last two axes becomes a flag of the product. */
function absorbTransposes(
  node: SymbolicNode,
  producer: (value: number) => SymbolicNode | undefined,
): SymbolicNode {
  const inputs = [...node.inputs];
  const attributes: Record<string, boolean> = {
    transposeA: node.attributes.transposeA === true,
    transposeB: node.attributes.transposeB === true,
  };
  ['transposeA', 'transposeB'].forEach((flag, i) => {
    const from = producer(inputs[i]!);
    if (from?.op !== 'Transpose') return;
    const permutation = from.attributes.permutation as number[];
    const rank = permutation.length;
    const swapsLast =
      permutation[rank - 1] === rank - 2 &&
      permutation[rank - 2] === rank - 1 &&
      permutation.slice(0, -2).every((axis, k) => axis === k);
    if (!swapsLast) return;
    inputs[i] = from.inputs[0]!;
    attributes[flag] = !attributes[flag];
  });
  return { ...node, inputs, attributes };
}
