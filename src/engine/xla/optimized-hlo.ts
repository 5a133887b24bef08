import type { HloComputation, HloInstruction, HloModule, HloShape } from './hlo-module.ts';

/** What kernels of one kind do, all of them together. */
export interface KernelSum {
  readonly count: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Of matrix products, by their sizes; 0 for others. */
  readonly flops: number;
}

/** One launch. */
export interface Kernel {
  /** `cublas`, `triton gemm`, `fusion`, `copy`, or the operation that stands alone. */
  readonly kind: string;
  readonly isProduct: boolean;
  readonly name: string;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly flops: number;
  /** How often it runs: more than once within a loop. */
  readonly times: number;
}

/** Bytes of an element by number of XLA's `PrimitiveType`; what has none (tuples, tokens) takes no memory. */
const elementBytes: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 2, 8: 4, 9: 8, 10: 2, 11: 4, 12: 8, 15: 8, 16: 2, 18: 16 },
  ...{ 19: 1, 20: 1 },
};

const elementCount = ({ dimensions }: HloShape): number =>
  dimensions.reduce((product, size) => product * size, 1);

const bytesOf = (shape: HloShape): number =>
  shape.elements.length > 0
    ? shape.elements.reduce((sum, element) => sum + bytesOf(element), 0)
    : elementCount(shape) * (elementBytes[shape.type] ?? 0);

/** Operations that only name memory. */
const noKernels = new Set([
  ...['parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all', 'partition-id'],
  ...['replica-id', 'opt-barrier', 'async-start', 'async-done', 'async-update', 'add-dependency'],
]);
/** Operations that read of an operand only what they give. */
const picks = new Set(['slice', 'dynamic-slice', 'gather']);
const products = new Set(['dot', 'convolution']);

class Counter {
  readonly kernels: Kernel[] = [];
  readonly #module: HloModule;

  constructor(module: HloModule) {
    this.#module = module;
  }

  computation(id: number, times: number): void {
    const computation = this.#module.computations.get(id);
    if (computation === undefined) throw new Error(`the compiled module has no computation ${id}`);
    const byId = new Map(computation.instructions.map((instruction) => [instruction.id, instruction]));
    for (const instruction of computation.instructions) this.#instruction(instruction, byId, times);
  }

  #instruction(instruction: HloInstruction, byId: ReadonlyMap<number, HloInstruction>, times: number): void {
    const { opcode, calls, operands, target, shape, name } = instruction;
    if (opcode === 'call' || opcode === 'async-start') {
      for (const called of calls) this.computation(called, times);
      return;
    }
    if (opcode === 'while') {
      for (const called of calls) this.computation(called, times * tripCount(instruction));
      return;
    }
    if (opcode === 'conditional') {
      // One of them runs; which one is not known before.
      if (calls[0] !== undefined) this.computation(calls[0], times);
      return;
    }
    if (noKernels.has(opcode)) return;
    const inputs = operands.map((operand) => byId.get(operand)!);
    const add = (kernel: Omit<Kernel, 'name' | 'times'>): void =>
      void this.kernels.push({ ...kernel, name, times });
    if (opcode === 'custom-call') {
      const isProduct = /cublas|cudnn|gemm|matmul/i.test(target);
      // Beside the result stands the workspace.
      const result = shape.elements[0] ?? shape;
      add({
        ...{ kind: isProduct ? 'cublas' : target, isProduct },
        bytesRead: sum(inputs.map((input) => bytesOf(input.shape))),
        bytesWritten: bytesOf(result),
        flops: isProduct ? 2 * elementCount(result) * contractedSize(instruction, inputs[0]) : 0,
      });
      return;
    }
    const fused = opcode === 'fusion' ? this.#module.computations.get(calls[0]!) : undefined;
    if (fused !== undefined) {
      const inner = this.#within(fused);
      const flops = sum(inner.map(({ instruction: one, computation }) => productFlops(one, computation)));
      const isProduct = flops > 0;
      add({
        ...{ kind: isProduct ? 'triton gemm' : 'fusion', isProduct, flops },
        bytesRead: sum(inputs.map((input, i) => readBytes(fused, i, bytesOf(input.shape)))),
        bytesWritten: writtenBytes(fused, shape),
      });
      return;
    }
    add({
      ...{ kind: opcode, isProduct: products.has(opcode), flops: directFlops(instruction, inputs) },
      bytesRead: picks.has(opcode) ? bytesOf(shape) : sum(inputs.map((input) => bytesOf(input.shape))),
      bytesWritten: bytesOf(shape),
    });
  }

  /** Everything that a fused computation runs, with what it calls. */
  #within(computation: HloComputation): { instruction: HloInstruction; computation: HloComputation }[] {
    return computation.instructions.flatMap((instruction) => [
      { instruction, computation },
      ...(instruction.opcode === 'fusion'
        ? this.#within(this.#module.computations.get(instruction.calls[0]!)!)
        : []),
    ]);
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** How often a loop runs, as the compiler notes it; once where it does not know. */
const tripCount = ({ backendConfig }: HloInstruction): number =>
  Number(/"known_trip_count":\{"n":"(\d+)"/.exec(backendConfig)?.[1] ?? 1);

/** The number of products that are summed for each element of the result of a cuBLAS call. */
function contractedSize({ backendConfig }: HloInstruction, left: HloInstruction | undefined): number {
  const axes = /"lhs_contracting_dimensions":\[([^\]]*)\]/.exec(backendConfig)?.[1];
  if (axes === undefined || left === undefined) return 0;
  const list = axes.split(',').map((axis) => Number(axis.replaceAll('"', '')));
  return list.reduce((product, axis) => product * left.shape.dimensions[axis]!, 1);
}

const directFlops = ({ opcode, shape, contracted }: HloInstruction, inputs: readonly HloInstruction[]) =>
  opcode === 'dot'
    ? 2 *
      elementCount(shape) *
      contracted.reduce((product, axis) => product * inputs[0]!.shape.dimensions[axis]!, 1)
    : 0;

function productFlops(instruction: HloInstruction, { instructions }: HloComputation): number {
  if (instruction.opcode !== 'dot') return 0;
  const left = instructions.find(({ id }) => id === instruction.operands[0])!;
  return directFlops(instruction, [left]);
}

/** What a fusion reads of its argument `index`: all of it, unless every use picks a part. */
function readBytes({ instructions }: HloComputation, index: number, whole: number): number {
  const parameter = instructions.find(({ opcode, parameter: at }) => opcode === 'parameter' && at === index);
  if (parameter === undefined) return whole;
  const users = instructions.filter(({ operands }) => operands.includes(parameter.id));
  if (users.length === 0) return 0;
  const parts = users.map((user) => {
    if (picks.has(user.opcode) && user.operands[0] === parameter.id) return bytesOf(user.shape);
    // What is written over in part is not read.
    const isTarget = user.opcode === 'dynamic-update-slice' || user.opcode === 'scatter';
    return isTarget && user.operands[0] === parameter.id ? 0 : whole;
  });
  return Math.min(whole, sum(parts));
}

/** What a fusion writes: its result, or the part that an update in place changes. */
function writtenBytes({ instructions, root }: HloComputation, shape: HloShape): number {
  const last = instructions.find(({ id }) => id === root);
  if (last?.opcode !== 'dynamic-update-slice') return bytesOf(shape);
  const update = instructions.find(({ id }) => id === last.operands[1]);
  return update === undefined ? bytesOf(shape) : bytesOf(update.shape);
}

/** Every launch of a compiled module, with what it reads and writes of device memory if nothing stays in a cache. */
export function listKernels(module: HloModule): Kernel[] {
  const counter = new Counter(module);
  counter.computation(module.entry, 1);
  return counter.kernels;
}

/** Sums by kind, the one that moves most bytes first. */
export function sumKernels(kernels: readonly Kernel[]): Map<string, KernelSum> {
  const sums = new Map<string, KernelSum>();
  for (const { kind, bytesRead, bytesWritten, flops, times } of kernels) {
    const before = sums.get(kind) ?? { count: 0, bytesRead: 0, bytesWritten: 0, flops: 0 };
    sums.set(kind, {
      count: before.count + times,
      bytesRead: before.bytesRead + times * bytesRead,
      bytesWritten: before.bytesWritten + times * bytesWritten,
      flops: before.flops + times * flops,
    });
  }
  const moved = ({ bytesRead, bytesWritten }: KernelSum): number => bytesRead + bytesWritten;
  return new Map([...sums].sort(([, a], [, b]) => moved(b) - moved(a)));
}
