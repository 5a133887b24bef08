import { readGold } from '../../../data/mmla/read-file.ts';
import type { MmlaRecord } from '../../../data/mmla/records.ts';
import type { MmlaSplit, MmlaTask } from '../../../data/mmla/tasks.ts';
import { allOrFaults, InputError } from '../../../errors.ts';
import { findGold } from '../find-files.ts';

/** Samples of a task to ask about. */
export interface AskedSamples {
  readonly task: MmlaTask;
  /** The file that they, and their labels, are from. */
  readonly gold: string;
  readonly records: readonly MmlaRecord[];
}

/**
 * Reads the samples of a split of tasks. Rows of a file that does not tell splits are all of that split.
 *
 * @param path a file of the one task, or a folder, as `findGold` takes them
 * @throws InputError `SAMPLES_NONE`, those of `findGold` and `readGold`; of all tasks at once
 */
export function readAskedSamples(
  tasks: readonly MmlaTask[],
  path: string,
  split: MmlaSplit,
): Promise<AskedSamples[]> {
  return allOrFaults(tasks.map((task) => readSamples(task, path, split)));
}

async function readSamples(task: MmlaTask, path: string, split: MmlaSplit): Promise<AskedSamples> {
  const gold = await findGold(path, task, split);
  const all = await readGold(gold, task, split);
  const records = all.filter((record) => record.split === split);
  if (records.length > 0) return { task, gold, records };
  const splits = [...new Set(all.map((record) => record.split))].join(', ');
  throw new InputError(
    'SAMPLES_NONE',
    `${gold} has no sample of ${task.key} of the split "${split}"${splits === '' ? ': it is empty' : `; there are: ${splits}`}.`,
  );
}
