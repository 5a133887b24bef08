import { join } from 'node:path';
import { fusionTensorShapes } from '../fusion/parameters.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  lossInputSpecs,
} from '../model/affectgpt.ts';
import { layerOf } from '../model/decoder.ts';
import { inputMode } from '../model/modes.ts';
import { type Collective, single } from '../src/collective/collective.ts';
import { renderConfig } from '../src/config/save.ts';
import type { Config } from '../src/config/schema.ts';
import { type RecordsLocation, readRecords, splitRecords } from '../src/data/read-records.ts';
import { findFileFaults, listFaults, type SampleRecord } from '../src/data/records.ts';
import { Parameters } from '../src/engine/parameters.ts';
import type { Engine } from '../src/engine/types.ts';
import { asOneError, InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { type AffectGpt, initialParameters, openAffectGpt } from '../src/runtime/affectgpt.ts';
import { type OpenSamples, openSamples } from '../src/runtime/samples.ts';
import { findResumable } from './checkpoint-folders.ts';
import { dataRecord, writeDataRecord } from './data-record.ts';
import { describeEnvironment, recordEnvironment } from './environment.ts';
import { describeEpochs, withSteps } from './epochs.ts';
import { stepCost, stepFlops } from './flops.ts';
import { runIdentity } from './identity.ts';
import type { Interrupt } from './interrupts.ts';
import { configuredGrouping } from './length-grouping.ts';
import type { StepRecord } from './logger.ts';
import { train } from './loop.ts';
import { prepareFeatures } from './prepare-features.ts';
import type { OutputStream } from './progress.ts';
import { type Replay, replayStep } from './replay.ts';
import { checkResumable, checkUnused } from './resume.ts';
import { type openRunStatus, withRunStatus } from './run-status.ts';
import { configuredWeights } from './sample-weights.ts';
import { configuredSchedule } from './schedule.ts';
import { recordSkipped } from './skipped.ts';
import type { StepOptions } from './step.ts';
import type { TrainingTask, TrainOutcome } from './task.ts';
import { measurePeakFlops } from './throughput.ts';
import {
  type ConfiguredValidator,
  describePlan,
  openValidationSamples,
  type ValidatorRequest,
  validatorRequest,
} from './validation/open.ts';
import { planValidation } from './validation/plan.ts';

export interface ConfiguredTraining {
  readonly config: Config;
  /** Keys that the user set, for `config.yaml`; see `loadConfig`. */
  readonly sources: ReadonlyMap<string, string>;
  readonly engine: Engine;
  /** The processes that train together, this one among them; absent, it trains alone. */
  readonly collective?: Collective;
  readonly resume: 'auto' | 'never';
  /** For people; null is silent. */
  readonly stream: OutputStream | null;
  readonly label?: string;
  readonly interrupt?: Interrupt;
  /** Looks for what else will be needed; its faults are told together with those of model and data. */
  readonly check?: () => Promise<void>;
  /** Makes what `train.validation` measures with; needed where the configuration has that section. */
  readonly createValidator?: (request: ValidatorRequest) => ConfiguredValidator;
  /** Called once, before the first step, when everything was found and a resumption was not refused. */
  readonly onStart?: () => Promise<void>;
  readonly onStep?: (record: StepRecord) => void;
  /** The arguments, program first, that started it, for the record of the run. */
  readonly command?: readonly string[];
}

/** Where a configuration's samples are described. */
export function recordsLocation({ data }: Config): RecordsLocation {
  // The schema sees to it that exactly one of the two is given.
  return data.manifest === null
    ? { dataset: data.dataset!, root: data.root, settings: { mmla: data.mmla } }
    : { manifest: data.manifest };
}

/**
 * Records of a configuration, divided by `data.trainSplit`, and those that it is validated on.
 * @throws InputError `SAMPLES_NONE`, and those of `readRecords` and `planValidation`
 */
async function readDividedRecords(
  config: Config,
  location: RecordsLocation,
  notify: (message: string) => void,
) {
  const { data } = config;
  const records = await readRecords(location, notify);
  const divided = splitRecords(records, data.trainSplit);
  if (divided.train.length > 0) {
    return { ...divided, validation: planValidation(config, divided, location) };
  }
  const counts = new Map<string, number>();
  for (const { split } of records) counts.set(split!, (counts.get(split!) ?? 0) + 1);
  const found = [...counts].map(([split, count]) => `${split} (${count})`).join(', ');
  const where = 'manifest' in location ? location.manifest : `the data set "${location.dataset}"`;
  throw new InputError(
    'SAMPLES_NONE',
    `No sample of ${where} has the split "${data.trainSplit}" that data.trainSplit asks for; there are: ${found}. Name one of them, or set data.trainSplit to null to train on all.`,
  );
}

/** What is not there of the files that samples name, where models are missing too. */
async function missingFiles(
  { model, data }: Config,
  records: readonly SampleRecord[],
): Promise<InputError | undefined> {
  if (data.onBadSample === 'skip') return undefined;
  const faults = await findFileFaults(records, inputMode(model.inputs));
  if (faults.size === 0) return undefined;
  const texts = listFaults([...faults.values()].flat());
  return new InputError(
    'SAMPLES_UNUSABLE',
    `${faults.size} of ${records.length} samples cannot be used: ${texts}.`,
  );
}

/**
 * The model and the records of a configuration. Whatever is missing of either, or of what else is checked, is said at once.
 * @throws InputError `NOT_READY` where faults of several are joined, else that of the one
 */
export async function openModelAndRecords(
  config: Config,
  check: () => Promise<void>,
  notify: (message: string) => void = () => {},
) {
  const [model, records, checked] = await Promise.allSettled([
    openAffectGpt(config),
    readDividedRecords(config, recordsLocation(config), notify),
    check(),
  ]);
  if (model.status === 'fulfilled' && records.status === 'fulfilled' && checked.status === 'fulfilled') {
    return { model: model.value, ...records.value };
  }
  // A check that needs the records fails as they do.
  const needed = records.status === 'rejected' ? [model, records] : [model, records, checked];
  const errors: unknown[] = needed.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (records.status === 'fulfilled') {
    const missing = await missingFiles(config, records.value.train);
    if (missing !== undefined) errors.push(missing);
  }
  throw asOneError(errors);
}

/** Whether a step of this model drops anything, and so needs dropout keys. */
function dropsAnything({ fusion, lora }: AffectGptConfig): boolean {
  const usesQformer = [fusion.multi, fusion.video, fusion.audio].includes('qformer');
  return (lora !== null && lora.dropout > 0) || (usesQformer && fusion.qformer.dropout > 0);
}

/** The optimizer step of a configured model. */
export function affectGptStepOptions(
  config: Config,
  { config: model, trainable, weights }: Pick<AffectGpt, 'config' | 'trainable' | 'weights'>,
): StepOptions {
  const { betas, eps, weightDecay } = config.train.optimizer;
  return {
    name: 'affectgpt',
    lossSum: ({ inputs, parameters }) =>
      affectGptLoss(model, new Parameters(parameters), inputs as unknown as AffectGptLossInputs).lossSum,
    inputs: lossInputSpecs(model, dropsAnything(model)),
    trainable,
    weights,
    optimizer: { betas, eps, weightDecay },
    clipNorm: config.train.clipNorm,
    decayUnusedParameters: config.compat.decayUnusedParameters,
    segmentOf: layerOf,
  };
}

/**
 * As `replayStep`, with the model that the dump's configuration describes. No sample is read.
 * @throws InputError `MODEL_NOT_FOUND`, and those of `replayStep`
 */
export async function replayConfigured(folder: string, config: Config, engine: Engine): Promise<Replay> {
  const model = await openAffectGpt(config);
  return replayStep(folder, affectGptStepOptions(config, model), engine);
}

/** Whether training changes what the decoder's first layer reads. */
const trainsInputs = ({ config, trainable }: AffectGpt): boolean =>
  'model.embed_tokens.weight' in trainable ||
  (config.mode.slots.length > 0 &&
    Object.keys(fusionTensorShapes(config.fusion)).some((name) => name in trainable));

/** The training of a configured model on its samples, as the loop takes it. */
export async function affectGptTask(
  config: Config,
  model: AffectGpt,
  samples: OpenSamples,
): Promise<TrainingTask> {
  const drops = dropsAnything(model.config);
  const cost = stepCost(model.config.decoder, model.trainable, trainsInputs(model));
  return {
    names: samples.source.names,
    initialParameters: await initialParameters(config, model),
    loadBatch: async (names, { step, ...place }) => {
      const batch = await samples.source.loadBatch(names, drops ? { ...place, step } : place);
      return { ...batch, flops: stepFlops(cost, batch) };
    },
    stepOptions: affectGptStepOptions(config, model),
  };
}

/** Millions with two decimals. */
const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;

/**
 * Trains what a configuration describes: opens models and data (everything missing is said at once), fills the
 * feature cache, and runs the loop in the run folder `output`.
 *
 * @throws InputError `NOT_READY`, `MODEL_NOT_FOUND`, `SAMPLES_NONE`, `SAMPLES_UNUSABLE`,
 *   `SAMPLES_SKIPPED_TOO_MANY`, and those of `train`
 */
export const trainConfigured = (options: ConfiguredTraining): Promise<TrainOutcome> =>
  withRunStatus((begin) => trainInFolder(options, begin));

/** Who trains, and what a step takes, for people. */
function describeRanks({ train: { batchSize, accumulation } }: Config, collective: Collective): string {
  const { size } = collective;
  const ranks = Array.from({ length: size }, (_, rank) => collective.describe(rank)).join(', ');
  return `${size} processes train together (${ranks}): a step takes ${size} x ${batchSize * accumulation} samples.`;
}

async function trainInFolder(
  options: ConfiguredTraining,
  begin: typeof openRunStatus,
): Promise<TrainOutcome> {
  const { sources, engine, resume, stream, interrupt, onStart, onStep, label } = options;
  const { check = async () => {}, createValidator, collective = single } = options;
  // The others compute their part of each step, and leave the run folder and all that is said to it.
  const isFirstRank = collective.rank === 0;
  if (options.config.train.validation !== null && createValidator === undefined) {
    throw new Error('train.validation needs createValidator');
  }
  const prefix = label === undefined ? '' : `${label}: `;
  const say = (message: string): void => void stream?.write(`${prefix}${message}\n`);
  // Said before the features of a large data set are computed, not after.
  if (resume === 'never' && isFirstRank) await checkUnused(options.config.output);
  const {
    model,
    train: trained,
    heldOut,
    validation: plan,
  } = await openModelAndRecords(options.config, isFirstRank ? check : async () => {}, say);
  const config = withSteps(options.config, trained, collective.size);
  const configText = renderConfig(config, sources);
  const weights = configuredWeights(config, trained);
  const identity = runIdentity(config, {
    'model.visualEncoder.description': model.visual?.description ?? null,
    'model.audioEncoder.description': model.audio?.description ?? null,
  });
  const data = dataRecord(trained, recordsLocation(config));
  const { steps, seed } = config.train;
  const policy = plan && { ...plan.settings, set: plan.set };
  const validation = policy && { validation: policy };
  if (isFirstRank) {
    const terms = { runFolder: config.output, resume, identity, seed, steps, data, ranks: collective.size };
    await checkResumable({ ...terms, ...validation, keeping: config.train.checkpoint });
  }
  const samples = await openSamples({
    config,
    model,
    engine,
    records: trained,
    forTraining: true,
    notify: say,
  });
  const setting = { config, model, engine, say };
  const validated = plan && isFirstRank ? await openValidationSamples(plan, trained, setting) : undefined;
  let validator: ConfiguredValidator | undefined;
  try {
    const { trainable, frozen } = model.parameterCounts;
    say(
      `${samples.source.names.length} samples to train on (${heldOut.length} held out); ` +
        `${millions(trainable)} trainable and ${millions(frozen)} frozen parameters; engine ${engine.name}` +
        `${(engine.devices ?? 1) > 1 ? ` on ${engine.devices} devices` : ''}.`,
    );
    const length = describeEpochs(config, trained.length);
    if (length !== undefined) say(length);
    if (collective.size > 1) say(describeRanks(config, collective));
    await prepareFeatures(samples, say, interrupt, collective);
    if (validated !== undefined) {
      await prepareFeatures(validated, say, interrupt);
      validator = createValidator!(validatorRequest(plan!, validated, setting));
      say(describePlan(plan!, validated));
    }
    const task = await affectGptTask(config, model, samples);
    const found = isFirstRank ? await findResumable(config.output) : undefined;
    const from = {
      step: found?.step ?? 0,
      checkpoint: found?.folder ?? null,
      command: options.command ?? null,
    };
    // Data that cannot be used, and signals until now, leave nothing behind.
    const status = isFirstRank ? await begin(config.output, { ...from, steps }) : undefined;
    return await train(task, {
      engine,
      collective,
      steps,
      batchSize: config.train.batchSize,
      accumulation: config.train.accumulation,
      lengthGrouping: configuredGrouping(config, samples.source),
      weights,
      seed,
      onBadNumbers: config.train.onBadNumbers,
      schedule: configuredSchedule(config.train),
      run: {
        folder: config.output,
        resume,
        checkpoint: config.train.checkpoint,
        identity,
        data,
        configText,
        ...(model.config.lora === null
          ? {}
          : { adapter: { settings: config.lora, baseModel: config.model.llm } }),
      },
      log: {
        ...{ every: config.train.log.every, stream },
        ...(isFirstRank && { peakFlops: await measurePeakFlops(engine) }),
        ...(label === undefined ? {} : { label }),
      },
      ...(validator && { validation: { ...plan!.settings, validator } }),
      ...(interrupt && { interrupt }),
      onStart: async () => {
        if (!isFirstRank) return;
        // Not before the run is known to be a new one or the same as before: a refused resumption leaves it alone.
        await writeFileAtomic(join(config.output, 'config.yaml'), configText);
        await writeDataRecord(config.output, data);
        await recordEnvironment(config.output, await describeEnvironment(engine, from));
        const skipped = [...samples.source.skipped, ...(validated?.source.skipped ?? [])];
        if (config.data.onBadSample === 'skip') await recordSkipped(config.output, skipped);
        await onStart?.();
      },
      onStep: async (record) => {
        await status?.update({ step: record.step });
        onStep?.(record);
      },
      onSave: async (saved) => status?.update(saved),
    });
  } finally {
    await validator?.dispose();
    await validated?.releaseEncoders();
    await samples.releaseEncoders();
  }
}
