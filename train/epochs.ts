import { validationFault, warmupFault } from '../src/config/rules.ts';
import type { Config } from '../src/config/schema.ts';
import type { SampleRecord } from '../src/data/records.ts';
import { InputError } from '../src/errors.ts';
import { configuredWeights } from './sample-weights.ts';
import { EpochSampler } from './sampler.ts';

/**
 * A configuration whose `train.steps` holds: where it gives `train.epochs`, the optimizer steps of so many epochs. The
 * last step of an epoch takes what is left, so that this is epochs x ceil(samples / samples of a step), but for weights.
 *
 * @param records that are trained on; those that are left out later as bad samples count
 * @param ranks processes that train together
 * @throws InputError `TRAIN_STEPS_TOO_FEW` where other keys need more steps, and those of `EpochSampler`
 */
export function withSteps(config: Config, records: readonly SampleRecord[], ranks = 1): Config {
  const { epochs, seed, batchSize, accumulation } = config.train;
  if (epochs === null) return config;
  const sampler = new EpochSampler({
    names: records.map(({ name }) => name),
    ...{ seed, batchSize, accumulation: accumulation * ranks },
    weights: configuredWeights(config, records),
  });
  const train = { ...config.train, steps: sampler.stepsOf(epochs) };
  const faults = [warmupFault(train), validationFault(train)].flatMap((fault, i) =>
    fault === undefined ? [] : [`${['train.schedule.warmupSteps', 'train.validation.every'][i]}: ${fault}`],
  );
  if (faults.length > 0) {
    throw new InputError(
      'TRAIN_STEPS_TOO_FEW',
      `${epochs} ${epochs === 1 ? 'epoch' : 'epochs'} of ${records.length} samples (train.epochs) are ${train.steps} steps, too few for ${faults.join('; ')}.`,
    );
  }
  return { ...config, train };
}

/** How long a training on records is, for people; undefined where `train.steps` says it. */
export function describeEpochs(config: Config, records: readonly SampleRecord[]): string | undefined {
  const { epochs, steps } = config.train;
  if (epochs === null) return undefined;
  const weights = configuredWeights(config, records);
  const seen = weights && Math.round(records.reduce((sum, { name }) => sum + weights.get(name)!, 0));
  const drawn = seen === null ? '' : `, ${seen} drawn in each by data.mmla.weights`;
  return `${epochs} ${epochs === 1 ? 'epoch' : 'epochs'} of ${records.length} samples${drawn} (train.epochs): ${steps} steps.`;
}
