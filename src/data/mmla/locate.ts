import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { fileError } from '../../io/filesystem.ts';
import type { ReadResult } from './format.ts';
import { taskWords } from './prompts.ts';
import { readMmlaFile } from './read-file.ts';
import type { MmlaSplit, MmlaTask } from './tasks.ts';
import { mmlaSplits } from './tasks.ts';

/** Where a layout keeps a split. */
interface SplitLayout {
  readonly name: string;
  /** Below the root, which is `''`; names in any case. */
  readonly parents: readonly string[];
  /** Below a parent, with `/`. The first that is there counts. */
  files(task: MmlaTask, split: string): string[];
}

const frameworks = 'src/Frameworks';
/** Where the repository of MMLA has the files of a framework. */
const flatParents = (framework: string): string[] => ['', 'data', `${frameworks}/${framework}/data`];

const folders = ({ folder, key }: MmlaTask): string[] => [...new Set([folder, key])];
/** What file names call a task. */
const words = (task: MmlaTask): string[] => taskWords(task).filter((word) => !word.includes(' '));

/** In the order in which they are taken where a split is there in several: the released tables, then what has most splits. */
const layouts: readonly SplitLayout[] = [
  {
    name: 'released tables',
    parents: [''],
    files: (task, split) => folders(task).map((folder) => `${folder}/${split}.tsv`),
  },
  {
    name: 'ms-swift',
    parents: ['', 'video_prompt_data', `${frameworks}/Swift/video_prompt_data`],
    files: (task, split) => folders(task).map((folder) => `${folder}/${split}.jsonl`),
  },
  {
    name: 'LLaMA-Factory',
    parents: flatParents('LLaMA-Factory-main'),
    files: (task, split) => words(task).map((word) => `${task.key}_${split}_${word}_llamafactory.json`),
  },
  {
    name: 'LLaVA-NeXT',
    parents: flatParents('LLaVA-NeXT-main'),
    files: (task, split) =>
      words(task).flatMap((word) =>
        ['llava-next', 'llava-ov'].map((model) => `${task.key}_${split}_${word}_${model}.json`),
      ),
  },
  {
    name: 'VideoLLaMA2',
    parents: flatParents('VideoLLaMA2'),
    files: (task, split) => words(task).map((word) => `${task.key}_${split}_${word}.json`),
  },
  {
    name: 'LLaMA-Factory text',
    parents: flatParents('LLaMA-Factory-main'),
    files: (task, split) => words(task).map((word) => `${task.key}_${split}_text_${word}_llamafactory.json`),
  },
  {
    name: 'zero-shot',
    parents: [''],
    files: (task, split) => folders(task).map((folder) => `${folder}/${split}_${task.taskKey}.json`),
  },
  {
    name: 'MELD as published',
    parents: ['', 'MELD', 'data/MELD'],
    files: ({ key }, split) => (key === 'MELD' ? [`${split}_sent_emo.csv`] : []),
  },
];

/** A split and where it was found. */
export interface LocatedSplit {
  readonly split: MmlaSplit;
  readonly file: string;
  readonly layout: string;
  /** Files of other layouts with the same split, which are not read. */
  readonly passedOver: readonly string[];
}

/** Finds paths below a root whatever the case of their letters; each folder is listed once. */
function pathFinder(root: string): (path: string) => Promise<string | undefined> {
  const listed = new Map<string, Promise<Dirent[]>>();
  const list = (folder: string): Promise<Dirent[]> => {
    const known = listed.get(folder);
    if (known !== undefined) return known;
    const entries = readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      const told = fileError(error, folder, 'read');
      if (told instanceof InputError && told.code === 'FILE_NOT_FOUND') return [];
      throw told;
    });
    listed.set(folder, entries);
    return entries;
  };
  return async (path) => {
    const parts = path.split('/');
    let found = root;
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1;
      const names = (await list(found))
        // A link may lead to either.
        .filter((entry) => entry.isSymbolicLink() || entry.isDirectory() !== isLast)
        .map(({ name }) => name)
        .filter((name) => name.toLowerCase() === part.toLowerCase());
      const name = names.includes(part) ? part : names.toSorted()[0];
      if (name === undefined) return undefined;
      found = join(found, name);
    }
    return found;
  };
}

const pathsOf = ({ parents, files }: SplitLayout, task: MmlaTask, split: MmlaSplit): string[] =>
  parents.flatMap((parent) => files(task, split).map((file) => (parent === '' ? file : `${parent}/${file}`)));

/**
 * Finds the splits of a task below a folder, each in the first layout that has it: the released tables, ms-swift, LLaMA-Factory,
 * LLaVA-NeXT, VideoLLaMA2, LLaMA-Factory text, zero-shot, MELD as published. The folder is that of the released set, of the
 * files of one framework, or a copy of the repository of MMLA; names count in any case.
 *
 * @returns the splits that are there, in their order; at least one
 * @throws InputError `MMLA_FILES_MISSING` with all places, and those of listing folders
 */
export async function locateSplits(root: string, task: MmlaTask): Promise<LocatedSplit[]> {
  const find = pathFinder(root);
  const located: LocatedSplit[] = [];
  for (const split of mmlaSplits) {
    const found: { file: string; layout: string }[] = [];
    for (const layout of layouts) {
      for (const path of pathsOf(layout, task, split)) {
        const file = await find(path);
        if (file === undefined) continue;
        found.push({ file, layout: layout.name });
        break;
      }
    }
    const [taken, ...others] = found;
    if (taken !== undefined) located.push({ split, ...taken, passedOver: others.map(({ file }) => file) });
  }
  if (located.length > 0) return located;
  const allSplits = `{${mmlaSplits.join(',')}}`;
  const places = layouts
    .map((layout) => ({ ...layout, names: layout.files(task, allSplits) }))
    .filter(({ names }) => names.length > 0)
    .map(({ name, names, parents }) => {
      const below = parents.map((parent) => (parent === '' ? 'the folder itself' : parent));
      return `${name}: ${names.join(' or ')} (in ${below.join(', ')})`;
    });
  throw new InputError(
    'MMLA_FILES_MISSING',
    `There is no split of ${task.key} below ${root}. Looked for, in any case of letters: ${places.join('; ')}.`,
  );
}

/**
 * As `locateSplits`, the files alone.
 * @throws InputError those of `locateSplits`
 */
export async function locateMmla(root: string, task: MmlaTask): Promise<Partial<Record<MmlaSplit, string>>> {
  const located = await locateSplits(root, task);
  return Object.fromEntries(located.map(({ split, file }) => [split, file]));
}

/**
 * Reads all splits of a task that are below a folder.
 * @returns records in the order of the splits, each with its split, and all faults
 * @throws InputError those of `locateSplits` and `readMmlaFile`
 */
export async function readMmlaTask(root: string, task: MmlaTask): Promise<ReadResult> {
  const results: ReadResult[] = [];
  for (const { split, file } of await locateSplits(root, task)) {
    results.push(await readMmlaFile({ file, task, split }));
  }
  return {
    records: results.flatMap(({ records }) => records),
    faults: results.flatMap(({ faults }) => faults),
  };
}
