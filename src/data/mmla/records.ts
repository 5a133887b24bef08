import type { MmlaSplit, MmlaTaskKey } from './tasks.ts';

/** One sample of MMLA, whatever file described it. */
export interface MmlaRecord {
  /** Stem of the clip's file name in the released set, such as `MELD-DA_0_2`; no other sample of the task has it. */
  readonly id: string;
  /** What was said. */
  readonly text: string;
  /** The video: as its file names it when it is read, a path of this machine after `mapMedia`. Absent where there is none. */
  readonly media?: string;
  readonly task: MmlaTaskKey;
  /** One of the task's labels, as the registry spells it. */
  readonly label: string;
  /** Absent where the file does not tell. */
  readonly split?: MmlaSplit;
  /** The clip whatever is asked about it, such as `MELD_0_2`: the same for tasks that share clips. */
  readonly clip: string;
  /** File and row, for messages. */
  readonly origin: string;
}
