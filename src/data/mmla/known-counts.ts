import type { MmlaSplit, MmlaTask, MmlaTaskKey } from './tasks.ts';

/** A number of samples that files in circulation have besides that of the registry. */
interface KnownCount {
  readonly task: MmlaTaskKey;
  readonly split: MmlaSplit;
  readonly count: number;
  readonly reason: string;
}

const dropped = 'the ms-swift files leave out some clips';

const knownCounts: readonly KnownCount[] = [
  { task: 'Ch-sims', split: 'train', count: 2713, reason: dropped },
  { task: 'Ch-sims', split: 'train', count: 2715, reason: 'the VideoLLaMA2 file leaves out seven clips' },
  { task: 'Ch-sims', split: 'dev', count: 644, reason: dropped },
  {
    task: 'Ch-sims',
    split: 'test',
    count: 1034,
    reason: 'all clips of the paper; the ms-swift file leaves out three',
  },
  { task: 'IEMOCAP-DA', split: 'train', count: 6592, reason: 'rebuilt from EMOTyDA' },
];

/** Why a split has this many samples, where that is not the number of the registry but known all the same. */
export const knownCount = (task: MmlaTask, split: MmlaSplit, count: number): string | undefined =>
  knownCounts.find((known) => known.task === task.key && known.split === split && known.count === count)
    ?.reason;

const unpublished = 'no train file is among the annotation files of the MMLA repository';

/** Where to get train splits that only the tables of the released data set have. */
const otherSources: Partial<Record<MmlaTaskKey, string>> = {
  MELD: `${unpublished}; train_sent_emo.csv of declare-lab/MELD has the same rows`,
  'MELD-DA': `${unpublished}; it can be rebuilt from EMOTyDA's MELD.csv`,
  'IEMOCAP-DA': `${unpublished}; it can be rebuilt from EMOTyDA's iemocap_session1.csv to iemocap_session5.csv`,
  'MIntRec2.0': unpublished,
  'UR-FUNNY': unpublished,
};

/** What is known of a split that is not there. */
export const absentSplit = (task: MmlaTask, split: MmlaSplit): string | undefined =>
  split === 'train' ? otherSources[task.key] : undefined;
