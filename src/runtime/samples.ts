import type { Config } from '../config/schema.ts';
import { FeatureStore } from '../data/feature-store.ts';
import { FeatureExtractor } from '../data/features.ts';
import { clipCount } from '../data/media/audio.ts';
import { type PromptFormat, promptFormat } from '../data/prompt-format.ts';
import type { AnswerSpace } from '../data/prompts.ts';
import type { SampleRecord } from '../data/records.ts';
import { SampleSource } from '../data/source.ts';
import type { Engine } from '../engine/types.ts';
import type { AffectGpt } from './affectgpt.ts';
import type { EncoderStart } from './encoders/open-encoder.ts';

export interface SampleOptions {
  readonly config: Config;
  readonly model: AffectGpt;
  readonly engine: Engine;
  readonly records: readonly SampleRecord[];
  /** Records to be trained on: answers are checked and drawn. Otherwise samples are only asked. */
  readonly forTraining: boolean;
  /** Of the training records, where `records` are others: what questions list. */
  readonly answerSpace?: AnswerSpace;
  readonly notify: (message: string) => void;
}

/** How a configuration words its samples. */
export const formatOf = ({ model, data, compat }: Config): PromptFormat =>
  promptFormat({ inputs: model.inputs, template: data.template, compat });

/** Samples with their features, as a configuration wants them. */
export interface OpenSamples {
  readonly source: SampleSource;
  readonly features: FeatureExtractor;
  readonly store: FeatureStore;
  /** Lets go of the encoders' memory. They are loaded again where features are asked for that nothing keeps. */
  releaseEncoders(): Promise<void>;
}

/**
 * Connects records with the model's encoders and the feature cache.
 * @throws InputError `SAMPLES_UNUSABLE` with every bad sample, `SAMPLES_SKIPPED_TOO_MANY`
 */
export async function openSamples(options: SampleOptions): Promise<OpenSamples> {
  const { config, model, engine, records, forTraining, answerSpace, notify } = options;
  const { audioNormalisation, audioMeanRemoval, audioTail, faceColorOrder, attendFinalEos } = config.compat;
  const store = new FeatureStore({ folder: config.data.featureCache, notify });
  const start: EncoderStart = {
    engine,
    threads: config.engine.threads,
    policy: {
      meanRemoval: audioMeanRemoval,
      normalisation: audioNormalisation,
      clipsPerSample: clipCount,
    },
  };
  const visual = model.visual?.start(start);
  const audio = model.audio?.start(start);
  const features = new FeatureExtractor({
    store,
    ...(visual && { visual }),
    ...(audio && { audio }),
    frames: config.model.frames,
    audioTail,
    faceColors: { stored: config.data.faces.colorOrder, encoded: faceColorOrder },
    jointAudio: audioNormalisation === 'batch',
    media: { timeoutSeconds: config.data.decodeTimeout },
    notify,
  });
  const source = await SampleSource.open({
    records,
    inputs: config.model.inputs,
    format: formatOf(config),
    model: model.config,
    tokenizer: model.tokenizer,
    features,
    maxLength: config.model.maxLength,
    seed: config.train.seed,
    attendFinalEos,
    fixedSizes: engine.fixedSizes ?? false,
    labelType: forTraining ? config.data.labelType : null,
    ...(answerSpace && { answerSpace }),
    onBadSample: config.data.onBadSample,
    ...(forTraining && { badSampleLimit: config.data.badSampleLimit }),
    notify,
  });
  return {
    source,
    features,
    store,
    releaseEncoders: async () => {
      await visual?.dispose();
      await audio?.dispose();
    },
  };
}
