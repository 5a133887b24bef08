import type { DataType } from '../types.ts';

export type Attributes = Readonly<Record<string, number | boolean | string | readonly number[]>>;
export type Sizes = Readonly<Record<string, readonly number[]>>;
type Shape = readonly number[];

/** What an operator means: its result's shape and type. Emitters (ONNX, later StableHLO) are keyed by the same names. */
interface Operator {
  shape(inputs: readonly Shape[], attributes: Attributes, sizes: Sizes): number[];
  dtype(inputs: readonly DataType[], attributes: Attributes): DataType;
}

const sameType = (inputs: readonly DataType[]): DataType => inputs[0]!;
const boolean = (): DataType => 'bool';
const float = (): DataType => 'float32';

/** numpy broadcasting of two shapes. */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[a.length - rank + axis] ?? 1;
    const right = b[b.length - rank + axis] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    }
    return left === 1 ? right : left;
  });
}

const unary: Operator = { shape: ([x]) => [...x!], dtype: sameType };
const binary: Operator = { shape: ([a, b]) => broadcastShapes(a!, b!), dtype: sameType };
const comparison: Operator = { ...binary, dtype: boolean };

const reduction: Operator = {
  shape: ([x], { axes, keepDims }) =>
    x!.flatMap((size, axis) => ((axes as number[]).includes(axis) ? (keepDims ? [1] : []) : [size])),
  dtype: sameType,
};

/** Output length of a convolution along one axis. */
const convolvedLength = (length: number, kernel: number, stride: number, before: number, after: number) =>
  Math.floor((length + before + after - kernel) / stride) + 1;

export const operators = {
  // One input, element by element.
  Negate: unary,
  Exp: unary,
  Log: unary,
  Sqrt: unary,
  Reciprocal: unary,
  Sigmoid: unary,
  Tanh: unary,
  Erf: unary,
  Abs: unary,
  Sign: unary,
  Floor: unary,
  Relu: unary,
  Sin: unary,
  Cos: unary,
  LogicalNot: { ...unary, dtype: boolean },
  Cast: { ...unary, dtype: (_, { to }) => to as DataType },
  // Two inputs with broadcasting.
  Add: binary,
  Subtract: binary,
  Multiply: binary,
  Divide: binary,
  Maximum: binary,
  Minimum: binary,
  Power: binary,
  Greater: comparison,
  GreaterEqual: comparison,
  Less: comparison,
  LessEqual: comparison,
  Equal: comparison,
  NotEqual: comparison,
  LogicalAnd: comparison,
  LogicalOr: comparison,
  /** condition, whenTrue, whenFalse. */
  Select: {
    shape: ([condition, a, b]) => broadcastShapes(condition!, broadcastShapes(a!, b!)),
    dtype: (inputs) => inputs[1]!,
  },
  // Shape and movement.
  /** One value everywhere: attribute `value`, sizes `shape`. */
  Fill: {
    shape: (_, __, { shape }) => [...shape!],
    dtype: (_, { dtype }) => dtype as DataType,
  },
  Reshape: { shape: (_, __, { shape }) => [...shape!], dtype: sameType },
  Expand: { shape: (_, __, { shape }) => [...shape!], dtype: sameType },
  Transpose: {
    shape: ([x], { permutation }) => (permutation as number[]).map((axis) => x![axis]!),
    dtype: sameType,
  },
  Slice: { shape: (_, __, { size }) => [...size!], dtype: sameType },
  Concat: {
    shape: (inputs, { axis }) =>
      inputs[0]!.map((size, i) => (i === axis ? inputs.reduce((sum, shape) => sum + shape[i]!, 0) : size)),
    dtype: sameType,
  },
  /** Constant padding; sizes `before` and `after`, attribute `value`. */
  Pad: {
    shape: ([x], _, { before, after }) => x!.map((size, axis) => size + before![axis]! + after![axis]!),
    dtype: sameType,
  },
  Tile: { shape: ([x], _, { repeats }) => x!.map((size, axis) => size * repeats![axis]!), dtype: sameType },
  /** Rows of the first input (axis 0) picked by int32 indices of any shape. */
  Gather: { shape: ([x, indices]) => [...indices!, ...x!.slice(1)], dtype: sameType },
  /** Sums rows of the first input (leading axes as `indices`) into `count` rows. */
  SegmentSum: {
    shape: ([x, indices], _, { count }) => [count![0]!, ...x!.slice(indices!.length)],
    dtype: sameType,
  },
  OneHot: {
    shape: ([indices], _, { depth }) => [...indices!, depth![0]!],
    dtype: (_, { dtype }) => dtype as DataType,
  },
  /**
   * The first input, computed no earlier than the second; nobody may see through it, so that what is computed of it
   * is not taken for what was computed before.
   */
  Barrier: unary,
  // Contractions and reductions.
  MatMul: {
    shape: ([a, b], { transposeA, transposeB }) => {
      const rows = a![a!.length - (transposeA ? 1 : 2)]!;
      const columns = b![b!.length - (transposeB ? 2 : 1)]!;
      const inner = [a![a!.length - (transposeA ? 2 : 1)], b![b!.length - (transposeB ? 1 : 2)]];
      if (inner[0] !== inner[1]) {
        throw new Error(
          `matrix product of [${a}] and [${b}]: inner sizes ${inner[0]} and ${inner[1]} differ`,
        );
      }
      return [...broadcastShapes(a!.slice(0, -2), b!.slice(0, -2)), rows, columns];
    },
    dtype: sameType,
  },
  ReduceSum: reduction,
  ReduceMean: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  /** Over the last axis. */
  Softmax: unary,
  /** Over the last axis. */
  LogSoftmax: unary,
  /** x [batch, height, width, in], filter [height, width, in, out], attributes strides, before, after (2 each). */
  Convolution: {
    shape: ([x, filter], { strides, before, after }) => [
      x![0]!,
      ...[0, 1].map((i) =>
        convolvedLength(
          x![1 + i]!,
          filter![i]!,
          (strides as number[])[i]!,
          (before as number[])[i]!,
          (after as number[])[i]!,
        ),
      ),
      filter![3]!,
    ],
    dtype: sameType,
  },
  /** Gradient of a convolution with respect to its input: dy, filter; attribute inputSize (height, width). */
  ConvolutionInputGradient: {
    shape: ([dy, filter], { inputSize }) => [dy![0]!, ...(inputSize as number[]), filter![2]!],
    dtype: sameType,
  },
  /** Gradient of a convolution with respect to its filter: x, dy; attribute filterSize (height, width). */
  ConvolutionFilterGradient: {
    shape: ([x, dy], { filterSize }) => [...(filterSize as number[]), x![3]!, dy![3]!],
    dtype: sameType,
  },
  /** Scaled keep-mask [rows, columns] from int32 row keys; see `dropout.ts`. */
  DropoutMask: { shape: ([rowKeys], { columns }) => [rowKeys![0]!, columns as number], dtype: float },
  /** Sum over the devices that run the function, each with values of its own. */
  AllReduceSum: unary,
} satisfies Record<string, Operator>;

export type OperatorName = keyof typeof operators;
