import { dropoutConstants, dropThreshold } from '../dropout.ts';
import type { OperatorName } from '../ir/operators.ts';
import { isConstant, type SizeExpression } from '../ir/sizes.ts';
import type { SymbolicNode } from '../ir/symbolic.ts';
import type { DataType } from '../types.ts';
import type { Emitter } from './emitter.ts';
import { onnxElementType } from './model-file.ts';

/** Writes one node as ONNX and returns the name of its result. */
export type Emit = (emitter: Emitter, node: SymbolicNode) => string;

const names = (emitter: Emitter, node: SymbolicNode) => node.inputs.map((value) => emitter.name(value));

const direct =
  (op: string): Emit =>
  (emitter, node) =>
    emitter.add(op, names(emitter, node));

const reduce =
  (op: string): Emit =>
  (emitter, node) =>
    emitter.add(op, [...names(emitter, node), emitter.integers(node.attributes.axes as number[])], {
      keepdims: node.attributes.keepDims ? 1 : 0,
    });

const lastAxis =
  (op: string): Emit =>
  (emitter, node) =>
    emitter.add(op, names(emitter, node), { axis: -1 });

const cast = (emitter: Emitter, value: string, to: DataType | 'int64' | 'uint32') =>
  emitter.add('Cast', [value], { to: onnxElementType(to) });

/** Target of a reshape: one dynamic size may be left to the runtime. */
function reshapeTarget(emitter: Emitter, shape: readonly SizeExpression[]): string {
  const dynamic = shape.filter((size) => !isConstant(size)).length;
  if (dynamic !== 1) return emitter.sizes(shape);
  return emitter.integers(shape.map((size) => (isConstant(size) ? size.coefficient : -1)));
}

const slice: Emit = (emitter, node) => {
  const { begin, size } = node.sizes as { begin: SizeExpression[]; size: SizeExpression[] };
  const whole = emitter.shape(node.inputs[0]!);
  const axes = size.flatMap((_, axis) =>
    begin[axis]!.coefficient === 0 && JSON.stringify(size[axis]) === JSON.stringify(whole[axis])
      ? []
      : [axis],
  );
  const starts = axes.map((axis) => begin[axis]!);
  const lengths = axes.map((axis) => size[axis]!);
  const bothConstant = [...starts, ...lengths].every(isConstant);
  const ends = bothConstant
    ? emitter.integers(starts.map((start, i) => start.coefficient + lengths[i]!.coefficient))
    : emitter.shared('Add', [emitter.sizes(starts), emitter.sizes(lengths)]);
  return emitter.add('Slice', [...names(emitter, node), emitter.sizes(starts), ends, emitter.integers(axes)]);
};

const matMul: Emit = (emitter, node) => {
  const { transposeA, transposeB } = node.attributes;
  const inputs = names(emitter, node);
  if (!transposeA && !transposeB) return emitter.add('MatMul', inputs);
  const flags = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  const flat = node.inputs.every((value) => emitter.shape(value).length === 2);
  if (flat) return emitter.add('Gemm', inputs, flags);
  if (!emitter.standardOnly) return emitter.add('FusedMatMul', inputs, flags, 'com.microsoft');
  const sides = inputs.map((input, i) => {
    if (![transposeA, transposeB][i]) return input;
    const rank = emitter.shape(node.inputs[i]!).length;
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    return transpose(emitter, input, [...axes.slice(0, -2), rank - 1, rank - 2]);
  });
  return emitter.add('MatMul', sides);
};

/**
 * Element by element, not row by row: onnxruntime adds rows (ScatterND) in parallel, in an order that changes from run to
 * run, and elements (ScatterElements) one after the other. The same inputs have to give the same bits.
 */
const segmentSum: Emit = (emitter, node) => {
  const [rows, indices] = names(emitter, node);
  const rowShape = emitter.shape(node.inputs[0]!);
  const zeros = emitter.add('Expand', [emitter.scalar(0), emitter.sizes(emitter.shape(node.output))]);
  const rank = emitter.shape(node.inputs[1]!).length;
  // Leading axes of rows and indices become one.
  const width = rowShape.slice(rank);
  const flatRows = emitter.add('Reshape', [
    rows!,
    emitter.shared('Concat', [emitter.integers([-1]), ...width.map((size) => emitter.size(size))], {
      axis: 0,
    }),
  ]);
  const column = emitter.add('Reshape', [
    cast(emitter, indices!, 'int64'),
    emitter.integers([-1, ...width.map(() => 1)]),
  ]);
  const positions = emitter.add('Expand', [column, emitter.shared('Shape', [flatRows])]);
  return emitter.add('ScatterElements', [zeros, positions, flatRows], { axis: 0, reduction: 'add' });
};

const oneHot: Emit = (emitter, node) => {
  const { onValue, offValue, dtype } = node.attributes as {
    onValue: number;
    offValue: number;
    dtype: DataType;
  };
  const indices = cast(emitter, emitter.name(node.inputs[0]!), 'int64');
  const values = emitter.constant('float32', [offValue, onValue], [2]);
  const hot = emitter.add('OneHot', [indices, emitter.sizes(node.sizes.depth!), values], { axis: -1 });
  return dtype === 'float32' ? hot : cast(emitter, hot, dtype);
};

const transpose = (emitter: Emitter, value: string, perm: readonly number[]) =>
  emitter.add('Transpose', [value], { perm });

const channelsFirst = [0, 3, 1, 2];
const channelsLast = [0, 2, 3, 1];
/** [height, width, in, out] to [out, in, height, width]. */
const filterFirst = [3, 2, 0, 1];

interface ConvolutionAttributes {
  readonly strides: number[];
  readonly before: number[];
  readonly after: number[];
}

const convolution: Emit = (emitter, node) => {
  const { strides, before, after } = node.attributes as unknown as ConvolutionAttributes;
  const [x, filter] = names(emitter, node);
  const inputs = [transpose(emitter, x!, channelsFirst), transpose(emitter, filter!, filterFirst)];
  return transpose(
    emitter,
    emitter.add('Conv', inputs, { strides, pads: [...before, ...after] }),
    channelsLast,
  );
};

const convolutionInputGradient: Emit = (emitter, node) => {
  const { strides, before, after } = node.attributes as unknown as ConvolutionAttributes;
  const inputSize = node.attributes.inputSize as number[];
  const [dy, filter] = node.inputs.map((value) => emitter.shape(value));
  const padding = inputSize.map((size, i) => {
    const covered =
      (dy![1 + i]!.coefficient - 1) * strides[i]! + filter![i]!.coefficient - before[i]! - after[i]!;
    return size - covered;
  });
  const [gradient, weights] = names(emitter, node);
  const inputs = [transpose(emitter, gradient!, channelsFirst), transpose(emitter, weights!, filterFirst)];
  const attributes = { strides, pads: [...before, ...after], output_padding: padding };
  return transpose(emitter, emitter.add('ConvTranspose', inputs, attributes), channelsLast);
};

/** The filter's gradient is itself a convolution: channels as batch, dy as the filter, strides as dilations. */
const convolutionFilterGradient: Emit = (emitter, node) => {
  const { strides, before, after } = node.attributes as unknown as ConvolutionAttributes;
  const filterSize = node.attributes.filterSize as number[];
  const [x, dy] = names(emitter, node);
  const inputs = [transpose(emitter, x!, [3, 0, 1, 2]), transpose(emitter, dy!, [3, 0, 1, 2])];
  const full = emitter.add('Conv', inputs, { dilations: strides, pads: [...before, ...after] });
  const cut = emitter.add('Slice', [
    full,
    emitter.integers([0, 0]),
    emitter.integers(filterSize),
    emitter.integers([2, 3]),
  ]);
  return transpose(emitter, cut, [2, 3, 0, 1]);
};

/** `x >>> bits` of int32. */
type ShiftRight = (emitter: Emitter, x: string, bits: number) => string;

const shiftRight: ShiftRight = (emitter, x, bits) => {
  const operands = [cast(emitter, x, 'uint32'), emitter.constant('uint32', [bits], [])];
  return cast(emitter, emitter.add('BitShift', operands, { direction: 'RIGHT' }), 'int32');
};

/** The integer mixing of `dropout.ts`, in int32 but for the shifts, of which engines have their own. */
export const dropoutMask =
  (shift: ShiftRight): Emit =>
  (emitter, node) => {
    const { columns, rate, moduleKey } = node.attributes as {
      columns: number;
      rate: number;
      moduleKey: number;
    };
    const { golden, multipliers, shifts } = dropoutConstants;
    const offsets = Array.from({ length: columns }, (_, column) => Math.imul(column, golden));
    const rows = emitter.add('Unsqueeze', [emitter.name(node.inputs[0]!), emitter.integers([1])]);
    const keys = emitter.add('Add', [rows, emitter.scalar(moduleKey, 'int32')]);
    let state = emitter.add('Add', [keys, emitter.constant('int32', offsets, [1, columns])]);
    multipliers.forEach((multiplier, round) => {
      const mixed = emitter.add('BitwiseXor', [state, shift(emitter, state, shifts[round]!)]);
      state = emitter.add('Mul', [mixed, emitter.scalar(multiplier | 0, 'int32')]);
    });
    const draw = shift(emitter, state, 8);
    const kept = emitter.add('GreaterOrEqual', [draw, emitter.scalar(dropThreshold(rate), 'int32')]);
    return emitter.add('Where', [kept, emitter.scalar(1 / (1 - rate)), emitter.scalar(0)]);
  };

export const emitters: Record<OperatorName, Emit> = {
  Negate: direct('Neg'),
  Exp: direct('Exp'),
  Log: direct('Log'),
  Sqrt: direct('Sqrt'),
  Reciprocal: direct('Reciprocal'),
  Sigmoid: direct('Sigmoid'),
  Tanh: direct('Tanh'),
  Erf: direct('Erf'),
  Abs: direct('Abs'),
  Sign: direct('Sign'),
  Floor: direct('Floor'),
  Relu: direct('Relu'),
  Sin: direct('Sin'),
  Cos: direct('Cos'),
  LogicalNot: direct('Not'),
  Cast: (emitter, node) => cast(emitter, emitter.name(node.inputs[0]!), node.attributes.to as DataType),
  Add: direct('Add'),
  Subtract: direct('Sub'),
  Multiply: direct('Mul'),
  Divide: direct('Div'),
  Maximum: direct('Max'),
  Minimum: direct('Min'),
  Power: direct('Pow'),
  Greater: direct('Greater'),
  GreaterEqual: direct('GreaterOrEqual'),
  Less: direct('Less'),
  LessEqual: direct('LessOrEqual'),
  Equal: direct('Equal'),
  NotEqual: (emitter, node) => emitter.add('Not', [emitter.add('Equal', names(emitter, node))]),
  LogicalAnd: direct('And'),
  LogicalOr: direct('Or'),
  Select: direct('Where'),
  Fill: (emitter, node) => {
    const scalar = emitter.scalar(node.attributes.value as number, node.attributes.dtype as DataType);
    const shape = node.sizes.shape!;
    return shape.length === 0 ? scalar : emitter.add('Expand', [scalar, emitter.sizes(shape)]);
  },
  Reshape: (emitter, node) =>
    emitter.add('Reshape', [...names(emitter, node), reshapeTarget(emitter, node.sizes.shape!)]),
  Expand: (emitter, node) =>
    emitter.add('Expand', [...names(emitter, node), emitter.sizes(node.sizes.shape!)]),
  Transpose: (emitter, node) =>
    transpose(emitter, emitter.name(node.inputs[0]!), node.attributes.permutation as number[]),
  Slice: slice,
  Concat: (emitter, node) =>
    emitter.add('Concat', names(emitter, node), { axis: node.attributes.axis as number }),
  Pad: (emitter, node) => {
    const pads = emitter.sizes([...node.sizes.before!, ...node.sizes.after!]);
    return emitter.add('Pad', [
      ...names(emitter, node),
      pads,
      emitter.scalar(node.attributes.value as number),
    ]);
  },
  Tile: (emitter, node) => emitter.add('Tile', [...names(emitter, node), emitter.sizes(node.sizes.repeats!)]),
  Gather: (emitter, node) => emitter.add('Gather', names(emitter, node), { axis: 0 }),
  SegmentSum: segmentSum,
  OneHot: oneHot,
  MatMul: matMul,
  ReduceSum: reduce('ReduceSum'),
  ReduceMean: reduce('ReduceMean'),
  ReduceMax: reduce('ReduceMax'),
  ReduceMin: reduce('ReduceMin'),
  Softmax: lastAxis('Softmax'),
  LogSoftmax: lastAxis('LogSoftmax'),
  Convolution: convolution,
  ConvolutionInputGradient: convolutionInputGradient,
  ConvolutionFilterGradient: convolutionFilterGradient,
  DropoutMask: dropoutMask(shiftRight),
  // Runtimes of ONNX run nodes in an order of their own, and see equal nodes as one.
  Barrier: (emitter, node) => emitter.add('Identity', names(emitter, node).slice(0, 1)),
  // One device computes: there is nothing to add.
  AllReduceSum: (emitter, node) => emitter.add('Identity', names(emitter, node)),
};
