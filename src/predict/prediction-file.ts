import { existsSync } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject, type JsonValue } from '../io/json.ts';
import { JsonlWriter, readJsonl } from '../io/jsonl.ts';

/** What decides answers besides the clips. */
export type PredictionSettings = Readonly<Record<string, JsonValue>>;

export interface PredictionFileOptions<Item extends { readonly name: string }> {
  readonly records: readonly Item[];
  /** Keys of a line that say what a record was asked; a line of the file that says otherwise is refused. */
  readonly asked: (record: Item) => Readonly<Record<string, string>>;
  /** Answers about some of the records, as lines of the file: in their order where all of them can be answered. */
  readonly answer: (records: readonly Item[]) => AsyncIterable<{ readonly name: string }>;
  readonly notify: (message: string) => void;
}

/** The file that an unfinished one is. */
export const partOf = (file: string): string => `${file}.part`;

/** Answers that an unfinished file already holds, by name. */
async function answered<Item extends { readonly name: string }>(
  file: string,
  { records, asked }: PredictionFileOptions<Item>,
): Promise<Set<string>> {
  const names = new Set<string>();
  if (!existsSync(file)) return names;
  const byName = new Map(records.map((record) => [record.name, record]));
  for await (const { row, value } of readJsonl(file)) {
    const name = String(value.name);
    const record = byName.get(name);
    const expected = record === undefined ? undefined : Object.entries(asked(record));
    if (expected === undefined || expected.some(([key, text]) => value[key] !== text)) {
      throw new InputError(
        'PREDICTIONS_OTHER_QUESTION',
        `${file}, row ${row}, answers another question${record === undefined ? `: "${name}" is not asked about` : ''}. Remove the file, or write to another one.`,
      );
    }
    names.add(name);
  }
  return names;
}

/**
 * Writes an answer about each record to a JSONL file, each on the disk before the next one is asked for. It has the name
 * `<file>.part` until all are there, and an interrupted one is continued. Its lines are in the order of the records.
 *
 * @returns the number of answers in the file
 * @throws InputError `PREDICTIONS_OTHER_QUESTION`, and those of `answer`
 */
export async function continuePredictions<Item extends { readonly name: string }>(
  file: string,
  options: PredictionFileOptions<Item>,
): Promise<number> {
  const { answer, notify } = options;
  const part = partOf(file);
  const writer = await JsonlWriter.open(part);
  const names: string[] = [];
  try {
    const done = await answered(part, options);
    names.push(...done);
    const records = options.records.filter(({ name }) => !done.has(name));
    if (done.size > 0) notify(`${part} holds ${done.size} answers already; ${records.length} remain.`);
    if (records.length > 0) {
      for await (const prediction of answer(records)) {
        await writer.append({ ...prediction });
        await writer.sync();
        names.push(prediction.name);
      }
    }
  } catch (error) {
    // Where nothing could be answered there is nothing to go on with.
    if (names.length === 0 && (await stat(part)).size === 0) await rm(part, { force: true });
    throw error;
  } finally {
    await writer.close();
  }
  await putInOrder(part, names, options.records);
  await rename(part, file);
  return names.length;
}

/** Answers that failed at first and came later stand at the end; here they take their place. */
async function putInOrder(
  part: string,
  names: readonly string[],
  records: readonly { readonly name: string }[],
): Promise<void> {
  const place = new Map(records.map(({ name }, i) => [name, i]));
  const places = names.map((name) => place.get(name)!);
  if (places.every((at, i) => i === 0 || at > places[i - 1]!)) return;
  const lines: { readonly at: number; readonly text: string }[] = [];
  for await (const { value } of readJsonl(part)) {
    lines.push({ at: place.get(String(value.name))!, text: `${JSON.stringify(value)}\n` });
  }
  lines.sort((a, b) => a.at - b.at);
  await writeFileAtomic(part, lines.map(({ text }) => text).join(''));
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

/**
 * Checks what there is of a file of predictions, finished or not, before anything is asked.
 * @throws InputError `PREDICTIONS_NO_SETTINGS` where it is not known how it was made, and those of `checkSettings`
 */
export async function checkBegun(
  file: string,
  settingsFile: string,
  settings: PredictionSettings,
): Promise<void> {
  for (const begun of [file, partOf(file)].filter(existsSync)) {
    if (existsSync(settingsFile)) await checkSettings(begun, settingsFile, settings);
    else throw noSettings(begun, settingsFile);
  }
}

const noSettings = (file: string, settingsFile: string): InputError =>
  new InputError(
    'PREDICTIONS_NO_SETTINGS',
    `It is not known how ${file} was made: ${settingsFile} is not there. Remove it, or write to another folder; to score it as it is, give it as --predictions.`,
  );

/** Values by dotted key, as JSON. */
function flatten(value: unknown, key = ''): Map<string, string> {
  if (!isJsonObject(value)) return new Map([[key, JSON.stringify(value)]]);
  return new Map(
    Object.entries(value).flatMap(([name, member]) => [
      ...flatten(member, key === '' ? name : `${key}.${name}`),
    ]),
  );
}
