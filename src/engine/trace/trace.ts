import * as tf from '@tensorflow/tfjs';
import { AffectGptError, EngineError } from '../../errors.ts';
import { type Graph, GraphBuilder } from '../ir/graph.ts';
import type { CompileOptions, InputSpec, TensorFunction, TensorMap } from '../types.ts';
import { traceBackend, traceBackendName } from './backend.ts';
import { registerTraceKernels } from './kernels.ts';

/** Prefix of a new state value among the outputs of a graph. */
export const statePrefix = 'state:';

/** The shape of a spec at given sizes of the named dimensions. */
export function concreteShape(spec: InputSpec, dimensions: Record<string, number>): number[] {
  return spec.shape.map((size) => (typeof size === 'number' ? size : dimensions[size]!));
}

/** The innermost function of the model rooms on the stack, e.g. `selfAttention (model/decoder.ts:88)`. */
function modelLocation(stack: string | undefined): string | undefined {
  for (const line of stack?.split('\n') ?? []) {
    const match =
      /at (?:(\S+) )?\(?(?:file:\/\/)?(\S*?\/(?:model|encoders|fusion|lora|train|test)\/\S+?:\d+):\d+\)?/.exec(
        line,
      );
    if (match === null || line.includes('node_modules') || line.includes('/src/engine/')) continue;
    const place = match[2]!.replace(/^.*\/(model|encoders|fusion|lora|train|test)\//, '$1/');
    return match[1] === undefined ? place : `${match[1]} (${place})`;
  }
  return undefined;
}

function locate(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return modelLocation(stack);
}

/** Runs `body` with a tfjs backend that is ready at once, then goes back to the one before. Synchronous throughout. */
export function withBackend<T>(name: string, body: () => T): T {
  // Without a backend so far, the one that needs no preparation.
  if (!tf.engine().backendName) void tf.setBackend('cpu');
  const before = tf.engine().backendName;
  if (before !== name) void tf.setBackend(name);
  if (tf.engine().backendName !== name) {
    throw new EngineError('ENGINE_BACKEND', `The tfjs backend "${name}" is not ready.`);
  }
  try {
    return body();
  } finally {
    if (before !== name) void tf.setBackend(before);
  }
}

/**
 * Runs `fn` on tensors without values and returns what it asked for, at one assignment of the named dimensions.
 * @throws EngineError `TRACE_FAILED` naming the function and the place in the model
 */
export function traceFunction(
  fn: TensorFunction,
  options: CompileOptions,
  dimensions: Record<string, number>,
  withLocations = false,
): Graph {
  const backend = traceBackend();
  registerTraceKernels();
  const builder = new GraphBuilder(options.name, withLocations ? locate : undefined);
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  try {
    return withBackend(traceBackendName, () => {
      backend.builder = builder;
      tf.engine().startScope();
      try {
        const { graph } = builder;
        const symbol = (name: string, spec: InputSpec, kind: 'inputs' | 'weights') => {
          const value = builder.addValue(spec.dtype, concreteShape(spec, dimensions));
          graph[kind].set(name, value);
          return tf.engine().makeTensorFromTensorInfo(backend.describe(value));
        };
        const symbols = (
          specs: Record<string, InputSpec> | undefined,
          kind: 'inputs' | 'weights',
        ): TensorMap =>
          Object.fromEntries(
            Object.entries(specs ?? {}).map(([name, spec]) => [name, symbol(name, spec, kind)]),
          );
        const weightSpecs = Object.fromEntries(
          Object.entries(options.weights ?? {}).map(([name, source]): [string, InputSpec] => [
            name,
            { dtype: 'dtype' in source ? source.dtype : 'float32', shape: source.shape },
          ]),
        );
        const result = fn({
          inputs: symbols(options.inputs, 'inputs'),
          state: symbols(options.state, 'inputs'),
          weights: symbols(weightSpecs, 'weights'),
        });
        for (const [name, tensor] of Object.entries(result.outputs)) {
          graph.outputs.set(name, backend.graphValue(tensor));
        }
        for (const [name, tensor] of Object.entries(result.state ?? {})) {
          if (options.state?.[name] === undefined) {
            throw new EngineError(
              'TRACE_STATE',
              `The function "${options.name}" returns a new value for the state entry "${name}", which was not declared.`,
            );
          }
          graph.outputs.set(statePrefix + name, backend.graphValue(tensor));
        }
        return graph;
      } finally {
        tf.engine().endScope();
      }
    });
  } catch (error) {
    if (error instanceof AffectGptError) throw error;
    const { message, stack } = error as Error;
    const missing = /Kernel '(\w+)' not registered/.exec(message);
    const what = missing === null ? message : `the tfjs operation "${missing[1]}" has no trace kernel`;
    const where = modelLocation(stack);
    throw new EngineError(
      missing === null ? 'TRACE_FAILED' : 'TRACE_KERNEL_MISSING',
      `The function "${options.name}" cannot be compiled: ${what}${where === undefined ? '' : `, at ${where}`}.`,
      { cause: error },
    );
  } finally {
    Error.stackTraceLimit = limit;
    backend.builder = new GraphBuilder('none');
  }
}
