import { existsSync } from 'node:fs';
import { firstOf, InputError } from '../../errors.ts';
import { writeFileAtomic } from '../../io/atomic.ts';
import { storedAnswer, storedPrompt } from './prompts.ts';
import type { MmlaRecord } from './records.ts';
import type { MmlaTask } from './tasks.ts';

/** What a rebuilt split has where all is as it was published. */
interface PublishedTrain {
  readonly rows: number;
  /** By label, where that is known. */
  readonly labels?: Readonly<Record<string, number>>;
}

/**
 * Train splits that EMOTyDA's tables give once MMLA's dev and test samples are taken out. Of IEMOCAP-DA 6,592 samples are
 * left; the paper counts 6,590.
 */
const published = {
  'MELD-DA': {
    rows: 6992,
    labels: {
      greeting: 340,
      question: 1430,
      answer: 899,
      'statement-opinion': 766,
      'statement-non-opinion': 2096,
      apology: 124,
      command: 200,
      agreement: 312,
      disagreement: 202,
      acknowledge: 72,
      backchannel: 121,
      others: 430,
    },
  },
  'IEMOCAP-DA': { rows: 6592 },
} as const satisfies Record<string, PublishedTrain>;

/** Tasks whose train split can be rebuilt. */
export const rebuildableTasks = Object.keys(published) as (keyof typeof published)[];

/** What a train split is rebuilt from. */
export interface RebuildSources {
  /** All samples of the tables of EMOTyDA. */
  readonly upstream: readonly MmlaRecord[];
  /** MMLA's own samples, which train must not have. */
  readonly dev: readonly MmlaRecord[];
  readonly test: readonly MmlaRecord[];
}

export interface LabelCount {
  readonly label: string;
  readonly rows: number;
  /** Absent where it is not known. */
  readonly published?: number;
}

export interface RebuiltTrain {
  /** In the order of the tables. */
  readonly records: readonly MmlaRecord[];
  /** Rows that were published. */
  readonly published: number;
  /** In the order of the registry. */
  readonly labels: readonly LabelCount[];
  /** All that is not as published; none where the split is the published one. */
  readonly deviations: readonly string[];
}

/** Samples named in one message. */
const samplesShown = 5;

const listed = (records: readonly MmlaRecord[]): string =>
  firstOf(
    records.map(({ id }) => id),
    samplesShown,
  );

const counted = (count: number, what: string): string => `${count} ${count === 1 ? what : `${what}s`}`;

/** What tells that a held-out split and the tables are not of one release. */
function heldOutDeviations(
  task: MmlaTask,
  split: 'dev' | 'test',
  held: readonly MmlaRecord[],
  byClip: ReadonlyMap<string, MmlaRecord>,
): string[] {
  const absent = held.filter(({ clip }) => !byClip.has(clip));
  const other = held.filter(({ clip, label }) => (byClip.get(clip)?.label ?? label) !== label);
  const wanted = task.counts[split];
  return [
    ...(held.length === wanted
      ? []
      : [`${split} has ${counted(held.length, 'sample')}, published are ${wanted}`]),
    ...(absent.length === 0
      ? []
      : [`${counted(absent.length, `${split} sample`)} not in the tables: ${listed(absent)}`]),
    ...(other.length === 0
      ? []
      : [`${counted(other.length, `${split} sample`)} with another label in the tables: ${listed(other)}`]),
  ];
}

/**
 * Rebuilds the train split that the annotation files of MMLA lack: what EMOTyDA has, without MMLA's dev and test samples,
 * told by their clips.
 *
 * @throws InputError `MMLA_NOT_REBUILDABLE`
 */
export function rebuildTrainSplit(task: MmlaTask, { upstream, dev, test }: RebuildSources): RebuiltTrain {
  const key = rebuildableTasks.find((candidate) => candidate === task.key);
  if (key === undefined) {
    throw new InputError(
      'MMLA_NOT_REBUILDABLE',
      `The train split of ${task.key} cannot be rebuilt; those of ${rebuildableTasks.join(' and ')} can, from the tables of EMOTyDA.`,
    );
  }
  const wanted: PublishedTrain = published[key];
  const byClip = new Map<string, MmlaRecord>();
  const repeated: MmlaRecord[] = [];
  for (const record of upstream) {
    if (byClip.has(record.clip)) repeated.push(record);
    else byClip.set(record.clip, record);
  }
  const held = new Set([...dev, ...test].map(({ clip }) => clip));
  const records = [...byClip.values()]
    .filter(({ clip }) => !held.has(clip))
    .map((record): MmlaRecord => ({ ...record, split: 'train' }));
  const labels = task.labels.map((label): LabelCount => {
    const expected = wanted.labels?.[label];
    const rows = records.filter((record) => record.label === label).length;
    return { label, rows, ...(expected !== undefined && { published: expected }) };
  });
  const unlike = labels
    .filter(({ rows, published: expected }) => expected !== undefined && expected !== rows)
    .map(({ label, rows, published: expected }) => `${label} ${rows} (published ${expected})`);
  const deviations = [
    ...heldOutDeviations(task, 'dev', dev, byClip),
    ...heldOutDeviations(task, 'test', test, byClip),
    ...(repeated.length === 0
      ? []
      : [`${counted(repeated.length, 'sample')} in the tables more than once: ${listed(repeated)}`]),
    ...(records.length === wanted.rows
      ? []
      : [`train has ${counted(records.length, 'row')}, published are ${wanted.rows}`]),
    ...(unlike.length === 0 ? [] : [`labels have other numbers of rows: ${unlike.join(', ')}`]),
  ];
  return { records, published: wanted.rows, labels, deviations };
}

const trainKind = { layout: 'swift', split: 'train' } as const;

/**
 * Writes a split as the ms-swift files of MMLA are: JSON Lines with the stored prompt as `query`, the answer as `response`,
 * and the clip, below the folder that holds all tasks, in `videos`.
 *
 * @throws InputError `OUTPUT_EXISTS`, and those of `writeFileAtomic`
 */
export async function writeSwiftFile(
  file: string,
  task: MmlaTask,
  records: readonly MmlaRecord[],
): Promise<void> {
  if (existsSync(file)) {
    throw new InputError('OUTPUT_EXISTS', `${file} exists already. Remove it, or write to another file.`);
  }
  const lines = records.map(({ id, text, label }) =>
    JSON.stringify({
      query: storedPrompt(task, text, trainKind),
      response: storedAnswer(task, label, trainKind),
      videos: [`${task.key}/video/${id}.mp4`],
    }),
  );
  await writeFileAtomic(file, lines.map((line) => `${line}\n`).join(''));
}
