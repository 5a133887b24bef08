import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { EngineError } from '../../errors.ts';
import { checkInputs } from '../check-inputs.ts';
import { HostState } from '../host-state.ts';
import { optimize } from '../ir/passes/optimize.ts';
import { traceSymbolic } from '../ir/symbolic.ts';
import {
  emitGraph,
  type Locate,
  outputPrefix,
  type StoredWeight,
  storedWeight,
} from '../onnxruntime/emitter.ts';
import { encodeModel, type FileRange } from '../onnxruntime/model-file.ts';
import { statePrefix } from '../trace/trace.ts';
import type {
  CompiledFunction,
  CompileOptions,
  DataType,
  Engine,
  HostTensor,
  HostTensorMap,
  Precision,
  State,
  TensorFunction,
  WeightSource,
} from '../types.ts';
import { findOpenvino } from './library.ts';
import { MappedFile } from './mapped-file.ts';
import { openvinoOperators } from './operators.ts';
import { type Handle, type OpenvinoRuntime, openvinoRuntime } from './runtime.ts';
import { checkSquareProducts } from './self-check.ts';
import { avoidSharedSquarePacking } from './square-products.ts';

export interface OpenvinoOptions {
  /** Default: all cores. */
  readonly threads?: number;
  /** `auto` is `bf16` on processors that compute in it, else `fp32`. Default: `auto`. */
  readonly precision?: Precision | 'auto';
}

interface Output {
  readonly name: string;
  readonly dtype: DataType;
  readonly rank: number;
}

class OpenvinoFunction implements CompiledFunction {
  readonly name: string;
  readonly #options: CompileOptions;
  readonly #runtime: OpenvinoRuntime;
  readonly #compiled: Handle;
  /** What its weights lie in. */
  readonly #files: readonly MappedFile[];
  readonly #request: Handle;
  readonly #outputs: readonly Output[];
  /** Entries of the state that have new values. */
  readonly #updated: readonly string[];
  /** Runs one after the other: there is one request. */
  #last: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  constructor(
    options: CompileOptions,
    runtime: OpenvinoRuntime,
    { compiled, files }: { readonly compiled: Handle; readonly files: readonly MappedFile[] },
    outputs: readonly Output[],
  ) {
    this.name = options.name;
    this.#options = options;
    this.#runtime = runtime;
    this.#compiled = compiled;
    this.#files = files;
    this.#request = runtime.make('ov_compiled_model_create_infer_request', compiled);
    this.#outputs = outputs.filter(({ name }) => !name.startsWith(statePrefix));
    this.#updated = outputs.flatMap(({ name }) =>
      name.startsWith(statePrefix) ? [name.slice(statePrefix.length)] : [],
    );
  }

  run(
    inputs: HostTensorMap,
    state?: State,
    accept: (outputs: HostTensorMap) => boolean = () => true,
  ): Promise<HostTensorMap> {
    const result = this.#last.then(() => this.#run(inputs, state, accept));
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(
    inputs: HostTensorMap,
    state: State | undefined,
    accept: (outputs: HostTensorMap) => boolean,
  ): Promise<HostTensorMap> {
    const held = HostState.given('openvino', this.#options, state);
    checkInputs(this.#options, inputs);
    const runtime = this.#runtime;
    const tensors: Handle[] = [];
    const bind = (name: string, tensor: HostTensor): void => {
      const handle = runtime.wrap(tensor);
      tensors.push(handle);
      runtime.setTensor(this.#request, name, handle);
    };
    try {
      for (const name of Object.keys(this.#options.inputs)) bind(name, inputs[name]!);
      for (const name of Object.keys(this.#options.state ?? {})) bind(name, held.get(name));
      const next = this.#updated.map((name) => [name, held.spare(name)] as const);
      for (const [name, tensor] of next) bind(outputPrefix + statePrefix + name, tensor);
      await runtime.infer(this.#request);
      const outputs: Record<string, HostTensor> = {};
      for (const { name, dtype, rank } of this.#outputs) {
        outputs[name] = runtime.read(this.#request, outputPrefix + name, dtype, rank);
      }
      // What is not accepted stays in the spare buffers, which the next run writes over.
      if (accept(outputs)) for (const [name, tensor] of next) held.replace(name, tensor);
      return outputs;
    } finally {
      for (const tensor of tensors) runtime.free('ov_tensor_free', tensor);
    }
  }

  async dispose(): Promise<void> {
    await this.#last;
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#runtime.free('ov_infer_request_free', this.#request);
    this.#runtime.free('ov_compiled_model_free', this.#compiled);
    for (const file of this.#files) file.dispose();
  }
}

/** The location by which OpenVINO takes external data of a model from the memory of the process; the offset is its address. */
const memoryLocation = '*/_ORT_MEM_ADDR_/*';

/**
 * Weights as a model names them. Those of files are mapped into memory and stay there as long as `files`: external data
 * is read below the folder of a model only, and links are not followed.
 */
function storeWeights(
  weights: Readonly<Record<string, WeightSource>>,
  files: Map<string, MappedFile>,
): Record<string, StoredWeight<Uint8Array | FileRange>> {
  const inMemory: Locate = ({ file, begin }) => {
    const mapped = files.get(file) ?? new MappedFile(file);
    files.set(file, mapped);
    return { location: memoryLocation, offset: Number(mapped.address) + begin };
  };
  return Object.fromEntries(
    Object.entries(weights).map(([name, source]) => [name, storedWeight(source, inMemory)]),
  );
}

/** Traced graphs as ONNX, run by OpenVINO on the processor: in bf16 where the processor has it. */
export class OpenvinoEngine implements Engine {
  readonly name = 'openvino';
  readonly threads: number;
  readonly precision: Precision;
  readonly runtime: OpenvinoRuntime;
  #checked: Promise<void> | undefined;

  /**
   * @throws EngineError `ENGINE_PACKAGE_MISSING`, `ENGINE_PLUGIN_MISSING`, `ENGINE_PLUGIN_BROKEN`, `ENGINE_PRECISION`
   *   where bf16 is asked for and the processor does not compute in it
   */
  constructor({ threads = os.availableParallelism(), precision = 'auto' }: OpenvinoOptions = {}) {
    this.runtime = openvinoRuntime(findOpenvino());
    this.threads = threads;
    const hasBfloat16 = this.runtime.property('OPTIMIZATION_CAPABILITIES').split(' ').includes('BF16');
    if (precision === 'bf16' && !hasBfloat16) {
      throw new EngineError(
        'ENGINE_PRECISION',
        `engine.precision is bf16, but ${this.runtime.property('FULL_DEVICE_NAME')} does not compute in it (it takes AVX512-BF16 or AMX). Set engine.precision to fp32 or auto.`,
      );
    }
    this.precision = precision === 'auto' ? (hasBfloat16 ? 'bf16' : 'fp32') : precision;
  }

  /** @throws EngineError `ENGINE_WRONG` where the library multiplies wrongly, see `checkSquareProducts` */
  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    this.#checked ??= checkSquareProducts(
      (check, checkOptions) => this.#compile(check, checkOptions),
      this.precision,
    );
    await this.#checked;
    return this.#compile(fn, options);
  }

  async #compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const graph = avoidSharedSquarePacking(optimize(traceSymbolic(fn, options)));
    const folder = await mkdtemp(path.join(os.tmpdir(), 'affectgpt-openvino-'));
    const files = new Map<string, MappedFile>();
    try {
      const weights = storeWeights(options.weights ?? {}, files);
      const model = path.join(folder, 'model.onnx');
      await writeFile(
        model,
        encodeModel(emitGraph(graph, weights, { standardOnly: true, operators: openvinoOperators })),
      );
      const compiled = await this.runtime.compile(model, {
        INFERENCE_PRECISION_HINT: this.precision === 'bf16' ? 'bf16' : 'f32',
        INFERENCE_NUM_THREADS: String(this.threads),
        PERFORMANCE_HINT: 'LATENCY',
        NUM_STREAMS: '1',
      });
      const outputs = [...graph.outputs].map(([name, value]) => {
        const { dtype, shape } = graph.values[value]!;
        return { name, dtype: dtype as DataType, rank: shape.length };
      });
      return new OpenvinoFunction(options, this.runtime, { compiled, files: [...files.values()] }, outputs);
    } catch (error) {
      for (const file of files.values()) file.dispose();
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  createState(values: HostTensorMap): State {
    return new HostState(this.name, values);
  }
}
