import { basename } from 'node:path';
import type { MmlaSplit } from '../tasks.ts';
import { mmlaSplits } from '../tasks.ts';

/** MMLA numbers the dialogues of all splits of MELD in one go: those of train, then of dev, then of test. */
const offsets: Readonly<Record<MmlaSplit, number>> = { train: 0, dev: 1039, test: 1153 };

/** Number of a clip in MMLA, such as `1153_0` of the first one of the test split. */
export const meldNumber = (split: MmlaSplit, dialogue: string, utterance: string): string =>
  `${Number(dialogue) + offsets[split]}_${Number(utterance)}`;

/** The split that a table is by the name that MELD gives it, such as `dev_sent_emo.csv`; undefined of other names. */
export const meldSplitOf = (file: string): MmlaSplit | undefined =>
  mmlaSplits.find((split) => basename(file).startsWith(`${split}_sent_emo`));

/** `1153_0` of `dia0_utt0`, as MELD calls the clips of each split; undefined of other names. */
export function meldNumberOf(stem: string, split: MmlaSplit): string | undefined {
  const [, dialogue, utterance] = /^dia(\d+)_utt(\d+)$/.exec(stem) ?? [];
  return dialogue === undefined ? undefined : meldNumber(split, dialogue, utterance!);
}
