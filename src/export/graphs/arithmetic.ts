import type { Emitter } from '../../engine/onnxruntime/emitter.ts';
import { type OnnxType, onnxElementType } from '../../engine/onnxruntime/model-file.ts';

type NumberType = 'float32' | 'float64' | 'int64';
/** A value of the graph by name, or a number that becomes a scalar. */
type Operand = string | number;

/** Writes arithmetic on values of one type as ONNX nodes, operation by operation, each rounded as in JavaScript. */
export class Arithmetic {
  readonly #emitter: Emitter;
  readonly #type: NumberType;

  constructor(emitter: Emitter, type: NumberType) {
    this.#emitter = emitter;
    this.#type = type;
  }

  #named(operand: Operand): string {
    return typeof operand === 'number' ? this.#emitter.constant(this.#type, [operand], []) : operand;
  }

  #apply(op: string, ...operands: Operand[]): string {
    return this.#emitter.add(
      op,
      operands.map((operand) => this.#named(operand)),
    );
  }

  add = (a: Operand, b: Operand): string => this.#apply('Add', a, b);
  subtract = (a: Operand, b: Operand): string => this.#apply('Sub', a, b);
  multiply = (a: Operand, b: Operand): string => this.#apply('Mul', a, b);
  /** Integers: rounded towards zero. */
  divide = (a: Operand, b: Operand): string => this.#apply('Div', a, b);
  maximum = (a: Operand, b: Operand): string => this.#apply('Max', a, b);
  minimum = (a: Operand, b: Operand): string => this.#apply('Min', a, b);
  /** Not above `high` and not below `low`. */
  clip = (x: Operand, low: Operand, high: Operand): string => this.minimum(this.maximum(x, low), high);
  matMul = (a: Operand, b: Operand): string => this.#apply('MatMul', a, b);

  less = (a: Operand, b: Operand): string => this.#apply('Less', a, b);
  atMost = (a: Operand, b: Operand): string => this.#apply('LessOrEqual', a, b);
  greater = (a: Operand, b: Operand): string => this.#apply('Greater', a, b);
  atLeast = (a: Operand, b: Operand): string => this.#apply('GreaterOrEqual', a, b);
  equal = (a: Operand, b: Operand): string => this.#apply('Equal', a, b);
  where = (condition: string, a: Operand, b: Operand): string =>
    this.#emitter.add('Where', [condition, this.#named(a), this.#named(b)]);

  floor = (x: string): string => this.#apply('Floor', x);
  absolute = (x: string): string => this.#apply('Abs', x);
  sign = (x: string): string => this.#apply('Sign', x);
  sine = (x: string): string => this.#apply('Sin', x);
  cosine = (x: string): string => this.#apply('Cos', x);
  squareRoot = (x: string): string => this.#apply('Sqrt', x);
  /** Over the given axes, which stay with size 1. */
  mean = (x: string, axes: readonly number[]): string =>
    this.#emitter.add('ReduceMean', [x, this.#emitter.integers(axes)], { keepdims: 1 });

  /** A value in the type of this arithmetic. */
  from = (x: string): string => cast(this.#emitter, x, this.#type);
}

export const cast = (emitter: Emitter, x: string, type: OnnxType): string =>
  emitter.add('Cast', [x], { to: onnxElementType(type) });

/** The size of an axis, an int64 scalar. */
export const sizeOf = (emitter: Emitter, x: string, axis: number): string =>
  emitter.shared('Squeeze', [emitter.shared('Shape', [x], { start: axis, end: axis + 1 })]);

/** `from, ... to - 1`, int64. */
export function range(emitter: Emitter, from: Operand, to: Operand): string {
  const [start, limit, step] = [from, to, 1].map((value) =>
    typeof value === 'number' ? emitter.constant('int64', [value], []) : value,
  );
  return emitter.add('Range', [start!, limit!, step!]);
}

/** Adds axes of size 1 at the given places. */
export const unsqueeze = (emitter: Emitter, x: string, axes: readonly number[]): string =>
  emitter.add('Unsqueeze', [x, emitter.integers(axes)]);

/** To a constant shape; 0 keeps the size of an axis, -1 is what is left. */
export const reshape = (emitter: Emitter, x: string, shape: readonly number[]): string =>
  emitter.add('Reshape', [x, emitter.integers(shape)]);

export const both = (emitter: Emitter, ...conditions: readonly string[]): string =>
  conditions.reduce((all, condition) => emitter.add('And', [all, condition]));
