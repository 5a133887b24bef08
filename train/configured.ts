import { join } from 'node:path';
import { type Collective, single } from '../src/collective/collective.ts';
import { renderConfig } from '../src/config/save.ts';
import type { Config } from '../src/config/schema.ts';
import { recordsLocation } from '../src/data/read-records.ts';
import type { Engine } from '../src/engine/types.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { openSamples } from '../src/runtime/samples.ts';
import { affectGptTask } from './affectgpt.ts';
import { findResumable } from './checkpoint-folders.ts';
import { dataRecord, writeDataRecord } from './data-record.ts';
import { describeEnvironment, recordEnvironment } from './environment.ts';
import { describeEpochs, withSteps } from './epochs.ts';
import { runIdentity } from './identity.ts';
import type { Interrupt } from './interrupts.ts';
import { configuredGrouping } from './length-grouping.ts';
import type { StepRecord } from './logger.ts';
import { train } from './loop.ts';
import { openModelAndRecords } from './model-and-records.ts';
import { prepareFeatures } from './prepare-features.ts';
import type { OutputStream } from './progress.ts';
import { checkResumable, checkUnused } from './resume.ts';
import { type openRunStatus, withRunStatus } from './run-status.ts';
import { configuredWeights } from './sample-weights.ts';
import { configuredSchedule } from './schedule.ts';
import { recordSkipped } from './skipped.ts';
import type { TrainOutcome } from './task.ts';
import { measurePeakFlops } from './throughput.ts';
import {
  type ConfiguredValidator,
  describePlan,
  openValidationSamples,
  type ValidatorRequest,
  validatorRequest,
} from './validation/open.ts';

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
    const length = describeEpochs(config, trained);
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
