import { z } from 'zod';
import type { Engine, HostTensor, HostTensorMap, InputSpec } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { type AdamWSettings, adamwUpdate, biasCorrections } from '../../train/adamw.ts';
import { type Actual, compareParts, type Part } from './compare.ts';
import type { ParityFixture, ParityHandler } from './handler.ts';

const groupSchema = z.strictObject({
  tensor: z.int().nonnegative(),
  weight_decay: z.number().nonnegative(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number().positive(),
});
/** The groups are under `made_with`, one for each tensor. */
const goldenSchema = z.looseObject({ made_with: z.looseObject({ groups: z.array(groupSchema) }) });

/** Names of a tensor's state after each step, and what `adamwUpdate` calls them. */
const histories = { params: 'parameter', exp_avg: 'expAvg', exp_avg_sq: 'expAvgSq' } as const;
type History = keyof typeof histories;

function settingsOf({ golden, folder }: ParityFixture, tensor: number): AdamWSettings {
  const parsed = goldenSchema.safeParse(golden);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new InputError(
      'PARITY_OPTIMIZER',
      `${folder}/golden.json does not describe its groups: ${faults.join('; ')}.`,
    );
  }
  const group = parsed.data.made_with.groups.find((entry) => entry.tensor === tensor);
  if (group === undefined) {
    throw new InputError(
      'PARITY_OPTIMIZER',
      `${folder}/golden.json has no group for tensor ${tensor} in made_with.groups.`,
    );
  }
  return { betas: group.betas, eps: group.eps, weightDecay: group.weight_decay };
}

function required(fixture: ParityFixture, name: string): HostTensor {
  const tensor = fixture.tensors[name];
  if (tensor === undefined) {
    throw new InputError('PARITY_INPUT_MISSING', `The input "${name}" is not in golden.safetensors.`);
  }
  return tensor;
}

const scalar = (value: number): HostTensor => ({ dtype: 'float32', shape: [], data: Float32Array.of(value) });

/** All steps of one tensor: its value and moments after each, `[steps, ...shape]`. */
async function runSteps(
  fixture: ParityFixture,
  engine: Engine,
  index: number,
): Promise<Record<History, Actual>> {
  const settings = settingsOf(fixture, index);
  const parameter = required(fixture, `init.${index}`);
  const gradients = required(fixture, `grads.${index}`);
  const rates = required(fixture, 'lr');
  // A single number may be stored with an axis of one.
  const [steps, ...shape] = gradients.shape as [number, ...number[]];
  const size = shape.reduce((product, axis) => product * axis, 1);
  if (size !== parameter.data.length) {
    throw new InputError(
      'PARITY_INPUT_SHAPE',
      `init.${index} is [${parameter.shape}], but the gradients of each step are [${shape}].`,
    );
  }
  const tensor: InputSpec = { dtype: 'float32', shape };
  const number: InputSpec = { dtype: 'float32', shape: [] };
  const zeros = (): HostTensor => ({ dtype: 'float32', shape, data: new Float32Array(size) });
  const step = await engine.compile(
    ({ inputs, state }) => {
      const { gradient, learningRate, biasCorrection1, biasCorrection2Sqrt } = inputs;
      const next = adamwUpdate(
        {
          parameter: state.parameter!,
          expAvg: state.expAvg!,
          expAvgSq: state.expAvgSq!,
          gradient: gradient!,
        },
        {
          learningRate: learningRate!,
          biasCorrection1: biasCorrection1!,
          biasCorrection2Sqrt: biasCorrection2Sqrt!,
        },
        settings,
      );
      return { outputs: {}, state: next };
    },
    {
      name: `adamw.${index}`,
      inputs: {
        gradient: tensor,
        learningRate: number,
        biasCorrection1: number,
        biasCorrection2Sqrt: number,
      },
      state: { parameter: tensor, expAvg: tensor, expAvgSq: tensor },
    },
  );
  const state = engine.createState({
    parameter: { ...parameter, shape },
    expAvg: zeros(),
    expAvgSq: zeros(),
  });
  const after: HostTensorMap[] = [];
  try {
    for (let t = 0; t < steps; t++) {
      // One rate for each tensor, or one for all.
      const columns = rates.shape[1] ?? 1;
      const rate = rates.data[t * columns + (columns === 1 ? 0 : index)]!;
      const { biasCorrection1, biasCorrection2Sqrt } = biasCorrections(t + 1, settings.betas);
      const gradient = gradients.data.slice(t * size, (t + 1) * size);
      await step.run(
        {
          gradient: { dtype: 'float32', shape, data: gradient },
          learningRate: scalar(rate),
          biasCorrection1: scalar(biasCorrection1),
          biasCorrection2Sqrt: scalar(biasCorrection2Sqrt),
        },
        state,
      );
      after.push(await state.read());
    }
  } finally {
    state.dispose();
    await step.dispose();
  }
  const history = (entry: (typeof histories)[History]): Actual => ({
    shape: [steps, ...shape],
    data: after.flatMap((values) => Array.from(values[entry]!.data)),
  });
  return {
    params: history(histories.params),
    exp_avg: history(histories.exp_avg),
    exp_avg_sq: history(histories.exp_avg_sq),
  };
}

/** `torch.optim.AdamW`: the state of each tensor after each step, one group a tensor. */
export const adamwHandler: ParityHandler = async (fixture, engine) => {
  const pattern = /^(params|exp_avg|exp_avg_sq)\.(\d+)$/;
  const indices = new Set(
    Object.keys(fixture.golden.tensors ?? {}).flatMap((name) => pattern.exec(name)?.[2] ?? []),
  );
  const parts = [...indices].map((index): Part => {
    return {
      gives: (name) => pattern.exec(name)?.[2] === index,
      compute: async (names) => {
        const steps = await runSteps(fixture, engine, Number(index));
        return Object.fromEntries(names.map((name) => [name, steps[pattern.exec(name)![1] as History]]));
      },
    };
  });
  return compareParts(fixture, parts);
};
