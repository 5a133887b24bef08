import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { InputError } from '../../errors.ts';
import { fileError } from '../../io/filesystem.ts';
import { finding, type InputFinding } from './findings.ts';
import {
  type Prediction,
  type PredictionPart,
  predictionEndings,
  readPredictionFile,
} from './prediction-file.ts';
import type { Aligned } from './samples.ts';
import { compareCodePoints } from './words.ts';

export type { Prediction } from './prediction-file.ts';

/** What one model, or one of its checkpoints, answered. */
export interface PredictionCheckpoint {
  /** Stem of its files without `-openset` and `-openset-sentiment`. */
  readonly name: string;
  readonly files: readonly string[];
  readonly samples: ReadonlyMap<string, Prediction>;
  readonly findings: readonly InputFinding[];
}

export interface PredictionSet {
  /** By name, numbers in it by their value. */
  readonly checkpoints: readonly PredictionCheckpoint[];
  /** About the folder; what is about a checkpoint is in it. */
  readonly findings: readonly InputFinding[];
}

interface NamedFile {
  readonly path: string;
  readonly name: string;
  readonly part: PredictionPart;
}

const byName = new Intl.Collator('en', { numeric: true });

/**
 * Reads what models answered: one file, with the companions that lie beside it, or a folder with the files of several
 * checkpoints, its subfolders left alone. `X.npz`, `X-openset.npz` and `X-openset-sentiment.npz` are one checkpoint X (the
 * same for `.jsonl` and `.csv`); any of them may be absent. Hidden files do not count.
 *
 * @throws InputError `PREDICTIONS_NONE` (a folder without any), `PREDICTIONS_AMBIGUOUS` (two files that say the same),
 *   `PREDICTIONS_CONTRADICTORY`, `PREDICTIONS_UNREADABLE` (all faults where several files have one), and those of
 *   `readPredictionFile`
 */
export async function readPredictions(path: string): Promise<PredictionSet> {
  const status = await stat(path).catch((error) => {
    throw fileError(error, path, 'read');
  });
  const { files, others } = status.isDirectory() ? await filesIn(path) : await filesBeside(path);
  const names = [...new Set(files.map(({ name }) => name))].sort(
    (a, b) => byName.compare(a, b) || compareCodePoints(a, b),
  );
  const checkpoints: PredictionCheckpoint[] = [];
  const errors: InputError[] = [];
  for (const name of names) {
    try {
      const own = files.filter((file) => file.name === name);
      checkpoints.push(await readCheckpoint(name, own));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0]!;
  if (errors.length > 1) {
    const messages = errors.map(({ message }) => message).join(' ');
    throw new InputError(
      'PREDICTIONS_UNREADABLE',
      `${errors.length} checkpoints in ${path} cannot be read. ${messages}`,
    );
  }
  const findings =
    others.length === 0 ? [] : [finding('other-file', path, others, 'files that are no predictions')];
  return { checkpoints, findings };
}

/** One thing that is known of the samples of a checkpoint, of those of which it is known. */
export function predictionsOf<Field extends keyof Prediction>(
  { samples }: PredictionCheckpoint,
  field: Field,
): Map<string, NonNullable<Prediction[Field]>> {
  const values = new Map<string, NonNullable<Prediction[Field]>>();
  for (const [name, prediction] of samples) {
    const value = prediction[field];
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/**
 * What `alignPredictions` found: samples without prediction, and predictions about no sample.
 *
 * @throws InputError `PREDICTIONS_NO_MATCH` where not one labelled sample has a prediction
 */
export function alignmentFindings(
  { pairs, missing, unknown }: Aligned<unknown, unknown>,
  checkpoint: PredictionCheckpoint,
): InputFinding[] {
  const file = checkpoint.files[0]!;
  if (missing.length === pairs.length) {
    throw new InputError(
      'PREDICTIONS_NO_MATCH',
      `${file}: none of the ${pairs.length} labelled samples has a prediction. Labels have names such as ${missing.slice(0, 3).join(', ')}, predictions ${unknown.slice(0, 3).join(', ') || 'none at all'}; probably they belong to different sets.`,
    );
  }
  const findings: InputFinding[] = [];
  if (missing.length > 0) {
    findings.push(finding('missing', file, missing, 'labelled samples without prediction'));
  }
  if (unknown.length > 0) {
    findings.push(finding('unknown', file, unknown, 'predictions about samples without label'));
  }
  return findings;
}

/** The checkpoint and part that a file's name says; undefined for other kinds of files. */
function named(path: string): NamedFile | undefined {
  const ending = extname(path).toLowerCase();
  if (!predictionEndings.includes(ending)) return undefined;
  const stem = basename(path).slice(0, -ending.length);
  const [, name, suffix] = /^(.+?)(-openset-sentiment|-openset)?$/s.exec(stem)!;
  const part = suffix === '-openset' ? 'openset' : suffix === '-openset-sentiment' ? 'sentiment' : 'answers';
  return { path, name: name!, part };
}

interface Listing {
  readonly files: readonly NamedFile[];
  /** Names of the others. */
  readonly others: readonly string[];
}

async function list(folder: string): Promise<{ files: NamedFile[]; others: string[]; folders: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw fileError(error, folder, 'read');
  });
  const shown = entries.filter(({ name }) => !name.startsWith('.'));
  const plain = shown.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const files = plain.map((name) => named(join(folder, name))).filter((file) => file !== undefined);
  return {
    files,
    others: plain.filter((name) => named(name) === undefined).sort(compareCodePoints),
    folders: shown.filter((entry) => entry.isDirectory()).map(({ name }) => name),
  };
}

async function filesIn(folder: string): Promise<Listing> {
  const { files, others, folders } = await list(folder);
  if (files.length === 0) {
    const below =
      folders.length === 0 ? '' : ` Its folders are ${folders.slice(0, 20).join(', ')}; give one of them.`;
    throw new InputError(
      'PREDICTIONS_NONE',
      `${folder} holds no predictions; expected are files ending in ${predictionEndings.join(', ')}.${below}`,
    );
  }
  return { files, others };
}

async function filesBeside(path: string): Promise<Listing> {
  const chosen = named(path);
  if (chosen === undefined) {
    throw new InputError(
      'PREDICTIONS_KIND',
      `${path} is no file of predictions; those end in ${predictionEndings.join(', ')}.`,
    );
  }
  const { files } = await list(dirname(path));
  const companions = files.filter(({ name, part }) => name === chosen.name && part !== chosen.part);
  return { files: [chosen, ...companions], others: [] };
}

const parts: readonly PredictionPart[] = ['answers', 'openset', 'sentiment'];

async function readCheckpoint(name: string, unordered: readonly NamedFile[]): Promise<PredictionCheckpoint> {
  const files = [...unordered].sort((a, b) => parts.indexOf(a.part) - parts.indexOf(b.part));
  const twice = files.find(({ part }, i) => part === files[i - 1]?.part);
  if (twice !== undefined) {
    const both = files.filter(({ part }) => part === twice.part).map(({ path }) => path);
    throw new InputError(
      'PREDICTIONS_AMBIGUOUS',
      `${both.join(' and ')} are both predictions of "${name}"; it is not clear which are meant. Rename one, or give the path of the other.`,
    );
  }
  const findings: InputFinding[] = [];
  const samples = new Map<string, Prediction>();
  const namesOf = new Map<string, ReadonlyMap<string, Prediction>>();
  const contradictions: string[] = [];
  for (const { path, part } of files) {
    const file = await readPredictionFile(path, part);
    findings.push(...file.findings);
    namesOf.set(path, file.samples);
    for (const [sample, prediction] of file.samples) {
      const known = samples.get(sample);
      if (known !== undefined && !agree(known, prediction)) contradictions.push(sample);
      samples.set(sample, { ...known, ...prediction });
    }
  }
  const paths = files.map(({ path }) => path);
  if (contradictions.length > 0) {
    throw new InputError(
      'PREDICTIONS_CONTRADICTORY',
      `${paths.join(' and ')} say different things about ${contradictions.length} samples, among them ${contradictions.slice(0, 5).join(', ')}; it is not clear which are meant.`,
    );
  }
  for (const [path, own] of namesOf) {
    const absent = [...samples.keys()].filter((sample) => !own.has(sample)).sort(compareCodePoints);
    if (absent.length > 0) {
      findings.push(
        finding('incomplete', path, absent, `samples that other files of "${name}" have and this has not`),
      );
    }
  }
  return { name, files: paths, samples, findings };
}

/** Whether two files say the same of a sample, as far as both say something. */
function agree(a: Prediction, b: Prediction): boolean {
  return (['text', 'labels', 'sentiment'] as const).every(
    (field) =>
      a[field] === undefined ||
      b[field] === undefined ||
      JSON.stringify(a[field]) === JSON.stringify(b[field]),
  );
}
