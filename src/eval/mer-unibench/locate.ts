import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { fileError } from '../../io/filesystem.ts';
import { type BenchmarkKey, benchmarkDatasets } from './datasets.ts';
import { predictionEndings } from './prediction-file.ts';
import { rowFileEndings } from './sample-rows.ts';

/** Where the files of one set are. */
export interface SetFiles {
  readonly key: BenchmarkKey;
  /** A file, or a folder of files. */
  readonly predictions: string;
  readonly labels: string;
}

type Status = 'file' | 'folder' | undefined;

async function statusOf(path: string): Promise<Status> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : found.isDirectory() ? 'folder' : 'file';
}

/**
 * Finds the predictions and labels of each set.
 *
 * With one set either path may be that of the file itself, or of the folder with a set's own files. Otherwise a path is a
 * folder in which each set is found by its key: predictions in `KEY` or `results-KEY` (as published; one folder in it and
 * nothing else is gone into) or a file `KEY.jsonl`, `.csv` or `.npz`; labels where the published layout has them
 * (`meld-process/label.npz`), in a folder `KEY`, or as `KEY-label.npz`, `KEY.csv` or `KEY.jsonl`.
 *
 * @throws InputError `FILE_NOT_FOUND`, `SET_FILES_NOT_FOUND` and `SET_FILES_AMBIGUOUS` (of all sets)
 */
export async function locateSets(
  keys: readonly BenchmarkKey[],
  predictions: string,
  labels: string,
): Promise<SetFiles[]> {
  const faults = new Faults();
  const sets: SetFiles[] = [];
  for (const key of keys) {
    const alone = keys.length === 1;
    const { labelFile } = benchmarkDatasets[key];
    const answers = await find(key, predictions, alone, predictionNames(key), faults);
    const truths = await find(
      key,
      labels,
      alone,
      [...(alone ? [labelFile] : []), ...labelNames(key)],
      faults,
    );
    if (answers === undefined || truths === undefined) continue;
    const found = { key, predictions: await enterOnly(answers), labels: truths };
    sets.push(found);
    if ((await statusOf(truths)) === 'folder') faults.missing(key, truths, labelNames(key));
  }
  faults.check();
  return sets;
}

const predictionNames = (key: BenchmarkKey): string[] => [
  ...[key, `results-${key}`],
  ...predictionEndings.map((ending) => `${key}${ending}`),
];

function labelNames(key: BenchmarkKey): string[] {
  const { layout, labelFile } = benchmarkDatasets[key];
  return [
    ...[join(layout.folder, labelFile), join(key, labelFile), `${key}-${labelFile}`],
    ...rowFileEndings.map((ending) => `${key}${ending}`),
  ];
}

async function find(
  key: BenchmarkKey,
  path: string,
  alone: boolean,
  names: readonly string[],
  faults: Faults,
): Promise<string | undefined> {
  const status = await statusOf(path);
  if (status === undefined) {
    // Says why it cannot be read.
    await stat(path).catch((error) => {
      throw fileError(error, path, 'read');
    });
  }
  if (status === 'file') {
    if (alone) return path;
    faults.missing(key, path, names);
    return undefined;
  }
  const found: string[] = [];
  for (const name of names) {
    if ((await statusOf(join(path, name))) !== undefined) found.push(join(path, name));
  }
  if (found.length > 1) faults.ambiguous(key, found);
  if (found.length > 0) return found[0];
  if (alone) return path;
  faults.missing(key, path, names);
  return undefined;
}

/** A published folder of results holds one folder for each run: where there is but one, its content is meant. */
async function enterOnly(path: string): Promise<string> {
  if ((await statusOf(path)) !== 'folder') return path;
  const entries = (await readdir(path, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'));
  const [only, ...others] = entries;
  return only?.isDirectory() && others.length === 0 ? join(path, only.name) : path;
}

class Faults {
  readonly #missing: string[] = [];
  readonly #ambiguous: string[] = [];

  missing(key: BenchmarkKey, path: string, names: readonly string[]): void {
    this.#missing.push(`of ${key} in ${path} (looked for ${names.join(', ')})`);
  }

  ambiguous(key: BenchmarkKey, found: readonly string[]): void {
    this.#ambiguous.push(`of ${key} there are ${found.join(' and ')}`);
  }

  check(): void {
    if (this.#missing.length > 0) {
      throw new InputError(
        'SET_FILES_NOT_FOUND',
        `There are no files ${this.#missing.join('; ')}. Give a folder in which they have one of these names, or evaluate one set at a time and give the paths of its files.`,
      );
    }
    if (this.#ambiguous.length > 0) {
      throw new InputError(
        'SET_FILES_AMBIGUOUS',
        `It is not clear which files are meant: ${this.#ambiguous.join('; ')}. Evaluate one set at a time and give the path, or move the others away.`,
      );
    }
  }
}
