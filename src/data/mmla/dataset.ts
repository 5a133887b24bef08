import { resolve } from 'node:path';
import type { MmlaSettings } from '../../config/mmla.ts';
import { InputError } from '../../errors.ts';
import { listFaults, type SampleRecord } from '../records.ts';
import { formatFault } from './findings.ts';
import type { ReadResult } from './format.ts';
import { excludeSharedClips } from './leakage.ts';
import { readMmlaTask } from './locate.ts';
import { mapMedia, mediaCandidates } from './media.ts';
import { type MmlaPromptPreset, mmlaAnswer, mmlaPrompt } from './prompts.ts';
import type { MmlaRecord } from './records.ts';
import { type MmlaTask, mmlaSplits, mmlaTask } from './tasks.ts';

/** Where to get the released data set. */
export const mmlaSource = 'https://huggingface.co/datasets/THUIAR/MMLA-Datasets';

/**
 * Name of a sample among those of all tasks: its id, after the key of its task where the id does not begin with that, as
 * in text files that name a clip by the set it was taken from (`IEMOCAP-DA:IEMOCAP_Ses05F_impro01_F000`).
 */
const mmlaSampleName = ({ id, task }: Pick<MmlaRecord, 'id' | 'task'>): string =>
  id.startsWith(`${task}_`) ? id : `${task}:${id}`;

/**
 * A record of MMLA as a sample with a question and an answer of its own, for label type `own`.
 * @param record its `media` is a path of this machine, or absent
 */
export function mmlaSample(record: MmlaRecord, preset: MmlaPromptPreset): SampleRecord {
  const { task: key, text, label, media, split, origin } = record;
  const task = mmlaTask(key);
  return {
    name: mmlaSampleName(record),
    ...(media !== undefined && { video: media }),
    subtitle: text,
    labels: [label],
    question: mmlaPrompt(task, text, preset),
    answer: mmlaAnswer(task, label, preset),
    task: key,
    ...(split !== undefined && { split }),
    origin,
  };
}

/** Gives records the videos of this machine; where one is not there, the path at which it is looked for first. */
async function withMedia(
  records: readonly MmlaRecord[],
  task: MmlaTask,
  mediaRoot: string | null,
): Promise<readonly MmlaRecord[]> {
  // The files name paths of their authors' machines.
  if (mediaRoot === null) return records.map(({ media: _, ...record }) => record);
  const options = { root: mediaRoot, task };
  const found = new Map((await mapMedia(records, options)).records.map((record) => [record.id, record]));
  // Whether a video is needed, and what becomes of a sample without it, is decided where its features are.
  return records.map((record) => {
    const [expected] = mediaCandidates(record, options);
    return found.get(record.id) ?? { ...record, media: expected! };
  });
}

/** Names that occur twice would be one sample. */
function repeatedNames(samples: readonly SampleRecord[]): string[] {
  const first = new Map<string, string>();
  return samples.flatMap(({ name, origin }) => {
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, origin);
    return earlier === undefined ? [] : [`${origin}: the sample "${name}" is already that of ${earlier}`];
  });
}

/** `MELD 9989 train, 1109 dev, 2610 test`. */
function countsOf(task: MmlaTask, records: readonly MmlaRecord[]): string {
  const counts = [...mmlaSplits, undefined].map((split) => {
    const count = records.filter((record) => record.split === split).length;
    return split === undefined && count === 0 ? '' : `${count} ${split ?? 'without a split'}`;
  });
  return `${task.key} ${counts.filter((text) => text !== '').join(', ')}`;
}

/** Takes from what is trained on the clips that are held out, and says how many samples these were. */
function withoutSharedClips(
  records: readonly MmlaRecord[],
  notify: (message: string) => void,
): readonly MmlaRecord[] {
  const isHeldOut = ({ split }: MmlaRecord): boolean => split === 'dev' || split === 'test';
  const trained = records.filter((record) => !isHeldOut(record));
  const { excluded } = excludeSharedClips(trained, records.filter(isHeldOut));
  if (excluded.length === 0) return records;
  const left = new Set(excluded);
  notify(
    `MMLA: ${excluded.length} of ${trained.length} training samples are left out, whose clips are in a dev or test split (data.mmla.excludeSharedClips).`,
  );
  return records.filter((record) => !left.has(record));
}

/**
 * Reads the tasks of MMLA as samples with their own questions and answers, all splits, task after task.
 *
 * @param root folder that holds the files of the tasks, in any of the released layouts
 * @param notify told the numbers of samples, and how many are left out
 * @throws InputError `DATASET_INVALID` with every fault of all tasks, tasks without a sample among them, and those of
 *   `readMmlaTask`
 */
export async function readMmlaDataset(
  root: string,
  settings: MmlaSettings,
  notify: (message: string) => void,
): Promise<SampleRecord[]> {
  const faults: string[] = [];
  const missing: string[] = [];
  const counts: string[] = [];
  const records: MmlaRecord[] = [];
  for (const key of settings.tasks) {
    const task = mmlaTask(key);
    const read = await readMmlaTask(root, task).catch((error: unknown): ReadResult => {
      if (!(error instanceof InputError) || error.code !== 'MMLA_FILES_MISSING') throw error;
      return { records: [], faults: [] };
    });
    faults.push(...read.faults.map(formatFault));
    if (read.records.length === 0 && read.faults.length === 0) missing.push(key);
    counts.push(countsOf(task, read.records));
    records.push(...(await withMedia(read.records, task, settings.mediaRoot)));
  }
  const samples = records.map((record) => mmlaSample(record, settings.prompt));
  faults.push(...repeatedNames(samples));
  if (missing.length > 0) {
    faults.push(
      `no split of ${missing.join(', ')} is below ${resolve(root)} (data.root); get them from ${mmlaSource}, or take them out of data.mmla.tasks (affectgpt data check --benchmark mmla --root ${root} says where files are looked for)`,
    );
  }
  if (faults.length > 0) {
    throw new InputError('DATASET_INVALID', `The files of MMLA have faults: ${listFaults(faults)}.`);
  }
  notify(`MMLA: ${counts.join('; ')}.`);
  if (!settings.excludeSharedClips) return samples;
  return withoutSharedClips(records, notify).map((record) => mmlaSample(record, settings.prompt));
}
