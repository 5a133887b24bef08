import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadWeights } from '../../train/checkpoint.ts';
import type { Config } from '../config/schema.ts';
import type { SampleRecord } from '../data/records.ts';
import type { Question } from '../data/source.ts';
import { createEngine } from '../engine/engines.ts';
import type { State } from '../engine/types.ts';
import { InputError } from '../errors.ts';
import { type AffectGpt, openAffectGpt } from '../runtime/affectgpt.ts';
import type { OpenSamples } from '../runtime/samples.ts';
import {
  checkSettings,
  continuePredictions,
  type PredictionSettings,
  partOf,
  writeSettings,
} from './prediction-file.ts';
import { type Prediction, Predictor, type ScoredAnswers } from './predictor.ts';

type Notify = (message: string) => void;

/** A configured model that stays open, to be asked about several sets of clips with the weights of several checkpoints. */
export class ClipAnswerer {
  readonly #model: AffectGpt;
  readonly #predictor: Predictor;

  private constructor(model: AffectGpt, predictor: Predictor) {
    this.#model = model;
    this.#predictor = predictor;
  }

  /** @throws InputError for whatever is missing or wrong with the models */
  static async open(config: Config, notify: Notify): Promise<ClipAnswerer> {
    const engine = await createEngine({ ...config.engine, devices: 1 });
    const model = await openAffectGpt(config);
    return new ClipAnswerer(model, new Predictor({ config, model, engine, notify }));
  }

  /**
   * Answers a question about clips.
   *
   * @param checkpoint its folder
   * @param question the same for all, or that of each by its name
   * @throws InputError for whatever is missing or wrong with checkpoint or clips
   */
  async *answer(
    checkpoint: string,
    records: readonly SampleRecord[],
    question: Question,
  ): AsyncGenerator<Prediction> {
    yield* this.#withSamples(checkpoint, records, (state, samples) =>
      this.#predictor.predict(state, samples, question),
    );
  }

  /**
   * Log-likelihoods of answers to a question about clips.
   *
   * @param checkpoint its folder
   * @param question the same for all, or that of each by its name
   * @param answers in the words of the clips' own kind of answer, which the prompt format of the run may frame
   * @throws InputError for whatever is missing or wrong with checkpoint or clips
   */
  async *score(
    checkpoint: string,
    records: readonly SampleRecord[],
    question: Question,
    answers: readonly string[],
  ): AsyncGenerator<ScoredAnswers> {
    yield* this.#withSamples(checkpoint, records, (state, samples) =>
      this.#predictor.score(state, samples, question, answers),
    );
  }

  async *#withSamples<T>(
    checkpoint: string,
    records: readonly SampleRecord[],
    work: (state: State, samples: OpenSamples) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    const { parameters } = await loadWeights(checkpoint, this.#model.trainable);
    const samples = await this.#predictor.openSamples(records);
    const state = this.#predictor.createState(parameters);
    try {
      // Bad clips are told, or left out, before the first answer is asked for.
      await samples.source.prepare();
      await samples.releaseEncoders();
      yield* work(state, samples);
    } finally {
      state.dispose();
      await samples.releaseEncoders();
    }
  }

  async dispose(): Promise<void> {
    await this.#predictor.dispose();
  }
}

export interface ClipQuestion {
  readonly config: Config;
  /** Checkpoint folder. */
  readonly checkpoint: string;
  readonly records: readonly SampleRecord[];
  /** The same for all, or that of each by its name. */
  readonly question: Question;
  readonly notify: Notify;
}

/**
 * Answers a question about clips with the model of a checkpoint.
 * @throws InputError for whatever is missing or wrong with model, checkpoint or clips
 */
export async function* answerClips(options: ClipQuestion): AsyncGenerator<Prediction> {
  const { config, checkpoint, records, question, notify } = options;
  const answerer = await ClipAnswerer.open(config, notify);
  try {
    yield* answerer.answer(checkpoint, records, question);
  } finally {
    await answerer.dispose();
  }
}

/** What decides the answers besides clips and question; kept beside an unfinished file. */
const settingsOf = ({ checkpoint, config }: ClipQuestion): PredictionSettings => ({
  checkpoint: resolve(checkpoint),
  generation: config.generation,
});

/**
 * Writes an answer about each clip to a JSONL file. An interrupted one is continued (`continuePredictions`).
 *
 * @returns the number of answers in the file
 * @throws InputError `OUTPUT_EXISTS`, those of `checkSettings`, `continuePredictions` and `answerClips`
 */
export async function writePredictions(file: string, options: ClipQuestion): Promise<number> {
  if (existsSync(file)) {
    throw new InputError('OUTPUT_EXISTS', `${file} exists already. Remove it, or write to another file.`);
  }
  const part = partOf(file);
  const settingsFile = `${part}.settings.json`;
  const { question } = options;
  const settings = settingsOf(options);
  if (existsSync(part) && existsSync(settingsFile)) await checkSettings(part, settingsFile, settings);
  await writeSettings(settingsFile, settings);
  try {
    return await continuePredictions(file, {
      ...options,
      asked: ({ name }) => ({ question: typeof question === 'string' ? question : question(name) }),
      answer: (records) => answerClips({ ...options, records }),
    });
  } finally {
    // They say how to go on with what is there.
    if (!existsSync(part)) await rm(settingsFile, { force: true });
  }
}
