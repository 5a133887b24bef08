import { single } from '../src/collective/collective.ts';
import type { State } from '../src/engine/types.ts';
import { checkAdapterDescribed } from './checkpoint.ts';
import { dataDigest } from './data-record.ts';
import { identityHash } from './identity.ts';
import { RunLogger, type RunTotals } from './logger.ts';
import { checkSameTerms, shareParameters, shareResumed } from './ranks.ts';
import { describeResumption, type ResumedRun, resumeRun } from './resume.ts';
import { EpochSampler, firstPosition, type SamplerPosition } from './sampler.ts';
import { createTrainState } from './step.ts';
import type { TrainingTask, TrainOptions } from './task.ts';
import { RunValidation } from './validation/run-validation.ts';
import { cutValidations } from './validation/validation-file.ts';

/** Where a training begins, or goes on. */
export interface RunStart {
  readonly sampler: EpochSampler;
  readonly state: State;
  readonly logger: RunLogger;
  readonly validation: RunValidation | undefined;
  /** Steps done. */
  readonly step: number;
  readonly position: SamplerPosition;
  readonly totals: RunTotals;
  readonly skippedSteps: number;
  /** The one that it goes on from. */
  readonly checkpoint: string | null;
}

/** @throws InputError `CHECKPOINT_ADAPTER_UNDESCRIBED`, and those of `resumeRun` */
async function findResumed(
  { names, stepOptions }: TrainingTask,
  { run, seed, steps, validation, collective = single }: TrainOptions,
  sampler: EpochSampler,
): Promise<ResumedRun | undefined> {
  if (run === null) return undefined;
  checkAdapterDescribed(stepOptions.trainable, run.adapter);
  return resumeRun({
    runFolder: run.folder,
    resume: run.resume,
    shapes: stepOptions.trainable,
    identity: run.identity ?? {},
    data: run.data,
    seed,
    samples: names.length,
    sampler,
    steps,
    ranks: collective.size,
    validation: validation && { ...validation, set: validation.validator.set },
  });
}

/**
 * Finds where a run stands and opens its record. Only rank 0 touches the run folder: the others are told what it found,
 * tensors included.
 *
 * @throws InputError `RANKS_DIFFER`, `CHECKPOINT_ADAPTER_UNDESCRIBED`, those of `EpochSampler` and `resumeRun`
 */
export async function startRun(task: TrainingTask, options: TrainOptions): Promise<RunStart> {
  const { engine, seed, steps, batchSize, log, collective = single } = options;
  const isFirstRank = collective.rank === 0;
  const accumulation = options.accumulation * collective.size;
  const { names } = task;
  const sampler = new EpochSampler({
    ...{ names, seed, batchSize, accumulation },
    lengthGrouping: options.lengthGrouping ?? null,
    weights: options.weights ?? null,
  });
  const { identity = {}, data, checkpoint } = options.run ?? {};
  await checkSameTerms(collective, {
    'the settings': identityHash(identity),
    'the samples': `${sampler.namesHash} ${data && dataDigest(data)}`,
    'the numbers of steps': JSON.stringify([steps, seed, batchSize, accumulation, checkpoint?.every]),
  });
  const found = isFirstRank ? await findResumed(task, options, sampler) : undefined;
  const resumed = await shareResumed(collective, found);
  const initialParameters = await shareParameters(collective, task.initialParameters);
  const saved = resumed?.checkpoint.state;
  const step = saved?.step ?? 0;
  const totals: RunTotals = {
    tokens: saved?.tokensSeen ?? 0,
    samples: saved?.samplesSeen ?? 0,
    seconds: saved?.seconds ?? 0,
  };
  const position = saved === undefined ? firstPosition : { epoch: saved.epoch, index: saved.sampler.index };
  const run = isFirstRank ? options.run : null;
  const validated = isFirstRank ? options.validation : undefined;
  const validation = validated && (await RunValidation.open(validated, run, step));
  if (run !== null && validation === undefined) await cutValidations(run.folder, step);
  const logger = await RunLogger.open({
    folder: run?.folder ?? null,
    stream: isFirstRank ? (log?.stream ?? null) : null,
    every: log?.every ?? 1,
    label: log?.label,
    peakFlops: log?.peakFlops && log.peakFlops * collective.size,
    steps,
    from: { step, totals },
    ...(validation && { secondsBesideSteps: (at) => validation.secondsLeft(at, steps) }),
  });
  if (resumed !== undefined) {
    await logger.note(
      describeResumption(resumed, { steps, ranks: collective.size, samples: sampler.size(position.epoch) }),
    );
  }
  const state = createTrainState(engine, resumed?.checkpoint.parameters ?? initialParameters, {
    accumulation,
    ...(resumed && { moments: resumed.checkpoint.moments }),
  });
  const skippedSteps = saved?.skippedSteps ?? 0;
  const from = resumed?.folder ?? null;
  return { sampler, state, logger, validation, step, position, totals, skippedSteps, checkpoint: from };
}
