import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.ts';
import { limiter } from '../../io/limiter.ts';
import { faultOf } from './findings.ts';
import type { MmlaFault, ReadResult } from './format.ts';
import type { MmlaRecord } from './records.ts';
import { type MmlaTask, mmlaTasks } from './tasks.ts';

/** What the beginning of a path, whole folders, is replaced by. */
export interface MediaRule {
  readonly from: string;
  readonly to: string;
}

export interface MediaOptions {
  /** Folder that holds the folders of the tasks, or the videos themselves. */
  readonly root: string;
  readonly task: MmlaTask;
  /** The user's own rules; they come before what is known of the released layouts. */
  readonly rules?: readonly MediaRule[];
}

/** Folders listed at a time. */
const foldersAtOnce = 4;
/** Components of a stored path that may be kept below the root: `<Key>/video/<file>`, and what is above by one. */
const keptComponents = 4;

/**
 * Reads `FROM=TO`.
 * @throws InputError `MMLA_MAP_INVALID`
 */
export function parseMediaRule(text: string): MediaRule {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return { from: text.slice(0, at), to: text.slice(at + 1) };
  throw new InputError(
    'MMLA_MAP_INVALID',
    `"${text}" is no rule for media paths. Expected is FROM=TO: the beginning of the paths as the files have them, and what stands there on this machine.`,
  );
}

const componentsOf = (file: string): string[] => file.split(/[/\\]+/).filter((part) => part !== '');

/** What a rule makes of a path; undefined where the path does not begin with the rule's folders. */
export function applyMediaRule({ from, to }: MediaRule, file: string): string | undefined {
  const wanted = componentsOf(from);
  const parts = componentsOf(file);
  const isAbsolute = /^[/\\]/.test(from) === /^[/\\]/.test(file);
  if (!isAbsolute || wanted.some((part, i) => part !== parts[i])) return undefined;
  return path.resolve(to, ...parts.slice(wanted.length));
}

/** What files of a task's clips may be called after, the task's own names first: tasks that share clips share videos. */
function clipNames(task: MmlaTask): string[] {
  const sharing = mmlaTasks.filter(({ key, clips }) => key !== task.key && clips === task.clips);
  return [...new Set([task, ...sharing].flatMap(({ prefixes, folder }) => [...prefixes, folder]))];
}

/** Number of a clip within its set, such as `0_2` of `MELD-DA_0_2`. */
function numberOf(stem: string, names: readonly string[]): string {
  const longestFirst = [...names].sort((a, b) => b.length - a.length);
  const prefix = longestFirst.find((name) => stem.startsWith(`${name}_`));
  return prefix === undefined ? stem : stem.slice(prefix.length + 1);
}

/** Where the user's rules say that the stored video is. */
const ruledPaths = ({ media }: MmlaRecord, { rules = [] }: Pick<MediaOptions, 'rules'>): string[] =>
  media === undefined ? [] : rules.flatMap((rule) => applyMediaRule(rule, media) ?? []);

/** Where the video of a record may be, most specific first; at least one. */
export const mediaCandidates = (record: MmlaRecord, options: MediaOptions): string[] => [
  ...candidatesOf(record, options, clipNames(options.task)),
];

function* candidatesOf(
  record: MmlaRecord,
  { root, rules = [] }: MediaOptions,
  names: readonly string[],
): Generator<string> {
  const stored = record.media;
  const parts = stored === undefined ? [] : componentsOf(stored);
  if (stored !== undefined) {
    yield* ruledPaths(record, { rules });
    // The stored path with another beginning.
    for (let kept = Math.min(keptComponents, parts.length); kept > 0; kept--) {
      yield path.resolve(root, ...parts.slice(-kept));
    }
  }
  const file = parts.at(-1) ?? `${record.id}.mp4`;
  const { name: stem, ext } = path.parse(file);
  const number = numberOf(stem, names);
  const files = new Set([file, ...names.map((name) => `${name}_${number}${ext}`)]);
  for (const name of names) {
    for (const folder of [[name, 'video'], [`${name}_video`], [name, `${name}_video`], [name]]) {
      for (const candidate of files) yield path.resolve(root, ...folder, candidate);
    }
  }
  for (const folder of [['video'], []]) {
    for (const candidate of files) yield path.resolve(root, ...folder, candidate);
  }
}

/** Tells whether a file is there; each folder is listed once, however many files are asked for. */
function folderLister(): (file: string) => Promise<boolean> {
  const gate = limiter(foldersAtOnce);
  const listed = new Map<string, Promise<ReadonlySet<string>>>();
  const list = async (folder: string): Promise<ReadonlySet<string>> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    return new Set(entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name));
  };
  return async (file) => {
    const folder = path.dirname(file);
    const files = listed.get(folder) ?? gate(() => list(folder));
    listed.set(folder, files);
    return (await files).has(path.basename(file));
  };
}

/**
 * Makes the videos of records paths of this machine. The released files name them absolutely below somebody's folder, by
 * the task's key (`/…/Datasets/<Key>/video/<Key>_<number>.mp4`), by that of another task with the same clips (MELD-DA's dev
 * split points into `MELD/video/MELD_*`), by a bare file name, or not at all, and the folders of the released set are
 * called otherwise (`CH-SIMSv2.0`). The user's rules come first, then the names that the registry knows.
 *
 * A record that names no video gets the one of its id where that is there; it is a fault where the released set has it.
 *
 * @returns records with `media` below the root, in their order, and the others as faults with file and row
 */
export async function mapMedia(records: readonly MmlaRecord[], options: MediaOptions): Promise<ReadResult> {
  const isThere = folderLister();
  const names = clipNames(options.task);
  const mapped: MmlaRecord[] = [];
  const faults: MmlaFault[] = [];
  for (const record of records) {
    let found: string | undefined;
    for (const candidate of candidatesOf(record, options, names)) {
      if (!(await isThere(candidate))) continue;
      found = candidate;
      break;
    }
    if (found !== undefined) mapped.push({ ...record, media: found });
    else if (record.media === undefined && !options.task.hasVideos) mapped.push(record);
    else {
      const stored = record.media === undefined ? `the video of "${record.id}"` : `the video ${record.media}`;
      const root = path.resolve(options.root);
      const ruled = ruledPaths(record, options);
      faults.push(
        faultOf(
          record,
          ruled.length === 0
            ? `${stored} is not below ${root}`
            : `${stored} is neither ${ruled.join(' nor ')} nor below ${root}`,
        ),
      );
    }
  }
  return { records: mapped, faults };
}
