import { toPublishedName } from '../../../lora/names.ts';
import type { Engine, HostTensor, HostTensorMap } from '../../../src/engine/types.ts';
import { learningRateAt } from '../../../train/schedule.ts';
import { decays } from '../../../train/step.ts';
import {
  type AffectGptReference,
  isAdapter,
  ownName,
  type StepFacts,
  type Variant,
} from '../../support/affectgpt-reference.ts';
import { missed } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import {
  afterSteps,
  close,
  closeList,
  equal,
  loss,
  type Rules,
  sameNames,
  unknownKeys,
} from './comparisons.ts';
import { scheduledRates } from './schedules.ts';
import { Training, type Trajectory } from './trajectory.ts';

/** Softmax ignores a Q-Former's key biases: what is stored of their gradients and updates is rounding noise. */
export const isNoise = (name: string): boolean => /attention\.self\.key\.bias$/.test(name);

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
  for (const [i, key] of (keys.length === 0 ? [undefined] : keys).entries()) {
    const steps = key === undefined ? oneStep : stepsOf(facts, key);
    const training = new Training(reference, variant, steps, engine);
    try {
      const trajectory = await training.run();
      if (i === 0) {
        comparisons.push(loss(`${where}.loss`, trajectory.losses[0]!, facts.loss, rules));
        comparisons.push(...compareGradients(variant, trajectory.gradients, rules));
        comparisons.push(...compareAfter(file, stored, trajectory, rules));
      }
      if (key === undefined) continue;
      const label = `${where}.${key}`;
      comparisons.push(...unknownKeys(`${label}.`, steps, stepKeys));
      comparisons.push(...compareRates(label, steps));
      comparisons.push(...(await compareLosses(label, steps, trajectory.losses, training, rules)));
    } finally {
      await training.dispose();
    }
  }
  return comparisons;
}

/** How many times as far as rounding carries a trajectory two of them may be apart: each has rounding of its own. */
const roundings = 4;

/**
 * The losses of a trajectory. Where gradients grow from step to step, rounding grows with them, until the losses of two
 * correct programs differ by more than the rule allows. So one that is beyond it after some steps is held against what
 * rounding alone does: the same trajectory, started from numbers whose last two bits differ.
 */
async function compareLosses(
  label: string,
  steps: StepFacts,
  losses: readonly number[],
  training: Training,
  rules: Rules,
): Promise<Comparison[]> {
  const expected = [...steps.losses, steps.loss_after];
  const names = expected.map((_, i) => (i < steps.losses.length ? `losses[${i}]` : 'loss_after'));
  const compared = expected.map((value, i) => loss(`${label}.${names[i]}`, losses[i]!, value, rules));
  if (compared[0]?.ok !== true || compared.every(({ ok }) => ok)) return compared;
  const moves = await training.sensitivity(losses);
  return compared.map((comparison, i) => {
    const tolerance = roundings * moves[i]!;
    if (comparison.ok || tolerance <= comparison.tolerance) return comparison;
    const note =
      `the rule allows ${comparison.tolerance.toExponential(2)}, but the last two bits of the starting values move this loss by ` +
      `${moves[i]!.toExponential(2)}: ${roundings} times that are allowed`;
    return { ...comparison, tolerance, ok: comparison.maxAbsError <= tolerance, note };
  });
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
