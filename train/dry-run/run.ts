import type { Config } from '../../src/config/schema.ts';
import { listFaults } from '../../src/data/records.ts';
import type { Engine } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import type { AffectGpt } from '../../src/runtime/affectgpt.ts';
import { lacksModels } from '../../src/runtime/configured-models.ts';
import { type OpenSamples, openSamples } from '../../src/runtime/samples.ts';
import { affectGptTask } from '../affectgpt.ts';
import { describeEpochs, withSteps } from '../epochs.ts';
import { configuredGrouping } from '../length-grouping.ts';
import type { StepRecord } from '../logger.ts';
import { train } from '../loop.ts';
import { openModelAndRecords } from '../model-and-records.ts';
import { checkUnused } from '../resume.ts';
import { configuredWeights } from '../sample-weights.ts';
import { EpochSampler, firstPosition, type SamplerOptions } from '../sampler.ts';
import { configuredSchedule } from '../schedule.ts';
import type { TrainingTask } from '../task.ts';
import { openValidationSamples } from '../validation/open.ts';
import { secondsOfValidation } from '../validation/validation-file.ts';
import { diskOf, isOnnxruntime, parametersOf } from './forecast.ts';
import { forecastMemory, validationGraphs } from './memory.ts';
import { countParts } from './parameters.ts';
import type { DryRunReport, MeasuredSteps } from './report.ts';
import { countTokens } from './tokens.ts';

export interface DryRunOptions {
  readonly config: Config;
  readonly engine: Engine;
  /** `never` refuses a run folder that is in use, as training does. */
  readonly resume: 'auto' | 'never';
  /** Looks for what else will be needed; its faults are told together with those of model and data. */
  readonly check?: () => Promise<void>;
  readonly notify: (message: string) => void;
}

/** Steps run: one that compiles, three that are timed, and one with the widest batch. */
const stepCount = 5;

const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)]!;

/** Adds how to do without models to an error about models that are not there. */
async function withAlternative(config: Config, error: unknown): Promise<unknown> {
  if (!(error instanceof InputError)) return error;
  if (!(await lacksModels(config))) return error;
  const hint =
    'affectgpt train --dry-run --shapes-only tells parameters, memory and disk without the models, from shapes alone.';
  return new InputError(error.code, `${error.message}\n${hint}`, { cause: error });
}

/**
 * Features of these samples, one sample after the other, kept in memory.
 *
 * @returns median seconds of those after the first, which also loads the encoders; and the samples whose media can be
 *   used, the others being named
 * @throws InputError `SAMPLES_UNUSABLE` with every sample whose media cannot be used, unless these are skipped
 */
async function computeFeatures(
  { config, notify }: DryRunOptions,
  samples: OpenSamples,
  names: readonly string[],
): Promise<{ readonly seconds: number; readonly usable: readonly string[] }> {
  const seconds: number[] = [];
  const faults: string[] = [];
  const usable: string[] = [];
  for (const name of names) {
    const started = performance.now();
    try {
      await samples.source.loadBatch([name], { epoch: 1 });
      seconds.push((performance.now() - started) / 1000);
      usable.push(name);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      faults.push(error.message);
    }
  }
  if (faults.length > 0 && (config.data.onBadSample === 'fail' || usable.length === 0)) {
    throw new InputError(
      'SAMPLES_UNUSABLE',
      `${faults.length} of the ${names.length} samples that a dry run decodes cannot be used: ${listFaults(faults)}.`,
    );
  }
  for (const fault of faults) notify(`Skipped: ${fault}`);
  return { seconds: median(seconds.length > 1 ? seconds.slice(1) : seconds), usable };
}

/** What decides the order of samples besides the seed. */
type DrawOrder = Pick<SamplerOptions, 'lengthGrouping' | 'weights'>;

/** Names of the samples of the first steps. */
function namesOfSteps(config: Config, names: readonly string[], order: DrawOrder, steps: number): string[] {
  const { seed, batchSize, accumulation } = config.train;
  const sampler = new EpochSampler({ names, seed, batchSize, accumulation, ...order });
  const drawn = new Set<string>();
  for (let step = 1, position = firstPosition; step <= steps; step++) {
    const { microBatches, next } = sampler.draw(position);
    for (const name of microBatches.flat()) drawn.add(name);
    position = next;
  }
  return [...drawn];
}

/** Runs the first steps and one with the widest batch, in memory alone. */
async function runSteps(
  config: Config,
  engine: Engine,
  task: TrainingTask,
  order: DrawOrder,
  widest: readonly string[],
): Promise<MeasuredSteps> {
  const { batchSize, accumulation, seed } = config.train;
  const records: StepRecord[] = [];
  let afterStepBytes = 0;
  const measured: TrainingTask = {
    ...task,
    loadBatch: (names, at) => task.loadBatch(at.step === stepCount && widest.length > 0 ? widest : names, at),
  };
  await train(measured, {
    ...{ engine, steps: stepCount, batchSize, accumulation, seed, ...order },
    schedule: configuredSchedule(config.train),
    run: null,
    onStep: (record) => {
      if (records.length === 0) afterStepBytes = process.memoryUsage().rss;
      records.push(record);
    },
  });
  const [first, ...others] = records;
  const last = others.pop();
  return {
    engine: engine.name,
    medianSeconds: median(others.map(({ seconds }) => seconds)),
    firstSeconds: first!.seconds,
    widestSeconds: last!.seconds,
    loss: first!.loss,
    gradNorm: first!.gradNorm,
    memory: { afterStepBytes, peakBytes: process.resourceUsage().maxRSS * 1024 },
  };
}

/** How many validations there will be, and what one takes where the run folder has some. */
async function forecastValidations(
  { train: { steps, validation }, output }: Config,
  samples: number,
): Promise<NonNullable<DryRunReport['time']>['validations']> {
  if (validation === null) return null;
  const seconds = await secondsOfValidation(output, samples);
  return { count: Math.floor(steps / validation.every), seconds: seconds ?? null };
}

/** Inputs that need no pictures and no sound need no encoder. */
const needsFeatures = (model: AffectGpt): boolean => model.config.mode.needs.length > 0;

/**
 * Everything that a training does before its first step, and a few steps, in memory alone: models and records are found
 * and checked (whatever is wrong is said at once), the media of the samples of these steps are decoded and encoded.
 * Neither the run folder nor the feature cache is written.
 *
 * @throws InputError `RUN_EXISTS`, `NOT_READY`, `MODEL_NOT_FOUND`, `SAMPLES_NONE`, `SAMPLES_UNUSABLE`, and those of
 *   `train`
 */
export async function dryRun(options: DryRunOptions): Promise<DryRunReport> {
  const { engine, resume, check = async () => {}, notify } = options;
  if (resume === 'never') await checkUnused(options.config.output);
  const opened = await openModelAndRecords(options.config, check, notify).catch(async (error: unknown) => {
    throw await withAlternative(options.config, error);
  });
  const { model, train: records, heldOut, validation } = opened;
  const config = withSteps(options.config, records);
  const length = describeEpochs(config, records);
  if (length !== undefined) notify(length);
  const inMemory: Config = { ...config, data: { ...config.data, featureCache: null } };
  const samples = await openSamples({
    config: inMemory,
    ...{ model, engine, records, forTraining: true, notify },
  });
  try {
    const { source } = samples;
    const { names } = source;
    if (validation !== undefined) {
      const setting = { config: inMemory, model, engine, say: notify };
      // Their files and answers are checked as those of training are.
      await (await openValidationSamples(validation, records, setting)).releaseEncoders();
    }
    const order = {
      lengthGrouping: configuredGrouping(config, source),
      weights: configuredWeights(config, records),
    };
    const { summary, widest } = countTokens({
      ...config.train,
      names,
      ...order,
      lengthOf: (name) => source.sequenceLength(name, 1),
    });
    const drawn = new Set([...namesOfSteps(config, names, order, stepCount), ...widest.names]);
    const { seconds: featureSeconds, usable } = await computeFeatures(options, samples, [...drawn]);
    await samples.releaseEncoders();
    const task = await affectGptTask(config, model, samples);
    const isWhole = usable.length === drawn.size;
    const steps = await runSteps(
      config,
      engine,
      // Where some were skipped, the others stand in for them.
      isWhole ? task : { ...task, names: usable },
      order,
      isWhole ? widest.names : widest.names.filter((name) => usable.includes(name)),
    );
    const encoders = {
      visual: model.visual?.parameterCount ?? null,
      audio: model.audio?.parameterCount ?? null,
    };
    const perSample = needsFeatures(model) ? featureSeconds : null;
    const validated = validation?.records.length ?? 0;
    const validations = await forecastValidations(config, validated);
    const data = {
      samples: names.length,
      heldOut: heldOut.length,
      validated,
      countedFrom: 'records',
    } as const;
    return {
      dryRun: 'run',
      parameters: parametersOf(countParts(config, model.config, encoders)),
      data,
      tokens: summary,
      steps,
      memory: await forecastMemory({
        step: task.stepOptions,
        accumulate: config.train.accumulation > 1,
        // Any batch of any epoch: as many of the longest sample.
        at: {
          batch: config.train.batchSize,
          tokens: summary.longestTokens,
          supervised: config.train.batchSize * summary.mostSupervised,
        },
        moreGraphs: validationGraphs(config.train),
        isOnnxruntime: isOnnxruntime(config),
      }),
      disk: await diskOf(config, model.config, data),
      time: {
        trainingSeconds:
          config.train.steps * steps.medianSeconds +
          (validations === null ? 0 : validations.count * (validations.seconds ?? 0)),
        validations,
        featureSecondsPerSample: perSample,
        featureSecondsAtMost: (perSample ?? 0) * (names.length + validated),
      },
    };
  } finally {
    await samples.releaseEncoders();
  }
}
