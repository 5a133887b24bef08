import { clipOf, stemOf } from '../../data/mmla/clips.ts';
import type { MmlaFault } from '../../data/mmla/format.ts';
import type { MmlaRecord } from '../../data/mmla/records.ts';
import type { MmlaSplit, MmlaTask } from '../../data/mmla/tasks.ts';
import { meldNumberOf } from '../../data/mmla/upstream/meld-names.ts';
import type { MmlaPredictionFile } from './predictions.ts';

/** A sample with its right answer. */
export type GoldSample = Pick<MmlaRecord, 'id' | 'clip' | 'label'>;

/** Names of missing samples that are listed. */
const missingShown = 20;

/**
 * The gold labels that a file of predictions carries itself.
 *
 * @returns samples in the order of the file; undefined where rows have none
 */
export function ownGold({ predictions }: MmlaPredictionFile, task: MmlaTask): GoldSample[] | undefined {
  if (predictions.some(({ gold }) => gold === undefined)) return undefined;
  return predictions.map(({ row, name, gold }) => {
    const id = name ?? `row ${row}`;
    return { id, clip: clipOf(task, id), label: gold! };
  });
}

/** Answers in the order of the gold samples, and what does not fit. */
export interface MatchedAnswers {
  /** Only to be used where there are no faults. */
  readonly texts: readonly string[];
  readonly faults: readonly MmlaFault[];
}

/**
 * Gives each sample its answer: by name where predictions have names (the id of a sample, or a path or file of its clip, as
 * MMLA or, of MELD, its authors call it), by order where they have none.
 *
 * @param gold of that split
 * @param goldName what to call the samples in messages
 */
export function matchPredictions(
  task: MmlaTask,
  split: MmlaSplit,
  gold: readonly GoldSample[],
  file: MmlaPredictionFile,
  goldName: string,
): MatchedAnswers {
  const { predictions } = file;
  const faults: MmlaFault[] = [];
  const fault = (row: number | null, message: string) => faults.push({ file: file.file, row, message });
  const checkLabel = (row: number, own: string | undefined, { id, label }: GoldSample) => {
    if (own === undefined || own === label) return;
    fault(row, `says that ${id} is labelled "${own}", and ${goldName} that it is "${label}"`);
  };
  if (predictions[0]?.name === undefined) {
    if (predictions.length !== gold.length) {
      fault(
        null,
        `has ${predictions.length} predictions without names, and ${goldName} ${gold.length} samples; without names they are taken in order and have to be as many`,
      );
    } else
      predictions.forEach((one, i) => {
        checkLabel(one.row, one.gold, gold[i]!);
      });
    return { texts: predictions.map(({ text }) => text), faults };
  }
  const byId = new Map(gold.map(({ id }, i) => [id, i]));
  let byClip: ReadonlyMap<string, number | undefined> | undefined;
  const placeOfClip = (stem: string) => {
    byClip ??= placesByClip(gold);
    const known = byId.get(stem) ?? byClip.get(clipOf(task, stem));
    if (known !== undefined || task.clips !== 'MELD') return known;
    // MELD-DA is made of the train split of MELD.
    const number = meldNumberOf(stem, task.key === 'MELD' ? split : 'train');
    return number === undefined ? undefined : byClip.get(clipOf(task, number));
  };
  const texts: (string | undefined)[] = gold.map(() => undefined);
  const rowOf = new Map<number, number>();
  for (const { row, name, text, gold: own } of predictions) {
    const place = byId.get(name!) ?? placeOfClip(stemOf(name!));
    if (place === undefined) {
      fault(
        row,
        `the name "${name}" is that of no sample of ${goldName}, where they are called like ${gold[0]!.id}`,
      );
      continue;
    }
    const earlier = rowOf.get(place);
    if (earlier !== undefined) {
      fault(row, `the sample "${gold[place]!.id}" is already that of row ${earlier}`);
      continue;
    }
    rowOf.set(place, row);
    texts[place] = text;
    checkLabel(row, own, gold[place]!);
  }
  const missing = gold.filter((_, i) => texts[i] === undefined).map(({ id }) => id);
  if (missing.length > 0) {
    const rest = missing.length > missingShown ? ` and ${missing.length - missingShown} more` : '';
    fault(
      null,
      `has no prediction for ${missing.length} of the ${gold.length} samples of ${goldName}: ${missing.slice(0, missingShown).join(', ')}${rest}`,
    );
  }
  return { texts: texts.map((text) => text ?? ''), faults };
}

/** Undefined for a clip that several samples share. */
function placesByClip(gold: readonly GoldSample[]): ReadonlyMap<string, number | undefined> {
  const byClip = new Map<string, number | undefined>();
  for (const [i, { clip }] of gold.entries()) byClip.set(clip, byClip.has(clip) ? undefined : i);
  return byClip;
}
