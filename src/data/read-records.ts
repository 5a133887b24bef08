import type { Config } from '../config/schema.ts';
import { type DatasetSettings, readDataset } from './datasets.ts';
import { readManifest } from './manifest.ts';
import type { AnswerSpace } from './prompts.ts';
import type { SampleRecord } from './records.ts';

/** Where samples are described: own clips or a published data set. */
export type RecordsLocation =
  | { readonly manifest: string }
  | { readonly dataset: string; readonly root: string; readonly settings?: DatasetSettings };

/** Where a configuration's samples are described. */
export function recordsLocation({ data }: Pick<Config, 'data'>): RecordsLocation {
  // The schema sees to it that exactly one of the two is given.
  return data.manifest === null
    ? { dataset: data.dataset!, root: data.root, settings: { mmla: data.mmla } }
    : { manifest: data.manifest };
}

/**
 * Reads the records of a manifest or of a published data set. Errors as in `readManifest` and `readDataset`.
 * @param notify told what a data set leaves out
 */
export function readRecords(
  location: RecordsLocation,
  notify: (message: string) => void = () => {},
): Promise<SampleRecord[]> {
  return 'manifest' in location
    ? readManifest(location.manifest)
    : readDataset(location.dataset, location.root, location.settings, notify);
}

/**
 * Divides records by their `split`: those of `trainSplit` and those without one are trained on, the others held out.
 *
 * @param trainSplit null trains on everything
 */
export function splitRecords(
  records: readonly SampleRecord[],
  trainSplit: string | null,
): { readonly train: SampleRecord[]; readonly heldOut: SampleRecord[] } {
  const isTrained = ({ split }: SampleRecord): boolean =>
    trainSplit === null || split === undefined || split === trainSplit;
  return { train: records.filter(isTrained), heldOut: records.filter((record) => !isTrained(record)) };
}

/** What the questions about candidates and valence need to know: the single labels and the range of the scores. */
export function answerSpaceOf(records: readonly SampleRecord[]): AnswerSpace {
  const labels = records.flatMap((record) => (record.labels?.length === 1 ? record.labels : []));
  const scores = records.flatMap(({ valence }) => (valence === undefined ? [] : [valence]));
  const low = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY);
  const high = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  return {
    candidates: [...new Set(labels)],
    ...(scores.length > 0 && { valenceRange: [low, high] as const }),
  };
}
