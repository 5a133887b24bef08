import { stat } from 'node:fs/promises';
import { fusionTensorShapes } from '../../fusion/parameters.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import type { Config } from '../../src/config/schema.ts';
import { clipTables } from '../../src/data/datasets.ts';
import { readRecords, recordsLocation, splitRecords } from '../../src/data/read-records.ts';
import type { WeightSource } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { trainableShapes } from '../../src/runtime/affectgpt.ts';
import { modelShapes } from '../../src/runtime/model-shapes.ts';
import { affectGptStepOptions } from '../affectgpt.ts';
import { withSteps } from '../epochs.ts';
import type { StepOptions } from '../step.ts';
import { planValidation } from '../validation/plan.ts';
import { checkpointBytes, checkpointsAtMost, featureBytesPerSample, freeBytes } from './disk.ts';
import { type BatchSize, forecastMemory, validationGraphs } from './memory.ts';
import { countParts, type PartCount } from './parameters.ts';
import type { DryRunReport } from './report.ts';

/** Sums of parts. */
export function parametersOf(parts: readonly PartCount[]): DryRunReport['parameters'] {
  const sum = (key: 'trainable' | 'frozen') => parts.reduce((total, part) => total + part[key], 0);
  return { parts, trainable: sum('trainable'), frozen: sum('frozen') };
}

/** What feature cache and checkpoints take, exactly but for headers, and what is free. */
export async function diskOf(
  config: Config,
  model: AffectGptConfig,
  data: DryRunReport['data'],
): Promise<DryRunReport['disk']> {
  const samples = data.samples === null ? null : data.samples + (data.validated ?? 0);
  const perSample = featureBytesPerSample(model);
  const { featureCache } = config.data;
  const checkpoint = checkpointBytes(trainableShapes(config, model));
  return {
    featureCache:
      featureCache === null || samples === null
        ? null
        : { folder: featureCache, bytes: samples * perSample, freeBytes: await freeBytes(featureCache) },
    featureBytesPerSample: perSample,
    checkpoint,
    checkpoints: {
      folder: config.output,
      bytes: checkpointsAtMost(config.train) * checkpoint.total,
      freeBytes: await freeBytes(config.output),
    },
  };
}

/** Whether the engine of a configuration is the one that memory factors were measured for. */
export const isOnnxruntime = ({ engine }: Config): boolean =>
  engine.type === 'auto' || engine.type === 'onnxruntime';

/**
 * The samples of a configuration as far as they can be counted without its model: from its records, or as the published
 * set has them where that is not on this machine.
 *
 * @returns also the configuration with the steps that follow from them
 */
async function countSamples(
  config: Config,
): Promise<{ readonly data: DryRunReport['data']; readonly config: Config }> {
  const { dataset, trainSplit, manifest, root } = config.data;
  if (manifest === null && !(await stat(root).catch(() => undefined))?.isDirectory()) {
    const isPublished = dataset !== null && Object.hasOwn(clipTables, dataset);
    const samples = isPublished ? clipTables[dataset as keyof typeof clipTables].count : null;
    const countedFrom = isPublished ? 'published set' : null;
    const records = Array.from({ length: samples ?? 0 }, (_, i) => ({ name: String(i), origin: '' }));
    return {
      data: { samples, heldOut: null, validated: null, countedFrom },
      config: samples === null ? config : withSteps(config, records),
    };
  }
  const location = recordsLocation(config);
  const divided = splitRecords(await readRecords(location), trainSplit);
  const { train, heldOut } = divided;
  if (train.length === 0) throw new InputError('SAMPLES_NONE', 'There is no sample to train on.');
  const validated = planValidation(config, divided, location)?.records.length ?? 0;
  return {
    data: { samples: train.length, heldOut: heldOut.length, validated, countedFrom: 'records' },
    config: withSteps(config, train),
  };
}

/** The largest micro-batch that a configuration allows: every sequence as long as may be, half of it learnt. */
const fullSize = ({ train, model }: Config): BatchSize => ({
  batch: train.batchSize,
  tokens: model.maxLength,
  supervised: Math.ceil((train.batchSize * model.maxLength) / 2),
});

/**
 * The optimizer step of a configured model of which nothing but shapes is known. Frozen weights have two bytes a number,
 * as they are published.
 */
export function stepFromShapes(config: Config, model: AffectGptConfig): StepOptions {
  const trainable = trainableShapes(config, model);
  const all = { ...decoderTensorShapes(model.decoder), ...fusionTensorShapes(model.fusion) };
  const weights = Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => !(name in trainable))
      .map(([name, shape]): [string, WeightSource] => [
        name,
        { storage: 'BF16', shape, file: '', begin: 0, end: 0 },
      ]),
  );
  return affectGptStepOptions(config, { config: model, trainable, weights });
}

/**
 * Forecast from shapes alone: no weight is read and nothing runs.
 * @throws InputError `MODEL_SHAPES_UNKNOWN`, and those of reading records that are there
 */
export async function forecastFromShapes(given: Config): Promise<DryRunReport> {
  const { config: model, visualParameters, audioParameters } = await modelShapes(given);
  const { data, config } = await countSamples(given);
  return {
    dryRun: 'shapes',
    parameters: parametersOf(countParts(config, model, { visual: visualParameters, audio: audioParameters })),
    data,
    tokens: null,
    steps: null,
    memory: await forecastMemory({
      step: stepFromShapes(config, model),
      accumulate: config.train.accumulation > 1,
      at: fullSize(config),
      moreGraphs: validationGraphs(config.train),
      isOnnxruntime: isOnnxruntime(config),
    }),
    disk: await diskOf(config, model, data),
    time: null,
  };
}
