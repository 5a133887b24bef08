import { join } from 'node:path';
import { type AffectGptLossInputs, affectGptLoss, lossInputSpecs } from '../model/affectgpt.ts';
import { renderConfig } from '../src/config/save.ts';
import type { Config } from '../src/config/schema.ts';
import { type RecordsLocation, readRecords, splitRecords } from '../src/data/source.ts';
import { Parameters } from '../src/engine/parameters.ts';
import type { Engine } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { type AffectGpt, initialParameters, openAffectGpt } from '../src/runtime/affectgpt.ts';
import { type OpenSamples, openSamples } from '../src/runtime/samples.ts';
import { runIdentity } from './identity.ts';
import type { Interrupt } from './interrupts.ts';
import type { StepRecord } from './logger.ts';
import { train } from './loop.ts';
import { formatDuration, type OutputStream } from './progress.ts';
import { configuredSchedule } from './schedule.ts';
import type { TrainingTask, TrainOutcome } from './task.ts';

export interface ConfiguredTraining {
  readonly config: Config;
  /** Keys that the user set, for `config.yaml`; see `loadConfig`. */
  readonly sources: ReadonlyMap<string, string>;
  readonly engine: Engine;
  readonly resume: 'auto' | 'never';
  /** For people; null is silent. */
  readonly stream: OutputStream | null;
  readonly label?: string;
  readonly interrupt?: Interrupt;
  readonly onStep?: (record: StepRecord) => void;
}

/** Where a configuration's samples are described. */
export function recordsLocation({ data }: Config): RecordsLocation {
  // The schema sees to it that exactly one of the two is given.
  return data.manifest === null ? { dataset: data.dataset!, root: data.root } : { manifest: data.manifest };
}

/** Waits for all, and reports the input errors of all in one. */
async function allFaultsAtOnce<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const results = await Promise.allSettled([first, second]);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  const [one] = errors;
  if (errors.length > 1 && errors.every((error) => error instanceof InputError)) {
    throw new InputError('NOT_READY', errors.map((error) => error.message).join('\n'));
  }
  if (one !== undefined) throw one;
  const [a, b] = results as [PromiseFulfilledResult<A>, PromiseFulfilledResult<B>];
  return [a.value, b.value];
}

/** The training of a configured model on its samples, as the loop takes it. */
export async function affectGptTask(
  config: Config,
  model: AffectGpt,
  samples: OpenSamples,
): Promise<TrainingTask> {
  const { fusion, lora } = model.config;
  const usesQformer = [fusion.multi, fusion.video, fusion.audio].includes('qformer');
  const drops = (lora !== null && lora.dropout > 0) || (usesQformer && fusion.qformer.dropout > 0);
  const { betas, eps, weightDecay } = config.train.optimizer;
  return {
    names: samples.source.names,
    initialParameters: await initialParameters(config, model),
    loadBatch: (names, { epoch, step }) =>
      samples.source.loadBatch(names, drops ? { epoch, step } : { epoch }),
    stepOptions: {
      name: 'affectgpt',
      lossSum: ({ inputs, parameters }) =>
        affectGptLoss(model.config, new Parameters(parameters), inputs as unknown as AffectGptLossInputs)
          .lossSum,
      inputs: lossInputSpecs(model.config, drops),
      trainable: model.trainable,
      weights: model.weights,
      optimizer: { betas, eps, weightDecay },
      clipNorm: config.train.clipNorm,
      decayUnusedParameters: config.compat.decayUnusedParameters,
    },
  };
}

/** Millions with two decimals. */
const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;

/**
 * Trains what a configuration describes: opens models and data (everything missing is said at once), fills the
 * feature cache, and runs the loop in the run folder `output`.
 *
 * @throws InputError `NOT_READY`, `MODEL_NOT_FOUND`, `SAMPLES_UNUSABLE`, and those of `train`
 */
export async function trainConfigured(options: ConfiguredTraining): Promise<TrainOutcome> {
  const { config, sources, engine, resume, stream, interrupt, onStep, label } = options;
  const prefix = label === undefined ? '' : `${label}: `;
  const say = (message: string): void => void stream?.write(`${prefix}${message}\n`);
  const [model, records] = await allFaultsAtOnce(openAffectGpt(config), readRecords(recordsLocation(config)));
  const { train: trained, heldOut } = splitRecords(records, config.data.trainSplit);
  const samples = await openSamples({
    config,
    model,
    engine,
    records: trained,
    forTraining: true,
    notify: say,
  });
  try {
    const { trainable, frozen } = model.parameterCounts;
    say(
      `${samples.source.names.length} samples to train on (${heldOut.length} held out); ` +
        `${millions(trainable)} trainable and ${millions(frozen)} frozen parameters; engine ${engine.name}.`,
    );
    await prepareFeatures(samples, say);
    const task = await affectGptTask(config, model, samples);
    let configWritten = false;
    return await train(task, {
      engine,
      steps: config.train.steps,
      batchSize: config.train.batchSize,
      accumulation: config.train.accumulation,
      seed: config.train.seed,
      schedule: configuredSchedule(config.train),
      run: {
        folder: config.output,
        resume,
        checkpoint: config.train.checkpoint,
        identity: runIdentity(config),
        ...(model.config.lora === null
          ? {}
          : { adapter: { settings: config.lora, baseModel: config.model.llm } }),
      },
      log: { every: config.train.log.every, stream, ...(label === undefined ? {} : { label }) },
      ...(interrupt && { interrupt }),
      onStep: async (record) => {
        // Not before the run is known to be a new one or the same as before: a refused resumption leaves it alone.
        if (!configWritten)
          await writeFileAtomic(join(config.output, 'config.yaml'), renderConfig(config, sources));
        configWritten = true;
        onStep?.(record);
      },
    });
  } finally {
    await samples.dispose();
  }
}

/** Fills the feature cache and says how much of it was there. */
export async function prepareFeatures(samples: OpenSamples, say: (message: string) => void): Promise<void> {
  const started = performance.now();
  await samples.source.prepare();
  const { computed, fromDisk } = samples.store.counts;
  if (computed > 0) {
    const seconds = (performance.now() - started) / 1000;
    say(`Features: ${computed} computed, ${fromDisk} from the cache, in ${formatDuration(seconds)}.`);
  }
}
