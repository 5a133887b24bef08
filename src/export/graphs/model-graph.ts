import { optimize } from '../../engine/ir/passes/optimize.ts';
import { traceSymbolic } from '../../engine/ir/symbolic.ts';
import { emitGraph, type GraphInterface, type StoredWeight } from '../../engine/onnxruntime/emitter.ts';
import type { OnnxGraph, OnnxInitializer } from '../../engine/onnxruntime/model-file.ts';
import type { ModelFunction } from '../../runtime/generator-functions.ts';

/** Bytes that are read when their turn to be written comes, so that a model needs not fit into memory. */
export interface LazyBytes {
  readonly bytes: number;
  read(): Promise<Uint8Array>;
}

/** A graph before it is written: weights are still where they come from. What changes weights, changes this. */
export type ExportGraph = OnnxGraph<Uint8Array | LazyBytes>;
export type ExportInitializer = OnnxInitializer<Uint8Array | LazyBytes>;

/** A tensor of the model as float32. */
export interface ExportWeight {
  readonly shape: readonly number[];
  read(): Promise<Float32Array>;
}
export type ExportWeights = Readonly<Record<string, ExportWeight>>;

export const elementsOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const stored = ({ shape, read }: ExportWeight): StoredWeight<LazyBytes> => ({
  type: 'float32',
  shape,
  data: { bytes: elementsOf(shape) * 4, read: async () => bytesOf(await read()) },
});

/**
 * Traces a function of the model, the same that the engine compiles, into a graph of standard operators with an
 * interface of its own.
 *
 * @param weights by name, for each of the function
 */
export function modelGraph(
  name: string,
  { fn, options }: ModelFunction,
  weights: ExportWeights,
  graphInterface: GraphInterface,
): ExportGraph {
  const graph = optimize(traceSymbolic(fn, options));
  const all = Object.fromEntries(
    Object.keys(options.weights ?? {}).map((weight) => [weight, stored(weights[weight]!)]),
  );
  return { ...emitGraph(graph, all, { interface: graphInterface, standardOnly: true }), name };
}
