import { dropoutConstants, dropThreshold } from '../dropout.ts';
import type { ValueType } from '../ir/graph.ts';
import { broadcastShapes, type OperatorName } from '../ir/operators.ts';
import type { SymbolicNode } from '../ir/symbolic.ts';
import type { DataType } from '../types.ts';
import { convolution, convolutionFilterGradient, convolutionInputGradient } from './convolutions.ts';
import { type Emitter, elementType, type StablehloValue } from './emitter.ts';

/** Writes one node as StableHLO and returns its result. */
export type Emit = (emitter: Emitter, node: SymbolicNode) => StablehloValue;

const unary =
  (op: string): Emit =>
  (emitter, node) =>
    emitter.elementwise(op, emitter.value(node.inputs[0]!));

/** StableHLO operations do not broadcast: inputs take the sizes of the result first. */
const broadcasted = (emitter: Emitter, node: SymbolicNode): StablehloValue[] => {
  const { shape } = emitter.describe(node.output);
  return emitter.inputs(node).map((input) => emitter.broadcast(input, shape));
};

const binary =
  (op: string): Emit =>
  (emitter, node) =>
    emitter.elementwise(op, ...broadcasted(emitter, node));

const comparison =
  (direction: string): Emit =>
  (emitter, node) => {
    const [a, b] = broadcasted(emitter, node);
    return emitter.compare(direction, a!, b!);
  };

/** The identity of a reduction that looks for the largest (-1) or smallest (1) value. */
const extreme = (type: string, sign: 1 | -1): number =>
  type === 'i32' ? (sign < 0 ? -(2 ** 31) : 2 ** 31 - 1) : sign * Number.POSITIVE_INFINITY;

const reduction =
  (op: string, initial: (type: string) => number): Emit =>
  (emitter, node) => {
    const value = emitter.value(node.inputs[0]!);
    const reduced = emitter.reduce(op, initial(value.type), value, node.attributes.axes as number[]);
    return emitter.reshape(reduced, emitter.describe(node.output).shape);
  };

const reduceSum = reduction('add', () => 0);

const reduceMean: Emit = (emitter, node) => {
  const sum = reduceSum(emitter, node);
  const { shape } = emitter.value(node.inputs[0]!);
  const count = (node.attributes.axes as number[]).reduce((product, axis) => product * shape[axis]!, 1);
  return emitter.elementwise('divide', sum, emitter.splat(count, sum.type, sum.shape));
};

/** x minus its largest value, and the exponentials' sum over the last axis, both with the sizes of x. */
function shifted(emitter: Emitter, x: StablehloValue) {
  const last = x.shape.length - 1;
  const leading = x.shape.slice(0, -1).map((_, axis) => axis);
  const over = (value: StablehloValue) => emitter.broadcastInto(value, leading, x.shape);
  const largest = emitter.reduce('maximum', extreme('f32', -1), x, [last]);
  const difference = emitter.elementwise('subtract', x, over(largest));
  const exponentials = emitter.elementwise('exponential', difference);
  const sum = emitter.reduce('add', 0, exponentials, [last]);
  return { difference, exponentials, sum, over };
}

const softmax: Emit = (emitter, node) => {
  const { exponentials, sum, over } = shifted(emitter, emitter.value(node.inputs[0]!));
  return emitter.elementwise('divide', exponentials, over(sum));
};

const logSoftmax: Emit = (emitter, node) => {
  const { difference, sum, over } = shifted(emitter, emitter.value(node.inputs[0]!));
  return emitter.elementwise('subtract', difference, over(emitter.elementwise('log', sum)));
};

/** Numerator and denominator, in powers of x squared, of x P / Q on [-4, 4]. */
const erfNumerator = [
  -2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5,
  -7.34990630326855e-4, -2.95459980854025e-3, -1.60960333262415e-2,
];
const erfDenominator = [
  -1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3,
  -1.42647390514189e-2,
];

/**
 * StableHLO has no error function. This is the rational approximation that float32 libraries (Eigen, XLA itself) use:
 * its error stays below 5e-7.
 */
const erf: Emit = (emitter, node) => {
  const given = emitter.value(node.inputs[0]!);
  const splat = (value: number) => emitter.splat(value, given.type, given.shape);
  const x = emitter.elementwise('clamp', splat(-4), given, splat(4));
  const square = emitter.elementwise('multiply', x, x);
  const polynomial = (coefficients: readonly number[]) =>
    coefficients
      .map(splat)
      .reduce((sum, next) => emitter.elementwise('add', emitter.elementwise('multiply', sum, square), next));
  const numerator = emitter.elementwise('multiply', x, polynomial(erfNumerator));
  return emitter.elementwise('divide', numerator, polynomial(erfDenominator));
};

const tile: Emit = (emitter, node) => {
  const x = emitter.value(node.inputs[0]!);
  const repeats = emitter.sizes(node, 'repeats');
  // Each axis becomes (repeats, size).
  const pairs = x.shape.flatMap((size, axis) => [repeats[axis]!, size]);
  const spread = emitter.broadcastInto(
    x,
    x.shape.map((_, axis) => 2 * axis + 1),
    pairs,
  );
  return emitter.reshape(spread, emitter.describe(node.output).shape);
};

const pad: Emit = (emitter, node) => {
  const x = emitter.value(node.inputs[0]!);
  const value = emitter.splat(node.attributes.value as number, x.type);
  const [before, after] = [emitter.sizes(node, 'before'), emitter.sizes(node, 'after')];
  const text = `stablehlo.pad ${x.name}, ${value.name}, low = [${before.join(', ')}], high = [${after.join(', ')}], interior = [${before.map(() => 0).join(', ')}]`;
  return emitter.statement(text, [x, value], emitter.describe(node.output));
};

const concat: Emit = (emitter, node) => {
  const inputs = emitter.inputs(node);
  const text = `stablehlo.concatenate ${inputs.map(({ name }) => name).join(', ')}, dim = ${node.attributes.axis}`;
  return emitter.statement(text, inputs, emitter.describe(node.output));
};

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const gather: Emit = (emitter, node) => {
  const [x, indices] = emitter.inputs(node) as [StablehloValue, StablehloValue];
  const rank = indices.shape.length;
  const offsets = range(rank, rank + x.shape.length - 1);
  const numbers = `#stablehlo.gather<offset_dims = [${offsets.join(', ')}], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = ${rank}>`;
  const sizes = [1, ...x.shape.slice(1)].join(', ');
  const text = `"stablehlo.gather"(${x.name}, ${indices.name}) <{dimension_numbers = ${numbers}, slice_sizes = array<i64: ${sizes}>, indices_are_sorted = false}>`;
  return emitter.statement(text, [x, indices], emitter.describe(node.output));
};

/** The region that says how two elements become one. */
const addition = ({ type }: StablehloValue): string => {
  const scalar = `tensor<${type}>`;
  return `({ ^bb0(%a: ${scalar}, %b: ${scalar}): %sum = stablehlo.add %a, %b : ${scalar} "stablehlo.return"(%sum) : (${scalar}) -> () })`;
};

const segmentSum: Emit = (emitter, node) => {
  const [rows, indices] = emitter.inputs(node) as [StablehloValue, StablehloValue];
  const result = emitter.describe(node.output);
  const zeros = emitter.splat(0, rows.type, result.shape);
  const rank = indices.shape.length;
  const windows = range(rank, rows.shape.length);
  const numbers = `#stablehlo.scatter<update_window_dims = [${windows.join(', ')}], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = ${rank}>`;
  const text = `"stablehlo.scatter"(${zeros.name}, ${indices.name}, ${rows.name}) <{scatter_dimension_numbers = ${numbers}, indices_are_sorted = false, unique_indices = false}> ${addition(rows)}`;
  return emitter.statement(text, [zeros, indices, rows], result);
};

const oneHot: Emit = (emitter, node) => {
  const { onValue, offValue, dtype } = node.attributes as {
    onValue: number;
    offValue: number;
    dtype: DataType;
  };
  const indices = emitter.value(node.inputs[0]!);
  const { shape } = emitter.describe(node.output);
  const rank = indices.shape.length;
  const spread = emitter.broadcastInto(indices, range(0, rank), shape);
  const type = elementType(dtype);
  return emitter.select(
    emitter.compare('EQ', spread, emitter.iota(rank, shape)),
    emitter.splat(onValue, type, shape),
    emitter.splat(offValue, type, shape),
  );
};

/**
 * Products of float32 in full: some devices would take shorter mantissas otherwise. Those of bfloat16 are exact in
 * float32, in which they are added up.
 */
const matMul: Emit = (emitter, node) => {
  const inputs = emitter.inputs(node);
  const flags = [node.attributes.transposeA === true, node.attributes.transposeB === true];
  const batch = broadcastShapes(inputs[0]!.shape.slice(0, -2), inputs[1]!.shape.slice(0, -2));
  const [a, b] = inputs.map((input) => emitter.broadcast(input, [...batch, ...input.shape.slice(-2)]));
  const axes = range(0, batch.length).join(', ');
  const contracted = [flags[0] ? 0 : 1, flags[1] ? 1 : 0].map((axis) => axis + batch.length);
  const precision = a!.type === 'bf16' ? '' : ', precision = [HIGHEST, HIGHEST]';
  const text = `stablehlo.dot_general ${a!.name}, ${b!.name}, batching_dims = [${axes}] x [${axes}], contracting_dims = [${contracted[0]}] x [${contracted[1]}]${precision}`;
  return emitter.statement(text, [a!, b!], emitter.describe(node.output));
};

/** The integer mixing of `dropout.ts`: products of int32 wrap around, shifts are logical. */
const dropoutMask: Emit = (emitter, node) => {
  const { rate, moduleKey } = node.attributes as { rate: number; moduleKey: number };
  const { shape } = emitter.describe(node.output);
  const { golden, multipliers, shifts } = dropoutConstants;
  const splat = (value: number) => emitter.splat(value | 0, 'i32', shape);
  const shift = (value: StablehloValue, bits: number) =>
    emitter.elementwise('shift_right_logical', value, splat(bits));
  const rows = emitter.broadcastInto(emitter.value(node.inputs[0]!), [0], shape);
  const rowKeys = emitter.elementwise('add', rows, splat(moduleKey));
  const columns = emitter.elementwise('multiply', emitter.iota(1, shape), splat(golden));
  let state = emitter.elementwise('add', rowKeys, columns);
  multipliers.forEach((multiplier, round) => {
    const mixed = emitter.elementwise('xor', state, shift(state, shifts[round]!));
    state = emitter.elementwise('multiply', mixed, splat(multiplier));
  });
  const kept = emitter.compare('GE', shift(state, 8), splat(dropThreshold(rate)));
  return emitter.select(kept, emitter.splat(1 / (1 - rate), 'f32', shape), emitter.splat(0, 'f32', shape));
};

const allReduceSum: Emit = (emitter, node) => {
  const x = emitter.value(node.inputs[0]!);
  const { replicas } = emitter;
  if (replicas === 1) return x;
  const group = Array.from({ length: replicas }, (_, replica) => replica).join(', ');
  const text = `"stablehlo.all_reduce"(${x.name}) <{replica_groups = dense<[[${group}]]> : tensor<1x${replicas}xi64>}> ${addition(x)}`;
  return emitter.statement(text, [x], x);
};

const select: Emit = (emitter, node) => {
  const [condition, whenTrue, whenFalse] = broadcasted(emitter, node);
  return emitter.select(condition!, whenTrue!, whenFalse!);
};

export const emitters: Record<OperatorName, Emit> = {
  Negate: unary('negate'),
  Exp: unary('exponential'),
  Log: unary('log'),
  Sqrt: unary('sqrt'),
  Reciprocal: (emitter, node) => {
    const x = emitter.value(node.inputs[0]!);
    return emitter.elementwise('divide', emitter.splat(1, x.type, x.shape), x);
  },
  Sigmoid: unary('logistic'),
  Tanh: unary('tanh'),
  Erf: erf,
  Abs: unary('abs'),
  Sign: unary('sign'),
  Floor: unary('floor'),
  Relu: (emitter, node) => {
    const x = emitter.value(node.inputs[0]!);
    return emitter.elementwise('maximum', x, emitter.splat(0, x.type, x.shape));
  },
  Sin: unary('sine'),
  Cos: unary('cosine'),
  LogicalNot: unary('not'),
  Cast: (emitter, node) =>
    emitter.convert(emitter.value(node.inputs[0]!), elementType(node.attributes.to as ValueType)),
  Add: binary('add'),
  Subtract: binary('subtract'),
  Multiply: binary('multiply'),
  Divide: binary('divide'),
  Maximum: binary('maximum'),
  Minimum: binary('minimum'),
  Power: binary('power'),
  Greater: comparison('GT'),
  GreaterEqual: comparison('GE'),
  Less: comparison('LT'),
  LessEqual: comparison('LE'),
  Equal: comparison('EQ'),
  NotEqual: comparison('NE'),
  LogicalAnd: binary('and'),
  LogicalOr: binary('or'),
  Select: select,
  Fill: (emitter, node) => {
    const { type, shape } = emitter.describe(node.output);
    return emitter.splat(node.attributes.value as number, type, shape);
  },
  Reshape: (emitter, node) =>
    emitter.reshape(emitter.value(node.inputs[0]!), emitter.describe(node.output).shape),
  Expand: (emitter, node) =>
    emitter.broadcast(emitter.value(node.inputs[0]!), emitter.describe(node.output).shape),
  Transpose: (emitter, node) =>
    emitter.transpose(emitter.value(node.inputs[0]!), node.attributes.permutation as number[]),
  Slice: (emitter, node) =>
    emitter.slice(
      emitter.value(node.inputs[0]!),
      emitter.sizes(node, 'begin'),
      emitter.describe(node.output).shape,
    ),
  Concat: concat,
  Pad: pad,
  Tile: tile,
  Gather: gather,
  SegmentSum: segmentSum,
  OneHot: oneHot,
  MatMul: matMul,
  ReduceSum: reduceSum,
  ReduceMean: reduceMean,
  ReduceMax: reduction('maximum', (type) => extreme(type, -1)),
  ReduceMin: reduction('minimum', (type) => extreme(type, 1)),
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  Convolution: convolution,
  ConvolutionInputGradient: convolutionInputGradient,
  ConvolutionFilterGradient: convolutionFilterGradient,
  DropoutMask: dropoutMask,
  AllReduceSum: allReduceSum,
  Barrier: (emitter, node) => {
    const [value, after] = emitter.inputs(node) as [StablehloValue, StablehloValue];
    return emitter.barrier(value, after);
  },
};
