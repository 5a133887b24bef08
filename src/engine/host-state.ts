import { EngineError } from '../errors.ts';
import type { CompileOptions, HostTensor, HostTensorMap, State } from './types.ts';

const copyOf = ({ dtype, shape, data }: HostTensor): HostTensor => ({
  dtype,
  shape: [...shape],
  data: data.slice(),
});

/** State in host memory. */
export class HostState implements State {
  /** Name of the engine that made it. */
  readonly engine: string;
  readonly #current = new Map<string, HostTensor>();
  readonly #spare = new Map<string, HostTensor>();

  constructor(engine: string, values: HostTensorMap) {
    this.engine = engine;
    for (const [name, value] of Object.entries(values)) this.#current.set(name, copyOf(value));
  }

  /**
   * The state that a run of a function was given; an empty one where the function needs none.
   * @throws EngineError `ENGINE_STATE` where it is missing, or not of this engine
   */
  static given(engine: string, { name, state: specs = {} }: CompileOptions, state?: State): HostState {
    if (Object.keys(specs).length === 0) return new HostState(engine, {});
    if (state instanceof HostState && state.engine === engine) return state;
    throw new EngineError(
      'ENGINE_STATE',
      `"${name}" needs the state that engine.createState of ${engine} made.`,
    );
  }

  /** @throws EngineError `ENGINE_STATE` where the state has no such entry */
  get(name: string): HostTensor {
    const tensor = this.#current.get(name);
    if (tensor === undefined) {
      throw new EngineError(
        'ENGINE_STATE',
        `The state has no entry "${name}"; it was created with: ${[...this.#current.keys()].slice(0, 8).join(', ')} …`,
      );
    }
    return tensor;
  }

  /** Makes `next` the value of an entry; what was the value is no longer needed. */
  set(name: string, next: HostTensor): void {
    this.#current.set(name, next);
  }

  /** A buffer for the next value of an entry, whose shape does not change: with the current one there are two, in turn. */
  spare(name: string): HostTensor {
    const known = this.#spare.get(name);
    if (known !== undefined) return known;
    const { dtype, shape, data } = this.get(name);
    return { dtype, shape, data: new (data.constructor as Float32ArrayConstructor)(data.length) };
  }

  /** Makes the buffer of `spare` the value of an entry; its buffer is the spare one from then on. */
  replace(name: string, next: HostTensor): void {
    this.#spare.set(name, this.get(name));
    this.#current.set(name, next);
  }

  async read(names: readonly string[] = [...this.#current.keys()]): Promise<HostTensorMap> {
    return Object.fromEntries(names.map((name) => [name, copyOf(this.get(name))]));
  }

  async write(values: HostTensorMap): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const { shape } = this.get(name);
      if (shape.join() !== value.shape.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `The state entry "${name}" has shape [${shape}]; a value of shape [${value.shape}] was written to it.`,
        );
      }
    }
    for (const [name, value] of Object.entries(values)) {
      this.#current.set(name, copyOf(value));
      this.#spare.delete(name);
    }
  }

  dispose(): void {
    this.#current.clear();
    this.#spare.clear();
  }
}
