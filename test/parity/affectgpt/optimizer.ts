import { toPublishedName } from '../../../lora/names.ts';
import { type AffectGptLossInputs, affectGptLoss, lossInputSpecs } from '../../../model/affectgpt.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import type { Engine, HostTensor, HostTensorMap } from '../../../src/engine/types.ts';
import { learningRateAt } from '../../../train/schedule.ts';
import { createTrainState, decays, expAvgName, TrainStep } from '../../../train/step.ts';
import {
  type AffectGptReference,
  isAdapter,
  ownName,
  type ParameterGroup,
  type StepFacts,
  tokenInputs,
  type Variant,
} from '../../support/affectgpt-reference.ts';
import { missed } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { afterSteps, close, closeList, equal, loss, type Rules, sameNames, unknown } from './comparisons.ts';
import { scheduledRates } from './schedules.ts';

/** Softmax ignores a Q-Former's key biases: what is stored of their gradients and updates is rounding noise. */
export const isNoise = (name: string): boolean => /attention\.self\.key\.bias$/.test(name);

/** What training computed: losses before each step and after the last, first gradients, and final values. */
interface Trajectory {
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

/** Trains on the variant's batch, again and again, with what users train with. */
async function train(
  reference: AffectGptReference,
  { name, config, batch, facts, trainable }: Variant,
  steps: StepFacts,
  engine: Engine,
): Promise<Trajectory> {
  const features = Object.fromEntries(config.mode.needs.map((feature) => [feature, batch[feature]!]));
  const inputs = { ...features, ...tokenInputs(config, reference.placeholderIds, batch) };
  const optimizer = optimizerOf(facts.param_groups ?? [], steps);
  const step = new TrainStep(engine, {
    name,
    lossSum: ({ inputs: given, parameters }) =>
      affectGptLoss(config, new Parameters(parameters), given as unknown as AffectGptLossInputs).lossSum,
    inputs: lossInputSpecs(config, false),
    trainable: Object.fromEntries(Object.entries(trainable).map(([key, { shape }]) => [key, shape])),
    weights: reference.frozen,
    optimizer,
    clipNorm: null,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, trainable);
  const supervisedTokens = inputs.targets!.data.length;
  const names = Object.keys(trainable);
  try {
    const losses: number[] = [];
    const take = async (learningRate: number): Promise<void> => {
      const options = { supervisedTokens, learningRate, step: losses.length + 1 };
      losses.push((await step.run(state, [inputs], options)).loss);
    };
    await take(steps.lrs[0]!);
    const moments = await state.read(names.map(expAvgName));
    for (const learningRate of steps.lrs.slice(1)) await take(learningRate);
    const parameters = await state.read(names);
    await take(0);
    // The first average of a gradient is its share 1 - beta1: this is the gradient that the optimizer saw.
    const seen = Math.fround(1 - optimizer.betas[0]);
    const gradients = names.map((key): [string, HostTensor | undefined] => {
      const { dtype, shape, data } = moments[expAvgName(key)]!;
      const untouched = sameValues(parameters[key]!, trainable[key]!) && data.every((value) => value === 0);
      return [
        key,
        untouched ? undefined : { dtype, shape, data: Float32Array.from(data, (value) => value / seen) },
      ];
    });
    return { losses, gradients: Object.fromEntries(gradients), parameters };
  } finally {
    state.dispose();
    await step.dispose();
  }
}

/** `name[:n]` is the gradient of the rows in use; there is none of the others. */
function gradientOf(
  stored: string,
  gradients: Trajectory['gradients'],
  name: string,
  expected: HostTensor,
  rules: Rules,
): Comparison {
  const [key, rows] = name.split('[:') as [string, string?];
  const gradient = gradients[key];
  if (gradient === undefined) return missed(stored, undefined, 'the loss does not reach it here');
  if (rows === undefined) return close(stored, gradient, expected, rules);
  const used = Number.parseInt(rows, 10);
  const size = gradient.data.length / gradient.shape[0]!;
  if (gradient.data.subarray(used * size).some((value) => value !== 0)) {
    return missed(stored, undefined, `rows beyond ${used} have a gradient here`);
  }
  const { dtype, shape, data } = gradient;
  const part = { dtype, shape: [used, ...shape.slice(1)], data: data.subarray(0, used * size) };
  return close(stored, part, expected, rules);
}

const norm = ({ data }: HostTensor): number =>
  Math.sqrt(Array.from(data).reduce((sum, value) => sum + value ** 2, 0));

function compareGradients(
  { name, file, facts, stored }: Variant,
  gradients: Trajectory['gradients'],
  rules: Rules,
): Comparison[] {
  const comparisons: Comparison[] = [];
  const where = `golden.json variants.${name}`;
  const unused = Object.keys(gradients).filter((key) => gradients[key] === undefined);
  const left = 'tensors that no step changes, not even by weight decay';
  if (facts.grad_none !== undefined) {
    comparisons.push(sameNames(`${where}.grad_none`, unused, facts.grad_none.map(ownName), left));
  }
  for (const [published, expected] of Object.entries(stored)) {
    if (!published.startsWith('grad/')) continue;
    const key = ownName(published.slice('grad/'.length));
    if (!isNoise(key)) {
      comparisons.push(gradientOf(`${file} ${published}`, gradients, key, expected, rules));
    }
  }
  for (const [published, expected] of Object.entries(facts.grad_norms ?? {})) {
    const key = ownName(published);
    if (isNoise(key)) continue;
    const label = `${where}.grad_norms.${published}`;
    const gradient = gradients[key];
    comparisons.push(
      gradient === undefined
        ? missed(label, undefined, 'the loss does not reach it here')
        : closeList(label, [norm(gradient)], [expected], rules),
    );
  }
  return comparisons;
}

/** Weight decay, by the groups of the published optimizer. */
function compareGroups({ name, facts, trainable }: Variant): Comparison[] {
  const where = `golden.json variants.${name}`;
  const names = Object.keys(trainable);
  const groups = (facts.param_groups ?? []).flatMap((group, i) => {
    const label = `${where}.param_groups[${i}]`;
    const ours = names.filter((key) => decays(key, trainable[key]!.shape) === group.weight_decay > 0);
    const adapters = ours.filter(isAdapter);
    return [
      sameNames(
        `${label}.names`,
        ours.filter((key) => !isAdapter(key)),
        group.names,
        `weight decay ${group.weight_decay}`,
      ),
      equal(`${label} count, lora`, [ours.length, adapters.length], [group.count, group.lora]),
    ];
  });
  const all = (facts.param_groups_all_names ?? []).map((expected, i) => {
    const decayed = (facts.param_groups?.[i]?.weight_decay ?? 0) > 0;
    const ours = names
      .filter((key) => decays(key, trainable[key]!.shape) === decayed)
      .map((key) => (isAdapter(key) ? toPublishedName(key) : key));
    return sameNames(`${where}.param_groups_all_names[${i}]`, ours, expected);
  });
  return [...groups, ...all];
}

/** Learning rates that the published schedule gave, where its settings are stored beside them. */
function compareRates(label: string, steps: StepFacts): Comparison[] {
  const { lrs, max_epoch: epochs, epoch } = steps;
  if (epochs === undefined) {
    const constant = lrs.map((_, i) => learningRateAt(i + 1, { type: 'constant', lr: lrs[0]! }));
    return [equal(`${label}.lrs`, constant, lrs, 'a constant rate')];
  }
  const at = lrs.map((rate, step) => [Number(epoch), step, rate] as const);
  return scheduledRates(
    `${label}.lrs`,
    'linear_warmup_cosine_lr',
    { ...steps, warmup_start_lr: steps.warmup_lr },
    at,
  );
}

/** Keys of a trajectory's settings. */
const stepKeys = new Set([
  ...['losses', 'loss_after', 'lrs', 'beta2', 'weight_decay', 'epoch', 'max_epoch', 'iters_per_epoch'],
  ...['init_lr', 'min_lr', 'warmup_lr', 'warmup_steps'],
]);

/**
 * Loss, gradients and optimizer steps of a variant: every `five_steps_…` of `golden.json`, and the `grad/` and
 * `after<n>/` of its file. Those belong to the first trajectory, which has a constant rate.
 */
export async function compareTraining(
  reference: AffectGptReference,
  variant: Variant,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const { name, file, facts, stored } = variant;
  const where = `golden.json variants.${name}`;
  const keys = Object.keys(facts).filter((key) => key.startsWith('five_steps_'));
  keys.sort((a, b) => Number('max_epoch' in stepsOf(facts, a)) - Number('max_epoch' in stepsOf(facts, b)));
  const comparisons: Comparison[] = compareGroups(variant);
  const first = await train(
    reference,
    variant,
    keys[0] === undefined ? oneStep : stepsOf(facts, keys[0]),
    engine,
  );
  comparisons.push(loss(`${where}.loss`, first.losses[0]!, facts.loss, rules));
  comparisons.push(...compareGradients(variant, first.gradients, rules));
  comparisons.push(...compareAfter(file, stored, first, rules));
  for (const key of keys) {
    const steps = stepsOf(facts, key);
    const label = `${where}.${key}`;
    const { losses } = key === keys[0] ? first : await train(reference, variant, steps, engine);
    for (const setting of Object.keys(steps)) {
      if (!stepKeys.has(setting)) comparisons.push(unknown(`${label}.${setting}`));
    }
    comparisons.push(...compareRates(label, steps));
    steps.losses.forEach((expected, step) => {
      comparisons.push(loss(`${label}.losses[${step}]`, losses[step]!, expected, rules));
    });
    comparisons.push(loss(`${label}.loss_after`, losses.at(-1)!, steps.loss_after, rules));
  }
  return comparisons;
}

/** Where no trajectory is stored: a step tells the loss and the gradients. */
const oneStep: StepFacts = { losses: [], loss_after: 0, lrs: [1e-3] };

const stepsOf = (facts: Variant['facts'], key: string): StepFacts => facts[key as `five_steps_${string}`]!;

function compareAfter(
  file: string,
  stored: HostTensorMap,
  { parameters, losses }: Trajectory,
  rules: Rules,
): Comparison[] {
  return Object.entries(stored).flatMap(([published, expected]) => {
    const match = /^after(\d+)\/(.+)$/.exec(published);
    if (match === null) return [];
    const label = `${file} ${published}`;
    if (Number(match[1]) !== losses.length - 1) {
      return [missed(label, undefined, `no trajectory of ${match[1]} steps is stored`)];
    }
    const key = ownName(match[2]!);
    if (isNoise(key)) return [];
    const actual = parameters[key];
    if (actual === undefined) return [missed(label, undefined, 'the model has no such tensor')];
    return afterSteps(label, actual, expected, rules);
  });
}

/** Whether training computes (or leaves out for a reason) what is stored under this name. */
export const isOfTraining = (name: string): boolean => /^(grad|after\d+)\//.test(name);
