import * as tf from '@tensorflow/tfjs';
import { EngineError } from '../../errors.ts';
import { readFloat32 } from '../../io/safetensors.ts';
import { registerEagerAllReduce } from '../all-reduce.ts';
import { checkInputs } from '../check-inputs.ts';
import { registerEagerDropout } from '../dropout.ts';
import { withBackend } from '../trace/trace.ts';
import type {
  CompiledFunction,
  CompileOptions,
  Engine,
  HostTensor,
  HostTensorMap,
  State,
  TensorFunction,
  TensorMap,
  WeightSource,
} from '../types.ts';
import { SharedWeights, type TakenWeight } from './shared-weights.ts';

const toTensor = ({ data, shape, dtype }: HostTensor): tf.Tensor => tf.tensor(data, [...shape], dtype);

const toHost = (tensor: tf.Tensor): HostTensor => {
  const data = tensor.dataSync().slice() as HostTensor['data'];
  return { dtype: tensor.dtype as HostTensor['dtype'], shape: [...tensor.shape], data };
};

class EagerState implements State {
  readonly tensors: TensorMap;
  readonly #backend: string;

  constructor(backend: string, values: HostTensorMap) {
    this.#backend = backend;
    this.tensors = withBackend(backend, () =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, tf.keep(toTensor(value))])),
    );
  }

  get(name: string): tf.Tensor {
    const tensor = this.tensors[name];
    if (tensor === undefined) throw new EngineError('ENGINE_STATE', `The state has no entry "${name}".`);
    return tensor;
  }

  replace(name: string, next: tf.Tensor): void {
    this.get(name).dispose();
    this.tensors[name] = next;
  }

  async read(names: readonly string[] = Object.keys(this.tensors)): Promise<HostTensorMap> {
    return withBackend(this.#backend, () =>
      Object.fromEntries(names.map((name) => [name, toHost(this.get(name))])),
    );
  }

  async write(values: HostTensorMap): Promise<void> {
    withBackend(this.#backend, () => {
      for (const [name, value] of Object.entries(values)) {
        if (this.get(name).shape.join() !== value.shape.join()) {
          throw new EngineError(
            'ENGINE_STATE',
            `The state entry "${name}" has shape [${this.get(name).shape}]; a value of shape [${value.shape}] was written to it.`,
          );
        }
        this.replace(name, tf.keep(toTensor(value)));
      }
    });
  }

  dispose(): void {
    for (const tensor of Object.values(this.tensors)) tensor.dispose();
  }
}

class EagerFunction implements CompiledFunction {
  readonly name: string;
  readonly #fn: TensorFunction;
  readonly #options: CompileOptions;
  readonly #backend: string;
  readonly #weights: TensorMap;
  readonly #taken: TakenWeight[];

  constructor(
    fn: TensorFunction,
    options: CompileOptions,
    backend: string,
    taken: ReadonlyMap<string, TakenWeight>,
  ) {
    this.name = options.name;
    this.#fn = fn;
    this.#options = options;
    this.#backend = backend;
    this.#taken = [...taken.values()];
    this.#weights = Object.fromEntries([...taken].map(([name, { tensor }]) => [name, tensor]));
  }

  async run(
    inputs: HostTensorMap,
    state?: State,
    accept: (outputs: HostTensorMap) => boolean = () => true,
  ): Promise<HostTensorMap> {
    const stateNames = Object.keys(this.#options.state ?? {});
    if (stateNames.length > 0 && !(state instanceof EagerState)) {
      throw new EngineError(
        'ENGINE_STATE',
        `"${this.name}" needs the state that createState of its own engine made.`,
      );
    }
    checkInputs(this.#options, inputs);
    return withBackend(this.#backend, () => {
      const engine = tf.engine();
      engine.startScope();
      try {
        const result = this.#fn({
          inputs: Object.fromEntries(
            Object.keys(this.#options.inputs).map((name) => [name, toTensor(inputs[name]!)]),
          ),
          state: Object.fromEntries(stateNames.map((name) => [name, (state as EagerState).get(name)])),
          weights: this.#weights,
        });
        const outputs = Object.fromEntries(
          Object.entries(result.outputs).map(([name, tensor]) => [name, toHost(tensor)]),
        );
        if (!accept(outputs)) return outputs;
        for (const [name, tensor] of Object.entries(result.state ?? {})) {
          // A function may return an entry unchanged: the state must then not dispose what it keeps.
          if (tensor !== (state as EagerState).get(name))
            (state as EagerState).replace(name, tf.keep(tensor));
        }
        return outputs;
      } finally {
        engine.endScope();
      }
    });
  }

  async dispose(): Promise<void> {
    withBackend(this.#backend, () => {
      for (const { release } of this.#taken.splice(0)) release();
    });
  }
}

/** A weight as a backend holds it by itself; undefined where it has no own way for this one. */
export type OwnWeight = (name: string, source: WeightSource) => Promise<tf.Tensor | undefined>;

/** Runs functions as they stand, operation by operation, on a tfjs backend that is already registered and ready. */
export class EagerEngine implements Engine {
  readonly name: string;
  readonly #backend: string;
  readonly #weights: SharedWeights;

  /** @param ownWeight absent: all weights are float32 tensors of tfjs */
  constructor(name: string, backend: string, ownWeight: OwnWeight = async () => undefined) {
    this.name = name;
    this.#backend = backend;
    this.#weights = new SharedWeights(async (weight, source) => {
      const own = await ownWeight(weight, source);
      if (own !== undefined) return tf.keep(own);
      const data =
        'dtype' in source
          ? source.data
          : await readFloat32({ ...source, name: weight, dtype: source.storage });
      const dtype = 'dtype' in source ? source.dtype : 'float32';
      return withBackend(backend, () => tf.keep(toTensor({ data, dtype, shape: source.shape })));
    });
    registerEagerDropout(backend);
    registerEagerAllReduce(backend);
  }

  async compile(fn: TensorFunction, options: CompileOptions): Promise<CompiledFunction> {
    const taken = new Map<string, TakenWeight>();
    try {
      for (const [name, source] of Object.entries(options.weights ?? {})) {
        taken.set(name, await this.#weights.take(name, source));
      }
    } catch (error) {
      for (const { release } of taken.values()) release();
      throw error;
    }
    return new EagerFunction(fn, options, this.#backend, taken);
  }

  createState(values: HostTensorMap): State {
    return new EagerState(this.#backend, values);
  }
}
