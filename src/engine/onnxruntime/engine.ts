import os from 'node:os';
import * as ort from 'onnxruntime-node';
import { checkInputs } from '../check-inputs.ts';
import { collectGarbage } from '../collect-garbage.ts';
import { freeBuffers } from '../free-buffers.ts';
import { HostState } from '../host-state.ts';
import { optimize } from '../ir/passes/optimize.ts';
import { rematerialise } from '../ir/passes/rematerialise.ts';
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
import { emitOnnxApart, externalDataFolder, outputPrefix } from './emitter.ts';
import { leanBytes, leanShare, sharedWeightBytes } from './memory.ts';
import { createSession } from './optimized-models.ts';
import { type Profile, ProfileFolder } from './profile.ts';
import { widenedWeights } from './widened-weights.ts';

export interface OnnxruntimeOptions {
  /** Threads of one operation; results are reproducible for equal counts. Default: all cores. */
  readonly threads?: number;
  /** Whether the time of each operator is recorded, for `takeProfile`; runs get slower by it. Default: false. */
  readonly profile?: boolean;
  /** Bytes of weights used several times above which memory goes before time. Default: `leanBytes`. */
  readonly leanBytes?: number;
}

const toOrt = ({ dtype, data, shape }: HostTensor): ort.Tensor =>
  new ort.Tensor(dtype, data as never, shape as number[]);

const toHost = (tensor: ort.Tensor): HostTensor =>
  ({ dtype: tensor.type, shape: tensor.dims, data: tensor.data }) as unknown as HostTensor;

class OnnxruntimeFunction implements CompiledFunction {
  readonly name: string;
  readonly #options: CompileOptions;
  readonly #session: ort.InferenceSession;
  readonly #stateOutputs: ReadonlySet<string>;
  /** Whether memory goes before time. */
  readonly #lean: boolean;
  #profileFolder: ProfileFolder | undefined;

  constructor(
    options: CompileOptions,
    session: ort.InferenceSession,
    { lean, profileFolder }: { readonly lean: boolean; readonly profileFolder: ProfileFolder | undefined },
  ) {
    this.name = options.name;
    this.#options = options;
    this.#session = session;
    this.#lean = lean;
    this.#profileFolder = profileFolder;
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
    const held = HostState.given('onnxruntime', this.#options, state);
    checkInputs(this.#options, inputs);
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of Object.keys(this.#options.inputs)) feeds[name] = toOrt(inputs[name]!);
    for (const name of Object.keys(this.#options.state ?? {})) feeds[name] = toOrt(held.get(name));
    // onnxruntime-node makes arrays of its own for results, also where it is given buffers to write to.
    const results = await this.#session.run(feeds);
    const outputs: Record<string, HostTensor> = {};
    for (const [fullName, tensor] of Object.entries(results)) {
      const name = fullName.slice(outputPrefix.length);
      if (!name.startsWith(statePrefix)) outputs[name] = toHost(tensor);
    }
    const isAccepted = accept(outputs);
    const unneeded: HostTensor[] = [];
    for (const name of this.#stateOutputs) {
      const next = toHost(results[outputPrefix + statePrefix + name]!);
      unneeded.push(isAccepted ? held.get(name) : next);
      if (isAccepted) held.set(name, next);
    }
    // As garbage they would be there for most of the next run.
    if (this.#lean) freeBuffers(unneeded.map(({ data }) => data.buffer as ArrayBuffer));
    return outputs;
  }

  /** Ends the recording and gives what it says; undefined where nothing is recorded (any more). */
  async takeProfile(): Promise<Profile | undefined> {
    const folder = this.#profileFolder;
    if (folder === undefined) return undefined;
    this.#profileFolder = undefined;
    this.#session.endProfiling();
    return folder.take();
  }

  async dispose(): Promise<void> {
    await this.#session.release();
    await this.#profileFolder?.remove();
  }
}

/** The default engine: traced graphs as ONNX, run by onnxruntime on the CPU. */
export class OnnxruntimeEngine implements Engine {
  readonly name = 'onnxruntime';
  readonly threads: number;
  readonly #profile: boolean;
  readonly #leanBytes: number;
  readonly #profiled: OnnxruntimeFunction[] = [];

  constructor(options: OnnxruntimeOptions = {}) {
    this.threads = options.threads ?? os.availableParallelism();
    this.#profile = options.profile ?? false;
    this.#leanBytes = options.leanBytes ?? leanBytes;
  }

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const graph = optimize(traceSymbolic(fn, options));
    const shared = sharedWeightBytes(graph);
    const lean = shared > this.#leanBytes;
    const weights = await widenedWeights(options.weights ?? {});
    const { model, apart } = emitOnnxApart(lean ? rematerialise(graph, leanShare * shared) : graph, weights);
    const profileFolder = this.#profile ? await ProfileFolder.create() : undefined;
    const sessionOptions: ort.InferenceSession.SessionOptions = {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.threads,
      interOpNumThreads: 1,
      // Of 10,000 nodes the higher levels take a second, and make training steps no faster.
      graphOptimizationLevel: lean ? 'basic' : 'all',
      logSeverityLevel: 3,
      externalData: apart,
      // Planned memory is a second block beside the one that the first run of a size has grown.
      enableMemPattern: !lean,
      ...(profileFolder === undefined
        ? {}
        : { enableProfiling: true, profileFilePrefix: profileFolder.prefix }),
      extra: {
        session: {
          model_external_initializers_file_folder_path: externalDataFolder,
          disable_prepacking: lean ? '1' : '0',
        },
        // It would join again what is computed twice on purpose. Ours has been done before.
        optimization: lean ? { disable_specified_optimizers: 'CommonSubexpressionElimination' } : {},
      },
    };
    const session = await createSession({
      model,
      options: sessionOptions,
      weightFiles: [
        ...new Set(Object.values(weights).flatMap((source) => ('file' in source ? source.file : []))),
      ],
      weightData: apart.map(({ data }) => data),
    });
    const compiled = new OnnxruntimeFunction(options, session, { lean, profileFolder });
    if (this.#profile) this.#profiled.push(compiled);
    // Traces are garbage from here on; as part of a large heap they would stay for many steps.
    if (lean) collectGarbage();
    return compiled;
  }

  /** Where the time of each function compiled so far goes, by name; ends the recording. Needs the option `profile`. */
  async takeProfiles(): Promise<Record<string, Profile>> {
    const profiles: Record<string, Profile> = {};
    for (const compiled of this.#profiled.splice(0)) {
      const profile = await compiled.takeProfile();
      if (profile !== undefined) profiles[compiled.name] = profile;
    }
    return profiles;
  }

  createState(values: HostTensorMap): State {
    return new HostState(this.name, values);
  }
}
