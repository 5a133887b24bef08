import type { MmlaRecord } from './records.ts';
import { type MmlaSplit, type MmlaTaskKey, mmlaSplits, mmlaTaskKeys } from './tasks.ts';

/** The samples of one split of one task. */
export interface MmlaPart {
  readonly task: MmlaTaskKey;
  readonly split: MmlaSplit;
}

/** How many samples of a held-out part are elsewhere too. */
interface Shared {
  readonly heldOut: MmlaPart;
  readonly shared: number;
  /** Samples of the held-out part. */
  readonly samples: number;
  /** `shared / samples`. */
  readonly fraction: number;
}

/** Clips of a held-out part that another part has too. */
export interface SharedClips extends Shared {
  readonly training: MmlaPart;
}

/** Samples of a held-out part whose words, in lower case and without a final full stop, earlier splits of its task have too. */
export interface SharedTexts extends Shared {
  readonly against: readonly MmlaSplit[];
}

/** What held-out samples and those that are trained on have in common. */
export interface LeakageReport {
  /** Within a task a fault; across tasks the same video and words under another label. Without pairs that share none. */
  readonly clips: readonly SharedClips[];
  /** Mostly short ones such as "yeah". Each dev and test split that has something to compare with. */
  readonly texts: readonly SharedTexts[];
}

interface Part extends MmlaPart {
  readonly records: readonly MmlaRecord[];
}

/** Parts that have records, in the order of the registry and of the splits. */
function partsOf(records: readonly MmlaRecord[]): Part[] {
  const byPart = new Map<string, MmlaRecord[]>();
  for (const record of records) {
    if (record.split === undefined) continue;
    const key = `${record.task} ${record.split}`;
    const known = byPart.get(key);
    if (known === undefined) byPart.set(key, [record]);
    else known.push(record);
  }
  return mmlaTaskKeys.flatMap((task) =>
    mmlaSplits.flatMap((split) => {
      const own = byPart.get(`${task} ${split}`);
      return own === undefined ? [] : [{ task, split, records: own }];
    }),
  );
}

const isEarlier = (one: MmlaSplit, other: MmlaSplit): boolean =>
  mmlaSplits.indexOf(one) < mmlaSplits.indexOf(other);

function sharedWith(
  { task, split, records }: Part,
  known: ReadonlySet<string>,
  keyOf: (record: MmlaRecord) => string,
): Shared {
  const shared = records.filter((record) => known.has(keyOf(record))).length;
  return { heldOut: { task, split }, shared, samples: records.length, fraction: shared / records.length };
}

const clipOf = ({ clip }: MmlaRecord): string => clip;
/** Without full stops at the end, which some of the released files have and others have not. */
const wordsOf = ({ text }: MmlaRecord): string => text.trim().toLowerCase().replace(/\.+$/, '');

function sharedClips(parts: readonly Part[]): SharedClips[] {
  const known = parts.map(({ records }) => new Set(records.map(clipOf)));
  return parts.flatMap((heldOut) =>
    parts.flatMap(({ task, split }, i) => {
      if (!isEarlier(split, heldOut.split)) return [];
      const shared = sharedWith(heldOut, known[i]!, clipOf);
      return shared.shared === 0 ? [] : [{ ...shared, training: { task, split } }];
    }),
  );
}

function sharedTexts(parts: readonly Part[]): SharedTexts[] {
  return parts.flatMap((heldOut) => {
    const earlier = parts.filter(
      ({ task, split }) => task === heldOut.task && isEarlier(split, heldOut.split),
    );
    if (earlier.length === 0) return [];
    const known = new Set(earlier.flatMap(({ records }) => records.map(wordsOf)));
    return [{ ...sharedWith(heldOut, known, wordsOf), against: earlier.map(({ split }) => split) }];
  });
}

/**
 * What dev and test splits have in common with splits before them: clips, within tasks and across tasks that ask about
 * the same ones (all test clips of MELD-DA are in the train split of MELD), and words, within a task. Records without a
 * split are left out.
 */
export function leakageReport(records: readonly MmlaRecord[]): LeakageReport {
  const parts = partsOf(records);
  return { clips: sharedClips(parts), texts: sharedTexts(parts) };
}

/** What is trained on after clips that are held out were taken from it. */
export interface WithoutSharedClips {
  readonly kept: readonly MmlaRecord[];
  readonly excluded: readonly MmlaRecord[];
}

/**
 * Takes from what is trained on the clips that are held out, whatever task asks about them: instruction tuning on all
 * tasks would otherwise see test clips of MELD-DA and IEMOCAP-DA under the labels of MELD and IEMOCAP.
 *
 * @param train samples to train on, of any tasks
 * @param heldOut samples to validate and test on, of any tasks
 */
export function excludeSharedClips(
  train: readonly MmlaRecord[],
  heldOut: readonly MmlaRecord[],
): WithoutSharedClips {
  const clips = new Set(heldOut.map(({ clip }) => clip));
  return {
    kept: train.filter(({ clip }) => !clips.has(clip)),
    excluded: train.filter(({ clip }) => clips.has(clip)),
  };
}
