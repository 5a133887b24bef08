import os from 'node:os';
import * as ort from 'onnxruntime-node';
import { EngineError } from '../../errors.ts';
import { checkInputs } from '../check-inputs.ts';
import { optimize } from '../ir/passes/optimize.ts';
import { traceSymbolic } from '../ir/symbolic.ts';
import { statePrefix } from '../trace/trace.ts';
import type {
  CompiledFunction,
  CompileOptions,
  Engine,
  HostTensor,
  HostTensorMap,
  State,
  TensorFunction,
} from '../types.ts';
import { emitOnnx, externalDataFolder, outputPrefix } from './emitter.ts';

export interface OnnxruntimeOptions {
  /** Threads of one operation; results are reproducible for equal counts. Default: all cores. */
  readonly threads?: number;
}

const toOrt = ({ dtype, data, shape }: HostTensor): ort.Tensor =>
  new ort.Tensor(dtype, data as never, shape as number[]);

const toHost = (tensor: ort.Tensor): HostTensor =>
  ({ dtype: tensor.type, shape: tensor.dims, data: tensor.data }) as unknown as HostTensor;

const copyOf = ({ dtype, shape, data }: HostTensor): HostTensor => ({
  dtype,
  shape: [...shape],
  data: data.slice(),
});

/** State in host memory: two buffers an entry, so that a step reads one and writes the other. */
class OnnxruntimeState implements State {
  readonly current = new Map<string, ort.Tensor>();
  readonly #spare = new Map<string, ort.Tensor>();

  constructor(values: HostTensorMap) {
    for (const [name, value] of Object.entries(values)) this.current.set(name, toOrt(copyOf(value)));
  }

  get(name: string): ort.Tensor {
    const tensor = this.current.get(name);
    if (tensor === undefined) {
      throw new EngineError(
        'ENGINE_STATE',
        `The state has no entry "${name}"; it was created with: ${[...this.current.keys()].slice(0, 8).join(', ')} …`,
      );
    }
    return tensor;
  }

  /** A buffer that may receive the next value of an entry whose shape does not change. */
  spare(name: string): ort.Tensor {
    const known = this.#spare.get(name);
    if (known !== undefined) return known;
    const { type, dims, data } = this.get(name);
    const fresh = new (data.constructor as Float32ArrayConstructor)(data.length);
    return new ort.Tensor(type as 'float32', fresh, dims);
  }

  replace(name: string, next: ort.Tensor, old: ort.Tensor): void {
    this.current.set(name, next);
    this.#spare.set(name, old);
  }

  async read(names: readonly string[] = [...this.current.keys()]): Promise<HostTensorMap> {
    return Object.fromEntries(names.map((name) => [name, copyOf(toHost(this.get(name)))]));
  }

  async write(values: HostTensorMap): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const { dims } = this.get(name);
      if (dims.join() !== value.shape.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `The state entry "${name}" has shape [${dims}]; a value of shape [${value.shape}] was written to it.`,
        );
      }
      this.current.set(name, toOrt(copyOf(value)));
      this.#spare.delete(name);
    }
  }

  dispose(): void {
    this.current.clear();
    this.#spare.clear();
  }
}

class OnnxruntimeFunction implements CompiledFunction {
  readonly name: string;
  readonly #options: CompileOptions;
  readonly #session: ort.InferenceSession;
  readonly #stateOutputs: ReadonlySet<string>;

  constructor(options: CompileOptions, session: ort.InferenceSession) {
    this.name = options.name;
    this.#options = options;
    this.#session = session;
    this.#stateOutputs = new Set(
      session.outputNames
        .map((name) => name.slice(outputPrefix.length))
        .filter((name) => name.startsWith(statePrefix))
        .map((name) => name.slice(statePrefix.length)),
    );
  }

  async run(
    inputs: HostTensorMap,
    state?: State,
    accept: (outputs: HostTensorMap) => boolean = () => true,
  ): Promise<HostTensorMap> {
    const stateNames = Object.keys(this.#options.state ?? {});
    if (stateNames.length > 0 && !(state instanceof OnnxruntimeState)) {
      throw new EngineError(
        'ENGINE_STATE',
        `"${this.name}" needs the state that engine.createState of onnxruntime made.`,
      );
    }
    const held = state as OnnxruntimeState;
    checkInputs(this.#options, inputs);
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of Object.keys(this.#options.inputs)) feeds[name] = toOrt(inputs[name]!);
    for (const name of stateNames) feeds[name] = held.get(name);
    const fetches: Record<string, ort.Tensor | null> = Object.fromEntries(
      this.#session.outputNames.map((name) => [name, null]),
    );
    for (const name of this.#stateOutputs) fetches[outputPrefix + statePrefix + name] = held.spare(name);
    const results = await this.#session.run(feeds, fetches as ort.InferenceSession.FetchesType);
    const outputs: Record<string, HostTensor> = {};
    for (const [fullName, tensor] of Object.entries(results)) {
      const name = fullName.slice(outputPrefix.length);
      if (!name.startsWith(statePrefix)) outputs[name] = toHost(tensor);
    }
    // What is not accepted stays in the spare buffers, which the next run writes over.
    if (!accept(outputs)) return outputs;
    for (const name of this.#stateOutputs) {
      held.replace(name, fetches[outputPrefix + statePrefix + name]!, held.get(name));
    }
    return outputs;
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

/** The default engine: traced graphs as ONNX, run by onnxruntime on the CPU. */
export class OnnxruntimeEngine implements Engine {
  readonly name = 'onnxruntime';
  readonly threads: number;

  constructor(options: OnnxruntimeOptions = {}) {
    this.threads = options.threads ?? os.availableParallelism();
  }

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const graph = optimize(traceSymbolic(fn, options));
    const model = emitOnnx(graph, options.weights ?? {});
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      extra: { session: { model_external_initializers_file_folder_path: externalDataFolder } },
    });
    return new OnnxruntimeFunction(options, session);
  }

  createState(values: HostTensorMap): State {
    return new OnnxruntimeState(values);
  }
}
