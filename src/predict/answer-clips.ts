import { existsSync } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadWeights } from '../../train/checkpoint.ts';
import type { Config } from '../config/schema.ts';
import type { SampleRecord } from '../data/records.ts';
import { createEngine } from '../engine/engines.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { readText } from '../io/filesystem.ts';
import { JsonlWriter, readJsonl } from '../io/jsonl.ts';
import { openAffectGpt } from '../runtime/affectgpt.ts';
import { type Prediction, Predictor } from './predictor.ts';

export interface ClipQuestion {
  readonly config: Config;
  /** Checkpoint folder. */
  readonly checkpoint: string;
  readonly records: readonly SampleRecord[];
  readonly question: string;
  readonly notify: (message: string) => void;
}

/**
 * Answers a question about clips with the model of a checkpoint.
 * @throws InputError for whatever is missing or wrong with model, checkpoint or clips
 */
export async function* answerClips(options: ClipQuestion): AsyncGenerator<Prediction> {
  const { config, checkpoint, records, question, notify } = options;
  const engine = await createEngine(config.engine);
  const model = await openAffectGpt(config);
  const { parameters } = await loadWeights(checkpoint, model.trainable);
  const predictor = new Predictor({ config, model, engine, notify });
  const samples = await predictor.openSamples(records);
  const state = predictor.createState(parameters);
  try {
    // Bad clips are told, or left out, before the first answer is asked for.
    await samples.source.prepare();
    await samples.releaseEncoders();
    yield* predictor.predict(state, samples, question);
  } finally {
    state.dispose();
    await samples.releaseEncoders();
    await predictor.dispose();
  }
}

/** Answers that an unfinished file already holds, by name. */
async function answered(file: string, question: string): Promise<Set<string>> {
  const names = new Set<string>();
  if (!existsSync(file)) return names;
  for await (const { row, value } of readJsonl(file)) {
    if (value.question !== question) {
      throw new InputError(
        'PREDICTIONS_OTHER_QUESTION',
        `${file}, row ${row}, answers another question. Remove the file, or write to another one.`,
      );
    }
    names.add(String(value.name));
  }
  return names;
}

/** What decides the answers besides clips and question; kept beside an unfinished file. */
const settingsOf = ({ checkpoint, config }: ClipQuestion): string =>
  `${JSON.stringify({ checkpoint: resolve(checkpoint), generation: config.generation }, null, 2)}\n`;

/**
 * Notes the settings of an unfinished file, or checks that they are still the same.
 * @throws InputError `PREDICTIONS_OTHER_SETTINGS`
 */
async function sameSettings(part: string, options: ClipQuestion): Promise<string> {
  const file = `${part}.settings.json`;
  const settings = settingsOf(options);
  if (existsSync(part) && existsSync(file) && (await readText(file)) !== settings) {
    throw new InputError(
      'PREDICTIONS_OTHER_SETTINGS',
      `${part} was begun with another checkpoint or other generation settings (${file}). Give the same ones, remove both files, or write to another file.`,
    );
  }
  await writeFileAtomic(file, settings);
  return file;
}

/**
 * Writes an answer about each clip to a JSONL file, line by line. It has the name `<file>.part` until all are there, and
 * an interrupted one is continued.
 *
 * @returns the number of answers in the file
 * @throws InputError `OUTPUT_EXISTS`, `PREDICTIONS_OTHER_QUESTION`, `PREDICTIONS_OTHER_SETTINGS`, and those of `answerClips`
 */
export async function writePredictions(file: string, options: ClipQuestion): Promise<number> {
  if (existsSync(file)) {
    throw new InputError('OUTPUT_EXISTS', `${file} exists already. Remove it, or write to another file.`);
  }
  const part = `${file}.part`;
  const settings = await sameSettings(part, options);
  const writer = await JsonlWriter.open(part);
  let count = 0;
  try {
    const done = await answered(part, options.question);
    count = done.size;
    const records = options.records.filter(({ name }) => !done.has(name));
    if (count > 0) options.notify(`${part} holds ${count} answers already; ${records.length} remain.`);
    if (records.length > 0) {
      for await (const prediction of answerClips({ ...options, records })) {
        await writer.append({ ...prediction });
        count++;
      }
    }
    await writer.sync();
  } catch (error) {
    // Where nothing could be answered there is nothing to go on with.
    const empty = count === 0 && (await stat(part)).size === 0;
    if (empty) for (const left of [part, settings]) await rm(left, { force: true });
    throw error;
  } finally {
    await writer.close();
  }
  await rename(part, file);
  await rm(settings, { force: true });
  return count;
}
