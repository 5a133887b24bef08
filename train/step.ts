import * as tf from '@tensorflow/tfjs';
import { type Collective, single } from '../src/collective/collective.ts';
import { allReduceSum } from '../src/engine/all-reduce.ts';
import { valueAndGradients } from '../src/engine/gradients.ts';
import type {
  CompiledFunction,
  Engine,
  HostTensor,
  HostTensorMap,
  InputSpec,
  Recomputation,
  State,
  TensorMap,
  WeightSource,
} from '../src/engine/types.ts';
import {
  type AdamWSettings,
  adamwUpdate,
  biasCorrections,
  clipScale,
  globalNorm,
  squareSums,
} from './adamw.ts';
import { replicaRounds } from './replicas.ts';
import { type StepResult, type StepSettings, stepResult } from './step-result.ts';

/** Everything that determines an optimizer step as a graph. */
export interface StepOptions {
  readonly name: string;
  /** Sum of the losses of all supervised tokens of one micro-batch; `parameters` are trainable and frozen together. */
  readonly lossSum: (tensors: { inputs: TensorMap; parameters: TensorMap }) => tf.Scalar;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  /** Shapes of the trainable tensors. */
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly weights: Readonly<Record<string, WeightSource>>;
  readonly optimizer: AdamWSettings;
  /** Gradients are scaled down to this norm; null leaves them alone, as the published training does. */
  readonly clipNorm: number | null;
  /** Whether trainable tensors that the loss does not reach decay all the same (PyTorch skips them). */
  readonly decayUnusedParameters: boolean;
  /** Parts of the model that an engine may compute again for the backward pass; none where absent. */
  readonly segmentOf?: Recomputation['segmentOf'];
}

/** Names of the parameters that have a gradient, in their order. */
const reached = (gradients: Readonly<Record<string, tf.Tensor | null>>): string[] =>
  Object.keys(gradients).filter((name) => gradients[name] !== null);

/** Names of the optimizer's tensors in the state, beside the parameters themselves. */
export const expAvgName = (parameter: string): string => `exp_avg:${parameter}`;
export const expAvgSqName = (parameter: string): string => `exp_avg_sq:${parameter}`;
/** Devices of an engine that train together. */
const devicesOf = ({ devices = 1 }: Engine): number => devices;
const gradientName = (parameter: string): string => `grad:${parameter}`;

/**
 * Whether weight decay applies: two or more dimensions, and no `bias`, `ln` or `bn` in the name, as in the published
 * optimizer groups.
 */
export function decays(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !['bias', 'ln', 'bn'].some((part) => name.includes(part));
}

const zeros = (shape: readonly number[]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});

const scalar = (value: number): HostTensor => ({ dtype: 'float32', shape: [], data: Float32Array.of(value) });
const finite = ({ data }: HostTensor): boolean => Number.isFinite(data[0]);
const scalarSpec: InputSpec = { dtype: 'float32', shape: [] };
const scheduleInputs = {
  learningRate: scalarSpec,
  biasCorrection1: scalarSpec,
  biasCorrection2Sqrt: scalarSpec,
};

/**
 * The state of a training: parameters, their moments (zero unless given) and, where several micro-batches make a
 * step, the sums of their gradients.
 */
export function createTrainState(
  engine: Engine,
  parameters: HostTensorMap,
  { moments = {}, accumulation = 1 }: { moments?: HostTensorMap; accumulation?: number } = {},
): State {
  const entries: Record<string, HostTensor> = { ...parameters };
  for (const [name, { shape }] of Object.entries(parameters)) {
    for (const moment of [expAvgName(name), expAvgSqName(name)])
      entries[moment] = moments[moment] ?? zeros(shape);
    if (accumulation > 1 || devicesOf(engine) > 1) entries[gradientName(name)] = zeros(shape);
  }
  return engine.createState(entries, { replicated: true });
}

/**
 * One optimizer step over one or several micro-batches. A single micro-batch runs as one graph (forward, backward,
 * AdamW); several run as gradient graphs that add up, and one that applies. Both use the gradient of the loss sum
 * divided by the number of supervised tokens of the whole step.
 *
 * Where the engine has several devices, micro-batches are spread over them (`replicaRounds`): each device adds up the
 * gradients of its own, and the graph that applies adds those of all devices first, so that all make the same update.
 */
export class TrainStep {
  readonly #engine: Engine;
  readonly #options: StepOptions;
  readonly #collective: Collective;
  readonly #compiled = new Map<string, Promise<CompiledFunction>>();
  /** The gradients one after the other, as ranks exchange them. */
  #flat: Float32Array | undefined;

  /** @param collective the processes that train together: gradients are added up over all of them */
  constructor(engine: Engine, options: StepOptions, collective: Collective = single) {
    this.#engine = engine;
    this.#options = options;
    this.#collective = collective;
  }

  /**
   * @param state from `createTrainState` of the same engine; holds the new values afterwards
   * @param microBatches inputs of the loss function, one entry per micro-batch
   * @returns with `fault`, and the parameters and moments untouched, where loss or gradients are not finite
   */
  async run(
    state: State,
    microBatches: readonly HostTensorMap[],
    { supervisedTokens, learningRate, step, accumulate = microBatches.length > 1 }: StepSettings,
  ): Promise<StepResult> {
    const corrections = biasCorrections(step, this.#options.optimizer.betas);
    const schedule = {
      learningRate: scalar(learningRate),
      biasCorrection1: scalar(corrections.biasCorrection1),
      biasCorrection2Sqrt: scalar(corrections.biasCorrection2Sqrt),
    };
    const lossWeight = scalar(1 / supervisedTokens);
    if (!accumulate && devicesOf(this.#engine) === 1 && this.#collective.size === 1) {
      const outputs = await (await this.#fused()).run(
        { ...microBatches[0]!, ...schedule, lossWeight },
        state,
        (values) => finite(values.loss!) && finite(values.gradNorm!),
      );
      return stepResult(outputs.loss!.data[0]!, outputs, this.#order);
    }
    const loss = await this.#addUp(state, microBatches, lossWeight);
    const outputs = await (await this.#apply()).run(
      schedule,
      state,
      (values) => Number.isFinite(loss) && finite(values.gradNorm!),
    );
    const result = stepResult(loss, outputs, this.#order);
    // Times zero, as the next step takes them, NaN and infinity would stay.
    if (result.fault !== undefined) await this.#clearSums(state);
    return result;
  }

  /**
   * Loss and gradients of a step as `run` computes them, the parameters left alone.
   *
   * @param state made for accumulation
   * @returns the gradients that the loss reaches, in the order of the parameters
   */
  async gradients(
    state: State,
    microBatches: readonly HostTensorMap[],
    supervisedTokens: number,
  ): Promise<{ readonly loss: number; readonly gradients: HostTensorMap }> {
    const loss = await this.#addUp(state, microBatches, scalar(1 / supervisedTokens));
    const isShared = this.#collective.size > 1;
    const sums = await (isShared ? state.read(this.#order.map(gradientName)) : this.#sums(state));
    await this.#clearSums(state);
    const gradients = Object.fromEntries(this.#order.map((name) => [name, sums[gradientName(name)]!]));
    return { loss, gradients };
  }

  /** Leaves the sums of the gradients in the state. @returns the loss */
  async #addUp(state: State, microBatches: readonly HostTensorMap[], lossWeight: HostTensor) {
    const losses = new Float64Array(microBatches.length);
    const compiled = await this.#accumulate();
    for (const [round, turns] of replicaRounds(microBatches, devicesOf(this.#engine)).entries()) {
      const keep = scalar(round === 0 ? 0 : 1);
      const inputs = turns.map(({ index, isFiller }) => ({
        ...microBatches[index]!,
        lossWeight: isFiller ? scalar(0) : lossWeight,
        keep,
      }));
      const outputs =
        inputs.length === 1 ? [await compiled.run(inputs[0]!, state)] : await compiled.runAll!(inputs, state);
      for (const [device, { index, isFiller }] of turns.entries()) {
        if (!isFiller) losses[index] = outputs[device]!.loss!.data[0]!;
      }
    }
    const loss = losses.reduce((sum, one) => sum + one, 0);
    return this.#collective.size === 1 ? loss : this.#exchange(state, loss, microBatches.length > 0);
  }

  /**
   * Adds loss and sums of gradients up over all ranks; the state of each then holds the same.
   *
   * @param hasSums false where this rank had no micro-batch: what its state holds is of an earlier step
   * @returns the loss
   */
  async #exchange(state: State, loss: number, hasSums: boolean): Promise<number> {
    const tensors = this.#order.map((name) => [gradientName(name), this.#options.trainable[name]!] as const);
    const lengths = tensors.map(([, shape]) => shape.reduce((product, size) => product * size, 1));
    this.#flat ??= new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
    const flat = this.#flat;
    const begins = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
    const sums = hasSums ? await this.#sums(state) : undefined;
    if (sums === undefined) flat.fill(0);
    else for (const [i, [name]] of tensors.entries()) flat.set(sums[name]!.data as Float32Array, begins[i]!);
    const losses = Float64Array.of(loss);
    await this.#collective.allReduce(losses, flat);
    for (const [i, [name, shape]] of tensors.entries()) {
      const data = flat.subarray(begins[i]!, begins[i]! + lengths[i]!);
      await state.write({ [name]: { dtype: 'float32', shape, data } });
    }
    return losses[0]!;
  }

  /** The sums of the gradients, of all devices together. */
  async #sums(state: State): Promise<HostTensorMap> {
    const names = this.#order.map(gradientName);
    if (devicesOf(this.#engine) === 1) return state.read(names);
    const compiled = await this.#once('sums', () =>
      this.#engine.compile(
        (tensors) => ({
          outputs: Object.fromEntries(names.map((name) => [name, allReduceSum(tensors.state[name]!)])),
        }),
        {
          name: `${this.#options.name}.sums`,
          inputs: {},
          state: this.#stateSpecs(gradientName),
          replicated: true,
        },
      ),
    );
    return compiled.run({}, state);
  }

  async #clearSums(state: State): Promise<void> {
    for (const [name, shape] of Object.entries(this.#options.trainable)) {
      await state.write({ [gradientName(name)]: zeros(shape) });
    }
  }

  async dispose(): Promise<void> {
    for (const compiled of this.#compiled.values()) await (await compiled).dispose();
    this.#compiled.clear();
  }

  /** Weighted loss and the gradients of the trainable tensors, null where the loss does not reach one. */
  #gradients(inputs: TensorMap, state: TensorMap, weights: TensorMap) {
    const trainable = Object.fromEntries(
      Object.keys(this.#options.trainable).map((name) => [name, state[name]!]),
    );
    return valueAndGradients(
      (parameters) =>
        tf.mul(
          this.#options.lossSum({ inputs, parameters: { ...weights, ...parameters } }),
          inputs.lossWeight!,
        ),
      trainable,
    );
  }

  #update(state: TensorMap, gradients: Record<string, tf.Tensor | null>, inputs: TensorMap) {
    const { clipNorm, optimizer, trainable, decayUnusedParameters } = this.#options;
    const present = Object.values(gradients).filter((gradient) => gradient !== null);
    const sums = squareSums(present);
    const gradNorm = globalNorm(sums);
    const scale = clipNorm === null ? undefined : clipScale(gradNorm, clipNorm);
    const next: TensorMap = {};
    for (const [name, shape] of Object.entries(trainable)) {
      const raw = gradients[name] ?? (decayUnusedParameters ? tf.zerosLike(state[name]!) : null);
      if (raw === null) continue;
      const updated = adamwUpdate(
        {
          parameter: state[name]!,
          gradient: scale === undefined ? raw : tf.mul(raw, scale),
          expAvg: state[expAvgName(name)]!,
          expAvgSq: state[expAvgSqName(name)]!,
        },
        {
          learningRate: inputs.learningRate!,
          biasCorrection1: inputs.biasCorrection1!,
          biasCorrection2Sqrt: inputs.biasCorrection2Sqrt!,
        },
        { ...optimizer, weightDecay: decays(name, shape) ? optimizer.weightDecay : 0 },
      );
      next[name] = updated.parameter;
      next[expAvgName(name)] = updated.expAvg;
      next[expAvgSqName(name)] = updated.expAvgSq;
    }
    return { next, outputs: { gradNorm, squareSums: sums } };
  }

  #stateSpecs(...kinds: ((name: string) => string)[]): Record<string, InputSpec> {
    const specs: Record<string, InputSpec> = {};
    for (const [name, shape] of Object.entries(this.#options.trainable)) {
      for (const kind of kinds) specs[kind(name)] = { dtype: 'float32', shape };
    }
    return specs;
  }

  #once(key: string, compile: () => Promise<CompiledFunction>): Promise<CompiledFunction> {
    const known = this.#compiled.get(key) ?? compile();
    this.#compiled.set(key, known);
    return known;
  }

  #fused(): Promise<CompiledFunction> {
    const { name, inputs, weights, segmentOf } = this.#options;
    return this.#once('fused', () =>
      this.#engine.compile(
        (tensors) => {
          const { value, gradients } = this.#gradients(tensors.inputs, tensors.state, tensors.weights);
          const { next, outputs } = this.#update(tensors.state, gradients, tensors.inputs);
          this.#order = reached(gradients);
          return { outputs: { loss: value, ...outputs }, state: next };
        },
        {
          name: `${name}.step`,
          inputs: { ...inputs, ...scheduleInputs, lossWeight: scalarSpec },
          state: this.#stateSpecs((parameter) => parameter, expAvgName, expAvgSqName),
          weights,
          ...(segmentOf && { recomputation: { segmentOf, result: 'loss' } }),
        },
      ),
    );
  }

  #accumulate(): Promise<CompiledFunction> {
    const { name, inputs, weights, segmentOf } = this.#options;
    return this.#once('accumulate', () =>
      this.#engine.compile(
        (tensors) => {
          const { value, gradients } = this.#gradients(tensors.inputs, tensors.state, tensors.weights);
          const sums: TensorMap = {};
          for (const [parameter, gradient] of Object.entries(gradients)) {
            if (gradient === null) continue;
            const before = tensors.state[gradientName(parameter)]!;
            sums[gradientName(parameter)] = tf.add(tf.mul(before, tensors.inputs.keep!), gradient);
          }
          this.#order = reached(gradients);
          return { outputs: { loss: value }, state: sums };
        },
        {
          name: `${name}.accumulate`,
          inputs: { ...inputs, lossWeight: scalarSpec, keep: scalarSpec },
          state: this.#stateSpecs((parameter) => parameter, gradientName),
          weights,
          ...(segmentOf && { recomputation: { segmentOf, result: 'loss' } }),
          replicated: true,
        },
      ),
    );
  }

  /** The tensors that the loss reaches, known once the gradient graph has been traced. */
  #order: readonly string[] = [];

  /** The sum over all devices; what ranks have exchanged is that already. */
  #reduced(sum: tf.Tensor): tf.Tensor {
    return devicesOf(this.#engine) === 1 || this.#collective.size > 1 ? sum : allReduceSum(sum);
  }

  #apply(): Promise<CompiledFunction> {
    return this.#once('apply', async () => {
      await this.#accumulate();
      return this.#engine.compile(
        (tensors) => {
          const gradients = Object.fromEntries(
            Object.keys(this.#options.trainable).map((name) => [
              name,
              this.#order.includes(name) ? this.#reduced(tensors.state[gradientName(name)]!) : null,
            ]),
          );
          const { next, outputs } = this.#update(tensors.state, gradients, tensors.inputs);
          return { outputs, state: next };
        },
        {
          name: `${this.#options.name}.apply`,
          inputs: scheduleInputs,
          state: this.#stateSpecs((parameter) => parameter, expAvgName, expAvgSqName, gradientName),
          replicated: true,
        },
      );
    });
  }
}
