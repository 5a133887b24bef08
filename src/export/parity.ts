import { greedyToken } from '../../model/generation.ts';
import { inputMode } from '../../model/modes.ts';
import type { Config } from '../config/schema.ts';
import { readManifest } from '../data/manifest.ts';
import { decodeAudio } from '../data/media/audio.ts';
import { readRecords, recordsLocation, splitRecords } from '../data/read-records.ts';
import { featureSources, type SampleRecord } from '../data/records.ts';
import { onnxruntimeVersion } from '../engine/onnxruntime/user-model.ts';
import type { Engine, HostTensorMap } from '../engine/types.ts';
import { CheckError, InputError } from '../errors.ts';
import { defaultQuestion } from '../predict/question.ts';
import type { AffectGpt } from '../runtime/affectgpt.ts';
import { Generator } from '../runtime/generator.ts';
import { checkPromptLengths } from '../runtime/prompt-length.ts';
import { formatOf, type OpenSamples, openSamples } from '../runtime/samples.ts';
import type { ExportDescription, ParityResult } from './manifest.ts';
import type { PrecisionRule } from './precision.ts';
import { ExportedModel, type ExportedPrompt } from './run-folder.ts';

/** Samples to compare with: a manifest, or else those of the run, held-out ones first. */
export async function parityRecords(
  config: Config,
  manifest: string | undefined,
  wanted: number,
): Promise<SampleRecord[]> {
  const records = await candidates(config, manifest);
  if (records.length === 0)
    throw new InputError('SAMPLES_NONE', `${manifest} has no samples to compare with.`);
  return records.slice(0, wanted);
}

async function candidates(config: Config, manifest: string | undefined): Promise<SampleRecord[]> {
  if (manifest !== undefined) return readManifest(manifest);
  const all = await readRecords(recordsLocation(config)).catch((error: unknown) => {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      error.code,
      `The export compares itself with the trained model on samples of the run: ${error.message} Name other samples with --parity-data.`,
      { cause: error },
    );
  });
  const { train, heldOut } = splitRecords(all, config.data.trainSplit);
  return [...heldOut, ...train];
}

export interface ParityOptions {
  readonly config: Config;
  readonly model: AffectGpt;
  readonly engine: Engine;
  /** Trained tensors of the checkpoint. */
  readonly parameters: HostTensorMap;
  readonly records: readonly SampleRecord[];
  readonly rule: PrecisionRule;
  readonly notify: (message: string) => void;
}

/** Largest difference of two lists of numbers; NaN counts as infinite. */
export function maxAbsDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}

/** The token with the highest score, the first of equals; -1 where a score is no number. */
const mostLikely = (scores: Float32Array): number =>
  scores.every(Number.isFinite) ? greedyToken(scores) : -1;

/** The pictures and the sound of a sample, as every program would decode them for the exported graphs. */
async function mediaOf(
  { source, features }: OpenSamples,
  name: string,
  config: Config,
): Promise<Partial<ExportedPrompt>> {
  const media: Record<string, unknown> = {};
  const { sources } = featureSources(source.record(name), inputMode(config.model.inputs));
  for (const one of sources) {
    media[one.kind] =
      one.kind === 'audio'
        ? await decodeAudio(one.file, { timeoutSeconds: config.data.decodeTimeout })
        : await features.pictures(one);
  }
  return media;
}

/**
 * Runs an exported folder, encoders included, beside the training engine: the same prompts, then token after token what
 * the engine chooses.
 */
export async function measureParity(
  folder: string,
  description: ExportDescription,
  options: ParityOptions,
): Promise<ParityResult> {
  const { config, model, engine, records, rule, notify } = options;
  const question = defaultQuestion(config);
  const samples = await openSamples({ config, model, engine, records, forTraining: false, notify });
  const generator = new Generator(engine, model);
  const state = engine.createState(options.parameters);
  const exported = await ExportedModel.openAs(folder, description, { threads: config.engine.threads });
  const { tokenizer } = model;
  const { vocabSize, maxPositionEmbeddings } = model.config.decoder;
  let [tokens, generated, disagreed, equalAnswers] = [0, 0, 0, 0];
  let [logitDifference, featureDifference] = [0, 0];
  try {
    for (const name of samples.source.names) {
      const prompts = await samples.source.loadPrompts([name], question);
      checkPromptLengths({ source: samples.source, names: [name], prompts, maxPositionEmbeddings });
      const prompt: ExportedPrompt = {
        subtitle: samples.source.record(name).subtitle ?? '',
        question,
        ...(await mediaOf(samples, name, config)),
      };
      const features = await exported.features(prompt);
      for (const [kind, { data }] of Object.entries(features)) {
        const difference = maxAbsDifference(data as Float32Array, prompts.inputs[kind]!.data);
        featureDifference = Math.max(featureDifference, difference);
      }
      const reading = exported.startWith(prompt, await exported.vectors(features));
      let disagreements = 0;
      await generator.answer(state, prompts, {
        maxNewTokens: config.generation.maxNewTokens,
        stop: tokenizer.stopSequences(formatOf(config).stop),
        sampling: { method: 'greedy' },
        padToken: tokenizer.padId,
        async observe({ tokens: read, logits }) {
          const other =
            read === null ? await reading.read(reading.promptIds, 0) : await reading.read([...read], 0);
          logitDifference = Math.max(logitDifference, maxAbsDifference(logits, other));
          tokens += logits.length / vocabSize;
          generated++;
          if (greedyToken(logits.slice(-vocabSize)) !== mostLikely(other.slice(-vocabSize))) disagreements++;
        },
      });
      disagreed += disagreements;
      if (disagreements === 0) equalAnswers++;
    }
  } finally {
    state.dispose();
    await exported.dispose();
    await generator.dispose();
    await samples.releaseEncoders();
  }
  return {
    samples: samples.source.names,
    question,
    tokens,
    maxAbsFeatureDifference: model.config.mode.needs.length > 0 ? featureDifference : null,
    maxAbsLogitDifference: logitDifference,
    logitBound: rule.logitBound,
    tokenAgreement: 1 - disagreed / generated,
    agreementBound: rule.agreementBound,
    equalAnswers,
    engine: engine.name,
    onnxruntime: onnxruntimeVersion,
  };
}

/** The result in a sentence. */
export function describeParity(parity: ParityResult): string {
  const { maxAbsLogitDifference, logitBound, tokenAgreement, agreementBound, equalAnswers } = parity;
  const bound = logitBound === null ? 'not bounded' : `bound ${logitBound.toExponential()}`;
  return (
    `scores at ${parity.tokens} tokens differ by at most ${maxAbsLogitDifference.toExponential(2)} (${bound}); ` +
    `${(tokenAgreement * 100).toFixed(2)} % of the generated tokens agree (at least ${agreementBound * 100} % have to); ` +
    `${equalAnswers} of ${parity.samples.length} greedy answers are the same token for token`
  );
}

/** @throws CheckError `EXPORT_PARITY` where a bound is exceeded */
export function checkParity(parity: ParityResult): void {
  const { maxAbsLogitDifference, logitBound, tokenAgreement, agreementBound } = parity;
  const isWithin = logitBound === null || maxAbsLogitDifference <= logitBound;
  if (isWithin && tokenAgreement >= agreementBound) return;
  throw new CheckError(
    'EXPORT_PARITY',
    `The exported graphs do not compute what the trained model does: ${describeParity(parity)}. Nothing was written.`,
  );
}
