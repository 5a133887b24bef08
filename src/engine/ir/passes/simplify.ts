import { isConstant, type SizeExpression } from '../sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../symbolic.ts';
import { rewrite } from './rewrite.ts';

const sameSize = (a: SizeExpression, b: SizeExpression) =>
  a.coefficient === b.coefficient &&
  Object.keys(a.powers).length === Object.keys(b.powers).length &&
  Object.entries(a.powers).every(([name, power]) => b.powers[name] === power);

const sameShape = (a: readonly SizeExpression[], b: readonly SizeExpression[]) =>
  a.length === b.length && a.every((size, axis) => sameSize(size, b[axis]!));

const isFillOf = (node: SymbolicNode | undefined, value: number) =>
  node?.op === 'Fill' && node.attributes.value === value;

const elementwise = new Set(['Add', 'Subtract', 'Multiply', 'Divide', 'Maximum', 'Minimum']);

const isOne = (size: SizeExpression | undefined) =>
  size === undefined || (isConstant(size) && size.coefficient === 1);

/**
 * Algebra that gradients leave behind: products with ones, sums with zeros, reshapes and transposes that cancel,
 * broadcasts that the next operation would do by itself, transposes that a matrix product can absorb.
 * Values do not change, except that `x * 1` and `x + 0` are no longer computed.
 */
export function simplify(graph: SymbolicGraph): SymbolicGraph {
  const shape = (value: number) => graph.values[value]!.shape;

  /** Whether broadcasting `a` with `b` alone already gives the shape of `output`. */
  const covers = (
    a: readonly SizeExpression[],
    b: readonly SizeExpression[],
    output: readonly SizeExpression[],
  ) =>
    output.every((size, axis) => {
      const left = a[a.length - output.length + axis];
      const right = b[b.length - output.length + axis];
      return (
        sameSize(isOne(left) ? (right ?? size) : left!, size) &&
        !(isOne(left) && isOne(right) && !isOne(size))
      );
    });

  return rewrite(graph, (node, producer) => {
    const { op, inputs, output, attributes } = node;
    const target = shape(output);
    const [first, second] = inputs;
    const fits = (value: number) => sameShape(shape(value), target);

    if (op === 'Multiply' || op === 'Add') {
      const neutral = op === 'Multiply' ? 1 : 0;
      for (const [value, other] of [
        [first!, second!],
        [second!, first!],
      ] as const) {
        if (!isFillOf(producer(other), neutral)) continue;
        if (fits(value)) return value;
        if (op === 'Multiply')
          return { ...node, op: 'Expand', inputs: [value], attributes: {}, sizes: { shape: target } };
      }
    }
    if (elementwise.has(op)) {
      const slim = [...inputs];
      slim.forEach((value, i) => {
        const from = producer(value);
        const other = slim[1 - i]!;
        if (from === undefined || (from.op !== 'Expand' && from.op !== 'Fill')) return;
        if (from.op === 'Expand' && covers(shape(from.inputs[0]!), shape(other), target))
          slim[i] = from.inputs[0]!;
      });
      if (slim.some((value, i) => value !== inputs[i])) return { ...node, inputs: slim };
    }
    switch (op) {
      case 'Reshape': {
        if (fits(first!)) return first!;
        const from = producer(first!);
        if (from?.op === 'Reshape') {
          return sameShape(shape(from.inputs[0]!), target)
            ? from.inputs[0]!
            : { ...node, inputs: from.inputs };
        }
        return node;
      }
      case 'Expand':
      case 'Slice':
        return fits(first!) ? first! : node;
      case 'Tile':
        return node.sizes.repeats!.every(isOne) ? first! : node;
      case 'Cast':
        return graph.values[first!]!.dtype === attributes.to ? first! : node;
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
