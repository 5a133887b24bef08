import { stat } from 'node:fs/promises';
import type { FeatureName, InputMode } from '../../model/modes.ts';
import { firstOf } from '../errors.ts';
import type { Annotations } from './prompts.ts';

/** One sample, whatever described it: a manifest row or a published data set. Paths are absolute. */
export interface SampleRecord extends Annotations {
  readonly name: string;
  readonly video?: string;
  /** Taken from the video where absent. */
  readonly audio?: string;
  /** npy of face crops; found in the video where absent. */
  readonly face?: string;
  /** What was said. */
  readonly subtitle?: string;
  /** Its own, which label type `own` asks. */
  readonly question?: string;
  /** Which of the tasks of a data set of several it belongs to. */
  readonly task?: string;
  readonly split?: string;
  /** File and row, for messages. */
  readonly origin: string;
}

/** Features that a sample's files can give. */
export type SourceKind = Exclude<FeatureName, 'image'>;

/** Which file of a record a kind of feature comes from. */
export interface FeatureSource {
  readonly kind: SourceKind;
  readonly file: string;
  /** Column that named the file. */
  readonly column: 'video' | 'audio' | 'face';
}

/** Columns in the order in which they are taken, and what to call the kind in a message. */
const sourcesOf = {
  face: { columns: ['face', 'video'], word: 'faces' },
  frame: { columns: ['video'], word: 'frames' },
  audio: { columns: ['audio', 'video'], word: 'sound' },
} as const;

/** Most faults named in one message. */
export const faultsShown = 20;

/** Longest fault in a message, in characters: a stranger's names and keys may be of any length. */
const faultLength = 2000;

/** Joins faults to one paragraph, saying how many more there are than `most`. */
export function listFaults(faults: readonly string[], most = faultsShown): string {
  const shown = faults.map((fault) =>
    fault.length > faultLength ? `${fault.slice(0, faultLength)}…` : fault,
  );
  return firstOf(shown, most, '; ');
}

/**
 * The files that a mode's features come from.
 *
 * @returns the sources, and a fault for each kind that the record has no file for
 */
export function featureSources(
  record: SampleRecord,
  mode: InputMode,
): { readonly sources: FeatureSource[]; readonly faults: string[] } {
  const sources: FeatureSource[] = [];
  const faults: string[] = [];
  for (const kind of mode.needs) {
    if (kind === 'image') {
      faults.push(`${record.origin}: samples hold no still picture, which the configured inputs need`);
      continue;
    }
    const { columns, word } = sourcesOf[kind];
    const column = columns.find((candidate) => record[candidate] !== undefined);
    if (column === undefined) {
      faults.push(
        `${record.origin}: sample "${record.name}" gives no ${columns.join(' or ')}, and the configured inputs need ${word}`,
      );
    } else {
      sources.push({ kind, file: record[column]!, column });
    }
  }
  return { sources, faults };
}

/** How many files are looked for at a time. */
const statBatch = 64;

/**
 * Looks for every file that a mode needs.
 *
 * @returns the faults of each bad record, by name: files that are not there or empty, and kinds without a file
 */
export async function findFileFaults(
  records: readonly SampleRecord[],
  mode: InputMode,
): Promise<Map<string, string[]>> {
  const faults = new Map<string, string[]>();
  for (let begin = 0; begin < records.length; begin += statBatch) {
    const batch = records.slice(begin, begin + statBatch);
    await Promise.all(
      batch.map(async (record) => {
        const found = await recordFaults(record, mode);
        if (found.length > 0) faults.set(record.name, found);
      }),
    );
  }
  return faults;
}

async function recordFaults(record: SampleRecord, mode: InputMode): Promise<string[]> {
  const { sources, faults } = featureSources(record, mode);
  const files = new Map(sources.map(({ file, column }) => [file, column]));
  for (const [file, column] of files) {
    const status = await stat(file).catch(() => undefined);
    if (status === undefined || !status.isFile()) {
      faults.push(`${record.origin}: sample "${record.name}": there is no ${column} file ${file}`);
    } else if (status.size === 0) {
      faults.push(`${record.origin}: sample "${record.name}": the ${column} file ${file} has 0 bytes`);
    }
  }
  return faults;
}
