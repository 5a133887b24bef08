import { existsSync } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { SampleRecord } from '../data/records.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject, type JsonValue } from '../io/json.ts';
import { JsonlWriter, readJsonl } from '../io/jsonl.ts';
import type { Prediction } from './predictor.ts';

/** What decides answers besides the clips. */
export type PredictionSettings = Readonly<Record<string, JsonValue>>;

export interface PredictionFileOptions {
  readonly records: readonly SampleRecord[];
  readonly question: string;
  /** Answers about some of the records, in their order. */
  readonly answer: (records: readonly SampleRecord[]) => AsyncIterable<Prediction>;
  readonly notify: (message: string) => void;
}

/** The file that an unfinished one is. */
export const partOf = (file: string): string => `${file}.part`;

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

/**
 * Writes an answer about each clip to a JSONL file, each on the disk before the next one is asked for. It has the name
 * `<file>.part` until all are there, and an interrupted one is continued.
 *
 * @returns the number of answers in the file
 * @throws InputError `PREDICTIONS_OTHER_QUESTION`, and those of `answer`
 */
export async function continuePredictions(file: string, options: PredictionFileOptions): Promise<number> {
  const { question, answer, notify } = options;
  const part = partOf(file);
  const writer = await JsonlWriter.open(part);
  let count = 0;
  try {
    const done = await answered(part, question);
    count = done.size;
    const records = options.records.filter(({ name }) => !done.has(name));
    if (count > 0) notify(`${part} holds ${count} answers already; ${records.length} remain.`);
    if (records.length > 0) {
      for await (const prediction of answer(records)) {
        await writer.append({ ...prediction });
        await writer.sync();
        count++;
      }
    }
  } catch (error) {
    // Where nothing could be answered there is nothing to go on with.
    if (count === 0 && (await stat(part)).size === 0) await rm(part, { force: true });
    throw error;
  } finally {
    await writer.close();
  }
  await rename(part, file);
  return count;
}

/** Writes down the settings of a file of predictions. */
export async function writeSettings(settingsFile: string, settings: PredictionSettings): Promise<void> {
  await writeFileAtomic(settingsFile, `${JSON.stringify(settings, null, 2)}\n`);
}

/**
 * Checks that a file of predictions, finished or not, was begun with the same settings.
 * @throws InputError `PREDICTIONS_OTHER_SETTINGS` with both values of all that differ
 */
export async function checkSettings(
  file: string,
  settingsFile: string,
  settings: PredictionSettings,
): Promise<void> {
  const advice = 'Give the same ones, remove both files, or write to another place.';
  let before: unknown;
  try {
    before = JSON.parse(await readText(settingsFile));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError(
      'PREDICTIONS_OTHER_SETTINGS',
      `It is not known how ${file} was made: ${settingsFile} is not JSON (${error.message}). ${advice}`,
    );
  }
  const [was, is] = [flatten(before), flatten(settings)];
  const differences = [...new Set([...was.keys(), ...is.keys()])]
    .filter((key) => was.get(key) !== is.get(key))
    .map((key) => `${key} was ${was.get(key) ?? 'not there'} and is ${is.get(key) ?? 'not there'}`);
  if (differences.length === 0) return;
  throw new InputError(
    'PREDICTIONS_OTHER_SETTINGS',
    `${file} was begun with other settings (${settingsFile}): ${differences.join('; ')}. ${advice}`,
  );
}

/** Values by dotted key, as JSON. */
function flatten(value: unknown, key = ''): Map<string, string> {
  if (!isJsonObject(value)) return new Map([[key, JSON.stringify(value)]]);
  return new Map(
    Object.entries(value).flatMap(([name, member]) => [
      ...flatten(member, key === '' ? name : `${key}.${name}`),
    ]),
  );
}
