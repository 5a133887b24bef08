import { statSync } from 'node:fs';
import os from 'node:os';
import { EngineError } from '../../errors.ts';
import { checkInputs } from '../check-inputs.ts';
import { CompileCache } from '../compile-cache.ts';
import { applyBfloat16 } from '../ir/passes/bfloat16.ts';
import { optimize } from '../ir/passes/optimize.ts';
import { recomputeSegments } from '../ir/passes/recompute.ts';
import type { Dimensions } from '../ir/sizes.ts';
import { type SymbolicGraph, traceSymbolic } from '../ir/symbolic.ts';
import { emitStablehlo, type StablehloModule } from '../stablehlo/module.ts';
import { concreteShape, statePrefix } from '../trace/trace.ts';
import type {
  CompiledFunction,
  CompileOptions,
  Engine,
  HostTensorMap,
  InputSpec,
  Precision,
  State,
  TensorFunction,
} from '../types.ts';
import { type DeviceBuffer, type Executable, type XlaClient, xlaClient } from './client.ts';
import { executablesFolder } from './executables-folder.ts';
import { findXlaPlugin, pluginVariable } from './plugin.ts';
import { exceedsMemory, type RecomputeSetting } from './recomputation.ts';
import { download, upload, XlaState } from './state.ts';
import { heldType, WeightStore } from './weights.ts';

/** Sizes that a function stays compiled for; the one that was not used for longest goes first. */
const sizesKept = 32;

interface CompiledSize {
  readonly module: StablehloModule;
  readonly executable: Executable;
}

type HeldWeight = Awaited<ReturnType<WeightStore['take']>>;

/** Sizes of the named dimensions, from what is at hand under the names of `specs`. */
function dimensionsOf(
  specs: Readonly<Record<string, InputSpec>>,
  shapeOf: (name: string) => readonly number[],
): Record<string, number> {
  const dimensions: Record<string, number> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const shape = shapeOf(name);
    spec.shape.forEach((size, axis) => {
      if (typeof size === 'string') dimensions[size] ??= shape[axis]!;
    });
  }
  return dimensions;
}

/** What the functions of one engine have in common. */
interface FunctionSetting {
  readonly client: XlaClient;
  readonly cache: CompileCache | undefined;
  readonly recompute: RecomputeSetting;
}

class XlaFunction implements CompiledFunction {
  readonly name: string;
  readonly #client: XlaClient;
  readonly #cache: CompileCache | undefined;
  readonly #recompute: RecomputeSetting;
  readonly #options: CompileOptions;
  readonly #graph: SymbolicGraph;
  readonly #weights: Readonly<Record<string, HeldWeight>>;
  /** Devices that run it at once. */
  readonly #replicas: number;
  /** By sizes; in the order of use, the last one last. */
  readonly #compiled = new Map<string, Promise<CompiledSize>>();

  constructor(
    { client, cache, recompute }: FunctionSetting,
    options: CompileOptions,
    graph: SymbolicGraph,
    weights: Readonly<Record<string, HeldWeight>>,
    replicas: number,
  ) {
    this.name = options.name;
    this.#client = client;
    this.#cache = cache;
    this.#recompute = recompute;
    this.#options = options;
    this.#graph = graph;
    this.#weights = weights;
    this.#replicas = replicas;
  }

  /** Recomputes what the options allow where memory demands it: the compiler knows best what a program takes. */
  async #compile(dimensions: Dimensions): Promise<CompiledSize> {
    const { recomputation } = this.#options;
    if (recomputation === undefined || this.#recompute === 'never')
      return this.#build(this.#graph, dimensions);
    if (this.#recompute === 'auto') {
      const plain = await this.#build(this.#graph, dimensions);
      if (!exceedsMemory(plain.executable.memory(), this.#client.memoryLimit)) return plain;
      plain.executable.dispose();
    }
    return this.#build(recomputeSegments(this.#graph, recomputation), dimensions);
  }

  async #build(graph: SymbolicGraph, dimensions: Dimensions): Promise<CompiledSize> {
    const weightTypes = Object.fromEntries(
      Object.entries(this.#weights).map(([name, { buffers }]) => [name, buffers[0]!.type]),
    );
    const module = emitStablehlo(graph, dimensions, weightTypes, { replicas: this.#replicas });
    for (const { name, shape } of module.results) {
      const before = this.#options.state?.[name.slice(statePrefix.length)];
      if (!name.startsWith(statePrefix) || before === undefined) continue;
      if (concreteShape(before, dimensions).join() !== shape.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `"${this.name}" gives the state entry "${name.slice(statePrefix.length)}" the shape [${shape}], other than the one it has.`,
        );
      }
    }
    return { module, executable: await this.#executable(module) };
  }

  /** From the cache on disk where it is there and fits, otherwise compiled and kept. */
  async #executable({ text, results }: StablehloModule): Promise<Executable> {
    const bytes = await this.#cache?.read(text);
    if (bytes !== undefined) {
      const loaded = await this.#client.load(bytes, results, this.#replicas).catch(() => undefined);
      if (loaded !== undefined) return loaded;
    }
    const executable = await this.#client.compile(text, results, this.#replicas);
    const serialized = this.#cache && executable.serialize();
    if (serialized !== undefined) await this.#cache?.write(text, serialized);
    return executable;
  }

  #at(dimensions: Dimensions): Promise<CompiledSize> {
    const key = JSON.stringify(dimensions);
    const compiled = this.#compiled.get(key) ?? this.#compile(dimensions);
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    compiled.catch(() => this.#compiled.delete(key));
    if (this.#compiled.size > sizesKept) {
      const [oldest, unused] = this.#compiled.entries().next().value!;
      this.#compiled.delete(oldest);
      unused.then(
        ({ executable }) => executable.dispose(),
        () => {},
      );
    }
    return compiled;
  }

  async run(
    inputs: HostTensorMap,
    state?: State,
    accept?: (outputs: HostTensorMap) => boolean,
  ): Promise<HostTensorMap> {
    const [outputs] = await this.#start(Array(this.#replicas).fill(inputs), 1, state, accept);
    return outputs!;
  }

  runAll(inputs: readonly HostTensorMap[], state?: State): Promise<HostTensorMap[]> {
    return this.#start(inputs, inputs.length, state);
  }

  /**
   * @param inputs of each device
   * @param told of how many devices, from the first one, outputs are wanted
   * @param accept looks at the outputs of the first one
   */
  async #start(
    inputs: readonly HostTensorMap[],
    told: number,
    state?: State,
    accept?: (outputs: HostTensorMap) => boolean,
  ): Promise<HostTensorMap[]> {
    const stateSpecs = this.#options.state ?? {};
    const hasState = Object.keys(stateSpecs).length > 0;
    if (hasState && !(state instanceof XlaState && state.client === this.#client)) {
      throw new EngineError(
        'ENGINE_STATE',
        `"${this.name}" needs the state that engine.createState of xla made.`,
      );
    }
    const held = hasState ? (state as XlaState) : undefined;
    const dimensions = this.#commonDimensions(inputs, held);
    if (held === undefined) return this.#run(dimensions, inputs, told, [], accept);
    this.#checkReplicas(held);
    for (const [name, spec] of Object.entries(stateSpecs)) {
      const expected = concreteShape(spec, dimensions);
      if (held.shape(name).join() !== expected.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `"${this.name}" expects the state entry "${name}" with shape [${expected}]; it has [${held.shape(name)}].`,
        );
      }
    }
    return held.use((replicas) => this.#run(dimensions, inputs, told, replicas, accept));
  }

  /** Replicas stay replicas: all of a state change, or none. */
  #checkReplicas({ replicas }: XlaState): void {
    const changes = [...this.#graph.outputs.keys()].some((name) => name.startsWith(statePrefix));
    if (replicas === this.#replicas || (this.#replicas === 1 && !changes)) return;
    const devices = (count: number) => (count === 1 ? 'one device' : `${count} devices`);
    throw new EngineError(
      'ENGINE_STATE',
      `"${this.name}" runs on ${devices(this.#replicas)}, and its state is held by ${devices(replicas)}.`,
    );
  }

  #commonDimensions(inputs: readonly HostTensorMap[], state: XlaState | undefined): Record<string, number> {
    const all = inputs.map((each) => {
      checkInputs(this.#options, each);
      return this.#dimensions(each, state);
    });
    const different = all.findIndex((each) => JSON.stringify(each) !== JSON.stringify(all[0]));
    if (all.length !== this.#replicas || different > 0) {
      const what =
        different > 0
          ? `those of device ${different} have the sizes ${JSON.stringify(all[different])}, those of device 0 ${JSON.stringify(all[0])}`
          : `${all.length} were given`;
      throw new EngineError(
        'ENGINE_INPUT',
        `"${this.name}" needs inputs of one size for each of its devices (${this.#replicas}); ${what}.`,
      );
    }
    return all[0]!;
  }

  #dimensions(inputs: HostTensorMap, state: XlaState | undefined): Record<string, number> {
    const ofState = dimensionsOf(this.#options.state ?? {}, (name) => state!.shape(name));
    const dimensions = {
      ...ofState,
      ...dimensionsOf(this.#options.inputs, (name) => inputs[name]!.shape),
    };
    for (const [name, rule] of Object.entries(this.#options.derived ?? {}))
      dimensions[name] ??= rule(dimensions);
    return dimensions;
  }

  async #run(
    dimensions: Dimensions,
    inputs: readonly HostTensorMap[],
    told: number,
    state: readonly Map<string, DeviceBuffer>[],
    accept: ((outputs: HostTensorMap) => boolean) | undefined,
  ): Promise<HostTensorMap[]> {
    const { module, executable } = await this.#at(dimensions);
    // Other sizes may push this one out while its inputs are uploaded.
    executable.retain();
    /** Buffers of this run alone, whatever becomes of it. */
    const own = new Set<DeviceBuffer>();
    try {
      const given: DeviceBuffer[][] = inputs.map(() => []);
      for (const [device, buffers] of given.entries()) {
        for (const { kind, name } of module.arguments) {
          const held = kind === 'weight' ? this.#weights[name]!.buffers[device]! : state[device]?.get(name);
          const buffer = held ?? (await upload(this.#client, inputs[device]![name]!, device));
          if (held === undefined) own.add(buffer);
          buffers.push(buffer);
        }
      }
      // What a step may yet refuse must not be written over: the new values then lie beside the old ones.
      const results = await executable.run(given, accept === undefined ? [] : module.donated);
      for (const buffer of results.flat()) own.add(buffer);
      const outputs: HostTensorMap[] = [];
      for (const buffers of results.slice(0, told)) {
        const values: HostTensorMap = {};
        for (const [i, { name }] of module.results.entries()) {
          if (!name.startsWith(statePrefix)) values[name] = await download(this.#client, buffers[i]!);
        }
        outputs.push(values);
      }
      if (accept !== undefined && !accept(outputs[0]!)) return outputs;
      for (const [device, buffers] of results.entries()) {
        for (const [i, { name: result }] of module.results.entries()) {
          if (!result.startsWith(statePrefix)) continue;
          const name = result.slice(statePrefix.length);
          own.add(state[device]!.get(name)!).delete(buffers[i]!);
          state[device]!.set(name, buffers[i]!);
        }
      }
      return outputs;
    } finally {
      for (const buffer of own) buffer.dispose();
      executable.release();
    }
  }

  async dispose(): Promise<void> {
    const compiled = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const each of await Promise.allSettled(compiled)) {
      if (each.status === 'fulfilled') each.value.executable.dispose();
    }
    for (const { release } of Object.values(this.#weights)) release();
  }
}

export interface XlaOptions {
  /** Path of a PJRT plugin. Default: the one that `findXlaPlugin` finds. */
  readonly plugin?: string;
  /** Threads of the CPU plugin. Default: all cores. */
  readonly threads?: number;
  /** Devices that run replicated functions, the first ones that there are. Default: 1. */
  readonly devices?: number;
  /** `auto` (the default) is bf16 on CUDA; elsewhere that is slower, and it is fp32. */
  readonly precision?: Precision | 'auto';
  /** Default: `auto`. */
  readonly recompute?: RecomputeSetting;
  /** Folder of compiled executables, null for none. Default: `executablesFolder`. */
  readonly executables?: string | null;
}

/** What decides about machine code beside the module. */
function compilerIdentity(plugin: string, client: XlaClient, threads: number | undefined): string[] {
  const { size, mtimeMs } = statSync(plugin);
  const cores = os.cpus();
  return [
    client.pjrt.version,
    client.platform,
    String(size),
    String(mtimeMs),
    process.arch,
    cores[0]?.model ?? '',
    String(threads ?? os.availableParallelism()),
    process.env.XLA_FLAGS ?? '',
  ];
}

/** Traced graphs as StableHLO, compiled by XLA for each assignment of sizes and run through its PJRT C API. */
export class XlaEngine implements Engine {
  readonly name = 'xla';
  readonly fixedSizes = true;
  readonly devices: number;
  readonly precision: Precision;
  readonly library: { readonly file: string; readonly version: string };
  readonly client: XlaClient;
  readonly #weights: WeightStore;
  readonly #cache: CompileCache | undefined;
  readonly #recompute: RecomputeSetting;

  /** @throws EngineError where koffi or a plugin is missing, the plugin does not work here or has too few devices */
  constructor(options: XlaOptions = {}) {
    const found = findXlaPlugin({ explicit: options.plugin });
    if (found === undefined) {
      throw new EngineError(
        'ENGINE_PLUGIN_MISSING',
        `The engine "xla" needs a PJRT plugin of XLA: affectgpt engine install xla-cpu fetches one; or name a library in ${pluginVariable}.`,
      );
    }
    this.devices = options.devices ?? 1;
    this.client = xlaClient(found.path, options.threads, this.devices);
    this.library = { file: found.path, version: `${found.source}, PJRT API ${this.client.pjrt.version}` };
    const { precision = 'auto' } = options;
    this.precision = precision === 'auto' ? (this.client.platform === 'cuda' ? 'bf16' : 'fp32') : precision;
    this.#weights = new WeightStore(this.client);
    this.#recompute = options.recompute ?? 'auto';
    const { executables = executablesFolder() } = options;
    this.#cache =
      executables === null
        ? undefined
        : new CompileCache(executables, compilerIdentity(found.path, this.client, options.threads));
  }

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const traced = optimize(traceSymbolic(fn, options));
    const graph = this.precision === 'bf16' ? applyBfloat16(traced) : traced;
    const used = new Set(graph.nodes.flatMap((node) => node.inputs).concat([...graph.outputs.values()]));
    const replicas = options.replicated === true ? this.devices : 1;
    const weights: Record<string, HeldWeight> = {};
    try {
      for (const [name, source] of Object.entries(options.weights ?? {})) {
        const value = graph.weights.get(name)!;
        if (!used.has(value)) continue;
        const type = heldType(source, graph.values[value]!.dtype);
        weights[name] = await this.#weights.take(source, replicas, type);
      }
    } catch (error) {
      for (const { release } of Object.values(weights)) release();
      throw error;
    }
    const setting = { client: this.client, cache: this.#cache, recompute: this.#recompute };
    return new XlaFunction(setting, options, graph, weights, replicas);
  }

  createState(values: HostTensorMap, { replicated = false }: { readonly replicated?: boolean } = {}): State {
    return new XlaState(this.client, values, replicated ? this.devices : 1);
  }
}
