import { type AffectGptLossInputs, affectGptLoss, lossInputSpecs } from '../../../model/affectgpt.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import { RandomGenerator } from '../../../src/engine/random.ts';
import type { Engine, HostTensor, HostTensorMap } from '../../../src/engine/types.ts';
import { createTrainState, expAvgName, TrainStep } from '../../../train/step.ts';
import {
  type AffectGptReference,
  type ParameterGroup,
  type StepFacts,
  tokenInputs,
  type Variant,
} from '../../support/affectgpt-reference.ts';

/** What training computed: losses before each step and after the last, first gradients, and final values. */
export interface Trajectory {
  readonly losses: readonly number[];
  /** Of the first step, by our names; undefined where the optimizer left a tensor alone. */
  readonly gradients: Readonly<Record<string, HostTensor | undefined>>;
  readonly parameters: HostTensorMap;
}

const sameValues = (a: HostTensor, b: HostTensor): boolean =>
  a.data.length === b.data.length && a.data.every((value, i) => value === b.data[i]);

/** The settings that all groups share, weight decay of the group that has any. */
function optimizerOf(groups: readonly ParameterGroup[], { beta2, weight_decay: decay }: StepFacts) {
  const { betas, eps } = groups[0] ?? { betas: [0.9, 0.999] as const, eps: 1e-8 };
  return {
    betas: [betas[0], (beta2 as number | undefined) ?? betas[1]] as const,
    eps,
    weightDecay: (decay as number | undefined) ?? Math.max(0, ...groups.map((group) => group.weight_decay)),
  };
}

/** Relative change of the starting values: what the sums of a pass make of the last bits of fp32. */
const lastBits = 2 ** -22;
/** Trajectories that start elsewhere, to see how far rounding carries. */
const perturbations = 3;

/** Optimizer steps on the batch of a variant, always the same one, with what users train with. Compiled once. */
export class Training {
  readonly #engine: Engine;
  readonly #variant: Variant;
  readonly #rates: readonly number[];
  readonly #inputs: HostTensorMap;
  readonly #beta1: number;
  readonly #step: TrainStep;

  /** @param steps learning rates and settings; their losses are not looked at */
  constructor(reference: AffectGptReference, variant: Variant, steps: StepFacts, engine: Engine) {
    const { name, config, batch, facts, trainable } = variant;
    const features = Object.fromEntries(config.mode.needs.map((feature) => [feature, batch[feature]!]));
    const optimizer = optimizerOf(facts.param_groups ?? [], steps);
    this.#engine = engine;
    this.#variant = variant;
    this.#rates = steps.lrs;
    this.#inputs = { ...features, ...tokenInputs(config, reference.placeholderIds, batch) };
    this.#beta1 = optimizer.betas[0];
    this.#step = new TrainStep(engine, {
      name,
      lossSum: ({ inputs, parameters }) =>
        affectGptLoss(config, new Parameters(parameters), inputs as unknown as AffectGptLossInputs).lossSum,
      inputs: lossInputSpecs(config, false),
      trainable: Object.fromEntries(Object.entries(trainable).map(([key, { shape }]) => [key, shape])),
      weights: reference.frozen,
      optimizer,
      clipNorm: null,
      decayUnusedParameters: false,
    });
  }

  dispose(): Promise<void> {
    return this.#step.dispose();
  }

  /** @param start values of the trainable tensors; those of the variant where absent */
  async run(start: HostTensorMap = this.#variant.trainable): Promise<Trajectory> {
    const state = createTrainState(this.#engine, start);
    const supervisedTokens = this.#inputs.targets!.data.length;
    const names = Object.keys(start);
    try {
      const losses: number[] = [];
      const take = async (learningRate: number): Promise<void> => {
        const options = { supervisedTokens, learningRate, step: losses.length + 1 };
        losses.push((await this.#step.run(state, [this.#inputs], options)).loss);
      };
      await take(this.#rates[0]!);
      const moments = await state.read(names.map(expAvgName));
      for (const learningRate of this.#rates.slice(1)) await take(learningRate);
      const parameters = await state.read(names);
      await take(0);
      // The first average of a gradient is its share 1 - beta1: this is the gradient that the optimizer saw.
      const share = Math.fround(1 - this.#beta1);
      const gradients = names.map((key): [string, HostTensor | undefined] => {
        const { dtype, shape, data } = moments[expAvgName(key)]!;
        const untouched = sameValues(parameters[key]!, start[key]!) && data.every((value) => value === 0);
        const gradient = { dtype, shape, data: Float32Array.from(data, (value) => value / share) };
        return [key, untouched ? undefined : gradient];
      });
      return { losses, gradients: Object.fromEntries(gradients), parameters };
    } finally {
      state.dispose();
    }
  }

  /**
   * How far each loss of a trajectory moves when the last two bits of the numbers that it starts from are others: the
   * largest change of a few tries, per loss.
   */
  async sensitivity(losses: readonly number[]): Promise<number[]> {
    const furthest = losses.map(() => 0);
    for (let attempt = 0; attempt < perturbations; attempt++) {
      const random = new RandomGenerator(attempt);
      const start = Object.entries(this.#variant.trainable).map(([name, tensor]) => {
        const bits = random.split(name);
        const sign = (): number => (bits.integer(2) === 0 ? -1 : 1);
        const data = Float32Array.from(tensor.data, (value) => value * (1 + sign() * lastBits));
        return [name, { ...tensor, data }] as const;
      });
      const moved = await this.run(Object.fromEntries(start));
      moved.losses.forEach((loss, step) => {
        furthest[step] = Math.max(furthest[step]!, Math.abs(loss - losses[step]!));
      });
    }
    return furthest;
  }
}
