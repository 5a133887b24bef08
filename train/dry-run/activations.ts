import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { type Dimensions, evaluateSize } from '../../src/engine/ir/sizes.ts';
import { type SymbolicGraph, traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { statePrefix } from '../../src/engine/trace/trace.ts';
import type {
  CompiledFunction,
  CompileOptions,
  Engine,
  HostTensor,
  HostTensorMap,
  State,
  TensorFunction,
} from '../../src/engine/types.ts';
import { type StepOptions, TrainStep } from '../step.ts';

/** Zeros in the shapes of a graph's plain results, all of which are numbers. */
function zeroOutputs(graph: SymbolicGraph): HostTensorMap {
  return Object.fromEntries(
    [...graph.outputs].map(([name, value]): [string, HostTensor] => {
      const shape = graph.values[value]!.shape.map((size) => size.coefficient);
      const length = name.startsWith(statePrefix) ? 0 : shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: 'float32', shape, data: new Float32Array(length) }];
    }),
  );
}

/** An engine that traces what it is to compile and computes nothing: graphs from shapes alone. */
class TracingEngine implements Engine {
  readonly name = 'tracing';
  readonly graphs: SymbolicGraph[] = [];

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const graph = optimize(traceSymbolic(fn, options));
    this.graphs.push(graph);
    return { name: options.name, run: async () => zeroOutputs(graph), dispose: async () => {} };
  }

  createState(): State {
    return { read: async () => ({}), write: async () => {}, dispose: () => {} };
  }
}

/**
 * The graphs of an optimizer step, as an engine that compiles gets them: one, or two where micro-batches are added up.
 * Of `options.weights` only the shapes are looked at.
 */
export async function stepGraphs(
  options: StepOptions,
  { accumulate }: { readonly accumulate: boolean },
): Promise<readonly SymbolicGraph[]> {
  const engine = new TracingEngine();
  const step = new TrainStep(engine, options);
  await step.run(engine.createState(), [{}], {
    ...{ supervisedTokens: 1, learningRate: 0, step: 1 },
    accumulate,
  });
  return engine.graphs;
}

/**
 * The most bytes of intermediate values that are needed at the same time when the nodes run in their order and each
 * value goes with its last use: what backward needs of forward, above all. Inputs, state, weights and the results
 * themselves are not counted.
 *
 * @param dimensions sizes of the named dimensions
 */
export function peakActivationBytes(graph: SymbolicGraph, dimensions: Dimensions): number {
  // A reshaped value is the same memory under another name.
  const owner = new Map<number, number>();
  const ownerOf = (value: number): number => owner.get(value) ?? value;
  const lastUse = new Map<number, number>();
  graph.nodes.forEach(({ op, inputs, output }, position) => {
    for (const input of inputs) lastUse.set(ownerOf(input), position);
    if (op === 'Reshape') owner.set(output, ownerOf(inputs[0]!));
  });
  const results = new Set([...graph.outputs.values()].map(ownerOf));
  const bytesOf = (value: number): number => {
    const { dtype, shape } = graph.values[value]!;
    return shape.reduce(
      (product, size) => product * evaluateSize(size, dimensions),
      dtype === 'bool' ? 1 : 4,
    );
  };
  const live = new Map<number, number>();
  let now = 0;
  let peak = 0;
  graph.nodes.forEach(({ inputs, output }, position) => {
    if (ownerOf(output) === output && !results.has(output)) {
      const bytes = bytesOf(output);
      live.set(output, bytes);
      now += bytes;
      peak = Math.max(peak, now);
    }
    for (const value of new Set([...inputs, output].map(ownerOf))) {
      if ((lastUse.get(value) ?? position) > position) continue;
      now -= live.get(value) ?? 0;
      live.delete(value);
    }
  });
  return peak;
}
