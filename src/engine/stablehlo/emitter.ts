import type { Constant, ValueType } from '../ir/graph.ts';
import { type Dimensions, evaluateSize } from '../ir/sizes.ts';
import type { SymbolicGraph, SymbolicNode } from '../ir/symbolic.ts';
import { emitters } from './operators.ts';

/** Element types of StableHLO that this engine uses. */
export type ElementType = 'f32' | 'f16' | 'bf16' | 'i32' | 'i1';

/** A value of the module: its name in the text, such as `%7`, its element type and its sizes. */
export interface StablehloValue {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

export const elementType = (dtype: ValueType): ElementType =>
  (({ float32: 'f32', bfloat16: 'bf16', int32: 'i32', bool: 'i1' }) as const)[dtype];

/** `tensor<2x3xf32>` */
export const tensorType = ({ type, shape }: Pick<StablehloValue, 'type' | 'shape'>): string =>
  `tensor<${shape.map((size) => `${size}x`).join('')}${type}>`;

/** A number as the text form has it; what has no decimal form (infinities, NaN) by its bits. */
export function literal(value: number, type: ElementType): string {
  if (type === 'i1') return value ? 'true' : 'false';
  if (type === 'i32') return String(Math.trunc(value) | 0);
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded) && !Object.is(rounded, -0)) return rounded.toExponential(8);
  const bits = new Uint32Array(Float32Array.of(rounded).buffer)[0]!;
  const hex = bits.toString(16).toUpperCase().padStart(8, '0');
  return `0x${type === 'bf16' ? hex.slice(0, 4) : hex}`;
}

/** Writes the nodes of a graph, at given sizes, as the statements of a StableHLO function. */
export class Emitter {
  readonly lines: string[] = [];
  /** Devices that run the function at once. */
  readonly replicas: number;
  readonly #graph: SymbolicGraph;
  readonly #dimensions: Dimensions;
  readonly #values = new Map<number, StablehloValue>();
  readonly #constants = new Map<string, StablehloValue>();
  #count = 0;

  constructor(graph: SymbolicGraph, dimensions: Dimensions, replicas: number) {
    this.#graph = graph;
    this.#dimensions = dimensions;
    this.replicas = replicas;
  }

  /** What a graph value is called; constants are written at first use. */
  value(id: number): StablehloValue {
    const known = this.#values.get(id);
    if (known !== undefined) return known;
    const data = this.#graph.constants.get(id);
    if (data === undefined) throw new Error(`value ${id} is used before it is computed`);
    const { type, shape } = this.describe(id);
    const value = this.array(data, type, shape);
    this.#values.set(id, value);
    return value;
  }

  setValue(id: number, value: StablehloValue): void {
    this.#values.set(id, value);
  }

  inputs(node: SymbolicNode): StablehloValue[] {
    return node.inputs.map((id) => this.value(id));
  }

  /** Element type and sizes of a graph value at the emitter's dimensions. */
  describe(id: number): { type: ElementType; shape: number[] } {
    const { dtype, shape } = this.#graph.values[id]!;
    return { type: elementType(dtype), shape: shape.map((size) => evaluateSize(size, this.#dimensions)) };
  }

  /** The integers that a node carries under `key`. */
  sizes(node: SymbolicNode, key: string): number[] {
    return node.sizes[key]!.map((size) => evaluateSize(size, this.#dimensions));
  }

  /** Appends `%n = text : signature` and returns its result. */
  statement(
    text: string,
    inputs: readonly StablehloValue[],
    result: { readonly type: ElementType; readonly shape: readonly number[] },
  ): StablehloValue {
    const name = `%${this.#count++}`;
    this.lines.push(
      `${name} = ${text} : (${inputs.map((input) => tensorType(input)).join(', ')}) -> ${tensorType(result)}`,
    );
    return { name, type: result.type, shape: result.shape };
  }

  /** One value everywhere; written once for equal arguments. */
  splat(value: number, type: ElementType, shape: readonly number[] = []): StablehloValue {
    return this.#constant(literal(value, type), type, shape);
  }

  /** A constant with its values, as bytes in hexadecimal. */
  array(data: Constant, type: ElementType, shape: readonly number[]): StablehloValue {
    if (data.length === 1 || data.every((value) => Object.is(value, data[0]))) {
      return this.splat(data[0] ?? 0, type, shape);
    }
    if (type === 'i1') {
      // The bytes of booleans are packed in some versions of the text form and not in others.
      const numbers = this.array(Int32Array.from(data), 'i32', shape);
      return this.compare('NE', numbers, this.splat(0, 'i32', shape));
    }
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return this.#constant(`"0x${bytes.toString('hex').toUpperCase()}"`, type, shape);
  }

  #constant(text: string, type: ElementType, shape: readonly number[]): StablehloValue {
    const written = `stablehlo.constant dense<${text}> : ${tensorType({ type, shape })}`;
    const known = this.#constants.get(written);
    if (known !== undefined) return known;
    const value = { name: `%${this.#count++}`, type, shape };
    this.lines.push(`${value.name} = ${written}`);
    this.#constants.set(written, value);
    return value;
  }

  /** An operation whose result has the type and sizes of its first input. */
  elementwise(op: string, ...inputs: StablehloValue[]): StablehloValue {
    return this.statement(
      `"stablehlo.${op}"(${inputs.map(({ name }) => name).join(', ')})`,
      inputs,
      inputs[0]!,
    );
  }

  compare(direction: string, a: StablehloValue, b: StablehloValue): StablehloValue {
    const kind = a.type === 'i32' ? 'SIGNED' : a.type === 'i1' ? 'UNSIGNED' : 'FLOAT';
    const text = `stablehlo.compare ${direction}, ${a.name}, ${b.name}, ${kind}`;
    return this.statement(text, [a, b], { type: 'i1', shape: a.shape });
  }

  select(condition: StablehloValue, whenTrue: StablehloValue, whenFalse: StablehloValue): StablehloValue {
    const inputs = [condition, whenTrue, whenFalse];
    const text = `"stablehlo.select"(${inputs.map(({ name }) => name).join(', ')})`;
    return this.statement(text, inputs, whenTrue);
  }

  convert(value: StablehloValue, type: ElementType): StablehloValue {
    if (value.type === type) return value;
    return this.statement(`stablehlo.convert ${value.name}`, [value], { type, shape: value.shape });
  }

  reshape(value: StablehloValue, shape: readonly number[]): StablehloValue {
    if (value.shape.join() === shape.join()) return value;
    return this.statement(`stablehlo.reshape ${value.name}`, [value], { type: value.type, shape });
  }

  transpose(value: StablehloValue, permutation: readonly number[]): StablehloValue {
    const shape = permutation.map((axis) => value.shape[axis]!);
    const text = `stablehlo.transpose ${value.name}, dims = [${permutation.join(', ')}]`;
    return this.statement(text, [value], { type: value.type, shape });
  }

  /** Axis i of `value` becomes axis `axes[i]` of the result; axes of size 1 are repeated. */
  broadcastInto(value: StablehloValue, axes: readonly number[], shape: readonly number[]): StablehloValue {
    const text = `stablehlo.broadcast_in_dim ${value.name}, dims = [${axes.join(', ')}]`;
    return this.statement(text, [value], { type: value.type, shape });
  }

  /** numpy broadcasting to `shape`. */
  broadcast(value: StablehloValue, shape: readonly number[]): StablehloValue {
    if (value.shape.join() === shape.join()) return value;
    const offset = shape.length - value.shape.length;
    return this.broadcastInto(
      value,
      value.shape.map((_, axis) => axis + offset),
      shape,
    );
  }

  /** `value` again, which the compiler takes for another one and computes no earlier than `after`. */
  barrier(value: StablehloValue, after: StablehloValue): StablehloValue {
    const name = `%${this.#count++}`;
    const types = `${tensorType(value)}, ${tensorType(after)}`;
    this.lines.push(`${name}:2 = stablehlo.optimization_barrier ${value.name}, ${after.name} : ${types}`);
    return { ...value, name: `${name}#0` };
  }

  slice(value: StablehloValue, begin: readonly number[], size: readonly number[]): StablehloValue {
    if (value.shape.join() === size.join()) return value;
    const ranges = begin.map((start, axis) => `${start}:${start + size[axis]!}`).join(', ');
    return this.statement(`stablehlo.slice ${value.name} [${ranges}]`, [value], {
      type: value.type,
      shape: size,
    });
  }

  iota(axis: number, shape: readonly number[]): StablehloValue {
    const name = `%${this.#count++}`;
    this.lines.push(`${name} = stablehlo.iota dim = ${axis} : ${tensorType({ type: 'i32', shape })}`);
    return { name, type: 'i32', shape };
  }

  /** `op` (add, maximum, minimum) over `axes`, which the result does not have. */
  reduce(op: string, initial: number, value: StablehloValue, axes: readonly number[]): StablehloValue {
    const start = this.splat(initial, value.type);
    const shape = value.shape.filter((_, axis) => !axes.includes(axis));
    const text = `stablehlo.reduce(${value.name} init: ${start.name}) applies stablehlo.${op} across dimensions = [${axes.join(', ')}]`;
    return this.statement(text, [value, start], { type: value.type, shape });
  }

  node(node: SymbolicNode): void {
    this.setValue(node.output, emitters[node.op](this, node));
  }
}
