import { statSync } from 'node:fs';
import os from 'node:os';
import { EngineError } from '../../errors.ts';
import { checkInputs } from '../check-inputs.ts';
import { optimize } from '../ir/passes/optimize.ts';
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
  State,
  TensorFunction,
} from '../types.ts';
import { type DeviceBuffer, type Executable, type XlaClient, xlaClient } from './client.ts';
import { ExecutableCache, executablesFolder } from './executable-cache.ts';
import { findXlaPlugin, pluginVariable } from './plugin.ts';
import { download, upload, XlaState } from './state.ts';
import { storedType, WeightStore } from './weights.ts';

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

class XlaFunction implements CompiledFunction {
  readonly name: string;
  readonly #client: XlaClient;
  readonly #cache: ExecutableCache | undefined;
  readonly #options: CompileOptions;
  readonly #graph: SymbolicGraph;
  readonly #weights: Readonly<Record<string, HeldWeight>>;
  /** By sizes; in the order of use, the last one last. */
  readonly #compiled = new Map<string, Promise<CompiledSize>>();

  constructor(
    { client, cache }: { readonly client: XlaClient; readonly cache: ExecutableCache | undefined },
    options: CompileOptions,
    graph: SymbolicGraph,
    weights: Readonly<Record<string, HeldWeight>>,
  ) {
    this.name = options.name;
    this.#client = client;
    this.#cache = cache;
    this.#options = options;
    this.#graph = graph;
    this.#weights = weights;
  }

  async #compile(dimensions: Dimensions): Promise<CompiledSize> {
    const weightTypes = Object.fromEntries(
      Object.entries(this.#options.weights ?? {}).map(([name, source]) => [name, storedType(source)]),
    );
    const module = emitStablehlo(this.#graph, dimensions, weightTypes);
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
      const loaded = await this.#client.load(bytes, results).catch(() => undefined);
      if (loaded !== undefined) return loaded;
    }
    const executable = await this.#client.compile(text, results);
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
    const stateSpecs = this.#options.state ?? {};
    const hasState = Object.keys(stateSpecs).length > 0;
    if (hasState && !(state instanceof XlaState && state.client === this.#client)) {
      throw new EngineError(
        'ENGINE_STATE',
        `"${this.name}" needs the state that engine.createState of xla made.`,
      );
    }
    checkInputs(this.#options, inputs);
    const held = hasState ? (state as XlaState) : undefined;
    const dimensions = this.#dimensions(inputs, held);
    if (held === undefined) return this.#run(dimensions, inputs, new Map(), accept);
    for (const [name, spec] of Object.entries(stateSpecs)) {
      const expected = concreteShape(spec, dimensions);
      if (held.shape(name).join() !== expected.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `"${this.name}" expects the state entry "${name}" with shape [${expected}]; it has [${held.shape(name)}].`,
        );
      }
    }
    return held.use((buffers) => this.#run(dimensions, inputs, buffers, accept));
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
    inputs: HostTensorMap,
    state: Map<string, DeviceBuffer>,
    accept: ((outputs: HostTensorMap) => boolean) | undefined,
  ): Promise<HostTensorMap> {
    const { module, executable } = await this.#at(dimensions);
    // Other sizes may push this one out while its inputs are uploaded.
    executable.retain();
    /** Buffers of this run alone, whatever becomes of it. */
    const own: DeviceBuffer[] = [];
    try {
      const given: DeviceBuffer[] = [];
      for (const { kind, name } of module.arguments) {
        const held = kind === 'weight' ? this.#weights[name]!.buffer : state.get(name);
        if (held === undefined) own.push(await upload(this.#client, inputs[name]!));
        given.push(held ?? own.at(-1)!);
      }
      // What a step may yet refuse must not be written over: the new values then lie beside the old ones.
      const results = await executable.run(given, accept === undefined ? [] : module.donated);
      own.push(...results);
      const outputs: HostTensorMap = {};
      const next = new Map<string, DeviceBuffer>();
      for (const [i, { name }] of module.results.entries()) {
        if (name.startsWith(statePrefix)) next.set(name.slice(statePrefix.length), results[i]!);
        else outputs[name] = await download(this.#client, results[i]!);
      }
      if (accept !== undefined && !accept(outputs)) return outputs;
      for (const [name, buffer] of next) {
        own.splice(own.indexOf(buffer), 1, state.get(name)!);
        state.set(name, buffer);
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
  readonly client: XlaClient;
  readonly #weights: WeightStore;
  readonly #cache: ExecutableCache | undefined;

  /** @throws EngineError where koffi or a plugin is missing, or the plugin does not work here */
  constructor(options: XlaOptions = {}) {
    const found = findXlaPlugin({ explicit: options.plugin });
    if (found === undefined) {
      throw new EngineError(
        'ENGINE_PLUGIN_MISSING',
        `The engine "xla" needs a PJRT plugin of XLA: affectgpt engine install xla-cpu fetches one; or name a library in ${pluginVariable}.`,
      );
    }
    this.client = xlaClient(found.path, options.threads);
    this.#weights = new WeightStore(this.client);
    const { executables = executablesFolder() } = options;
    this.#cache =
      executables === null
        ? undefined
        : new ExecutableCache(executables, compilerIdentity(found.path, this.client, options.threads));
  }

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const graph = optimize(traceSymbolic(fn, options));
    const used = new Set(graph.nodes.flatMap((node) => node.inputs).concat([...graph.outputs.values()]));
    const weights: Record<string, HeldWeight> = {};
    try {
      for (const [name, source] of Object.entries(options.weights ?? {})) {
        if (used.has(graph.weights.get(name)!)) weights[name] = await this.#weights.take(source);
      }
    } catch (error) {
      for (const { release } of Object.values(weights)) release();
      throw error;
    }
    return new XlaFunction({ client: this.client, cache: this.#cache }, options, graph, weights);
  }

  createState(values: HostTensorMap): State {
    return new XlaState(this.client, values);
  }
}
