import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { locateMmla } from '../../data/mmla/locate.ts';
import { type MmlaSplit, type MmlaTask, type MmlaTaskKey, mmlaTasks } from '../../data/mmla/tasks.ts';
import { InputError } from '../../errors.ts';
import { fileError } from '../../io/filesystem.ts';

/** Files of predictions by task, one for each seed. */
export type PredictionFiles = ReadonlyMap<MmlaTaskKey, readonly string[]>;

async function isFolder(path: string): Promise<boolean> {
  const there = await stat(path).catch((error) => {
    throw fileError(error, path, 'read');
  });
  return there.isDirectory();
}

/** What a file with the predictions of a task may be called: by its key, or as the published scripts call it. */
const predictionNames = ({ key, taskKey }: MmlaTask): string[] => [
  ...[`${key}.jsonl`, `${key}.csv`, `${key}_${taskKey}_results.csv`],
  ...[`${key}_${taskKey}_result.jsonl`, `${key}_${taskKey}_results.jsonl`],
];

/**
 * Finds files of predictions: each path is a seed, a file of the one task or a folder with a file for each task.
 *
 * @param paths at least one
 * @param tasks that are asked for; absent: those of which the folders hold predictions
 * @returns files in the order of `paths`
 * @throws InputError `MMLA_TASK_MISSING`, `MMLA_PREDICTIONS_MISSING` with all that is not there,
 *   `MMLA_PREDICTIONS_AMBIGUOUS`, and those of listing folders
 */
export async function findPredictions(
  paths: readonly string[],
  tasks: readonly MmlaTask[] | undefined,
): Promise<PredictionFiles> {
  const seeds: (readonly [path: string, files: ReadonlyMap<MmlaTaskKey, string>])[] = [];
  for (const path of paths) {
    if (await isFolder(path)) seeds.push([path, await filesIn(path)]);
    else if (tasks?.length === 1) seeds.push([path, new Map([[tasks[0]!.key, path]])]);
    else {
      throw new InputError(
        'MMLA_TASK_MISSING',
        `${path} is a file, and holds the answers to one task: say which by one --task. For several tasks give a folder with a file for each.`,
      );
    }
  }
  const found = new Set(seeds.flatMap(([, files]) => [...files.keys()]));
  const wanted = tasks ?? mmlaTasks.filter(({ key }) => found.has(key));
  if (wanted.length === 0) {
    throw new InputError(
      'MMLA_PREDICTIONS_MISSING',
      `${paths.join(', ')} holds no file of predictions that is called by a task, such as ${predictionNames(mmlaTasks[0]!).join(' or ')}.`,
    );
  }
  const missing = wanted.flatMap((task) =>
    seeds.filter(([, files]) => !files.has(task.key)).map(([path]) => `${path} has none of ${task.key}`),
  );
  if (missing.length > 0) {
    throw new InputError(
      'MMLA_PREDICTIONS_MISSING',
      `Predictions are not there: ${missing.join('; ')}. In a folder a file is called by its task, such as ${predictionNames(wanted[0]!).join(' or ')}.`,
    );
  }
  return new Map(wanted.map(({ key }) => [key, seeds.map(([, files]) => files.get(key)!)]));
}

async function filesIn(folder: string): Promise<Map<MmlaTaskKey, string>> {
  const names = new Set(
    await readdir(folder).catch((error) => {
      throw fileError(error, folder, 'read');
    }),
  );
  const files = new Map<MmlaTaskKey, string>();
  for (const task of mmlaTasks) {
    const found = predictionNames(task).filter((name) => names.has(name));
    if (found.length > 1) {
      throw new InputError(
        'MMLA_PREDICTIONS_AMBIGUOUS',
        `${folder} holds ${found.join(' and ')}; both are predictions of ${task.key}. Keep one of them there.`,
      );
    }
    if (found[0] !== undefined) files.set(task.key, join(folder, found[0]));
  }
  return files;
}

/** What a file with the samples of a task may be called in a folder: after the task, or in the task's own after the split. */
const goldNames = (
  { key, folder: released, taskKey }: MmlaTask,
  split: MmlaSplit,
  folder: string,
): string[] => [
  ...['jsonl', 'json', 'tsv', 'csv'].map((ending) => `${key}.${ending}`),
  ...([key, released].includes(folder) ? [`${split}.tsv`, `${split}.jsonl`, `${split}_${taskKey}.json`] : []),
];

/**
 * The file with the gold labels of a task's split: the path itself, a file in it that is called by the task's key, or where
 * one of the released layouts below it has the split. The folder of the task alone will do.
 *
 * @throws InputError `MMLA_FILES_MISSING`, and those of listing folders and of `locateMmla`
 */
export async function findGold(path: string, task: MmlaTask, split: MmlaSplit): Promise<string> {
  if (!(await isFolder(path))) return path;
  const names = await readdir(path).catch((error) => {
    throw fileError(error, path, 'read');
  });
  const named = goldNames(task, split, basename(resolve(path))).find((name) => names.includes(name));
  if (named !== undefined) return join(path, named);
  const located = (await locateMmla(path, task))[split];
  if (located !== undefined) return located;
  throw new InputError(
    'MMLA_FILES_MISSING',
    `${path} holds splits of ${task.key}, but not the ${split} split. Add it, or choose another with --split.`,
  );
}
