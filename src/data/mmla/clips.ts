import type { MmlaTask } from './tasks.ts';
import { mmlaTasks } from './tasks.ts';

/** Every prefix of a file name and whose clips it stands for; the longest first. */
const prefixes = mmlaTasks
  .flatMap(({ prefixes, clips }) => prefixes.map((prefix) => ({ start: `${prefix}_`.toLowerCase(), clips })))
  .toSorted((one, other) => other.start.length - one.start.length);

const prefixOf = (stem: string) => prefixes.find(({ start }) => stem.toLowerCase().startsWith(start));

/** Whose clips a file name stands for by its prefix, such as `MELD` for `MELD-DA_0_2`; undefined where it has none that is known. */
export function clipsOwner(stem: string): string | undefined {
  return prefixOf(stem)?.clips;
}

/**
 * The clip that a file name stands for: `MELD_0_2` for `MELD-DA_0_2` and `MELD_0_2`, so that tasks that ask about the same
 * clips name them alike. A name without a known prefix gets that of the task.
 *
 * @param stem name of the file without its ending
 */
export function clipOf(task: MmlaTask, stem: string): string {
  const known = prefixOf(stem);
  return known === undefined ? `${task.clips}_${stem}` : `${known.clips}_${stem.slice(known.start.length)}`;
}

/** Name of a sample that its file numbers, such as `MELD_0_2` for `0_2`; as it is where it begins with a known prefix. */
export function idOf(task: MmlaTask, number: string): string {
  return prefixOf(number) === undefined ? `${task.key}_${number}` : number;
}

/** Name of a file without folders and ending, whatever system wrote the path. A `.0_9_1` is no ending. */
export function stemOf(path: string): string {
  return path.replace(/^.*[\\/]/s, '').replace(/\.[a-z][a-z0-9]{1,4}$/i, '');
}
