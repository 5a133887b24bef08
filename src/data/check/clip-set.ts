import path from 'node:path';
import { InputError } from '../../errors.ts';
import type { ClipLayout } from '../clip-layouts.ts';
import { type NamedColumn, readColumn, type TableColumn } from '../datasets.ts';
import type { SampleRecord } from '../records.ts';
import {
  clipFindings,
  findClipFiles,
  folderFindings,
  type MediaKind,
  mediaKinds,
  orphanFindings,
} from './clips.ts';
import { type CheckedPart, type DataFinding, type DataReport, findingOf } from './findings.ts';

/** What the user wants of a check. */
export interface CheckOptions {
  /** Files that are not wanted: they are neither looked for nor put into the records. */
  readonly without: readonly MediaKind[];
  /** Whether another number of samples than the published one is no fault. */
  readonly partial: boolean;
}

/** A checked data set. */
export interface CheckedSet {
  readonly report: DataReport;
  /** What a manifest is made of; complete where the report is. */
  readonly records: readonly SampleRecord[];
}

/** Samples of a split with what they are labelled with; their files and subtitles are still to be looked for. */
export interface AnnotatedSplit {
  readonly split: string;
  /** Samples of the published set. */
  readonly expected: number;
  readonly records: readonly SampleRecord[];
}

/** A finding about a table, from what reading it threw. Anything but bad input is thrown again. */
export function tableFault(part: CheckedPart, file: string, error: unknown, needed = true): DataFinding[] {
  if (!(error instanceof InputError)) throw error;
  if (error.code === 'FILE_NOT_FOUND') return findingOf(part, 'missing', [file], needed);
  const kind = error.code === 'DATASET_MISSING' ? 'missing' : 'unreadable';
  return findingOf(part, kind, [error.message], needed);
}

/** Reads a column of a table; what is wrong with it becomes findings. */
export async function readTable(
  part: CheckedPart,
  folder: string,
  named: NamedColumn,
): Promise<{ readonly cells: TableColumn; readonly findings: readonly DataFinding[] }> {
  const faults: string[] = [];
  try {
    const cells = await readColumn(folder, named, faults);
    return { cells, findings: findingOf(part, 'unreadable', faults, true) };
  } catch (error) {
    return { cells: new Map(), findings: tableFault(part, named.file, error) };
  }
}

/** A finding for each split with another number of samples than the published one. */
export function countFindings(
  splits: readonly {
    readonly split: string;
    readonly expected: number;
    readonly records: readonly unknown[];
  }[],
  partial: boolean,
): DataFinding[] {
  return splits
    .filter(({ records, expected }) => records.length !== expected)
    .map(({ split, records, expected }) => ({
      ...({ part: 'labels', kind: 'count', needed: !partial, count: records.length } as const),
      examples: [`${split}: ${records.length} of ${expected}`],
    }));
}

/**
 * Checks the folders, subtitles and files of a set of clips whose labels have been read.
 *
 * @param set.known names besides those of the splits that files may have
 * @param set.findings what is wrong with its labels
 */
export async function checkClipSet(
  set: {
    readonly dataset: string;
    readonly title: string;
    readonly layout: ClipLayout;
    readonly root: string;
    readonly splits: readonly AnnotatedSplit[];
    readonly known: Iterable<string>;
    readonly findings: readonly DataFinding[];
  },
  { without, partial }: CheckOptions,
): Promise<CheckedSet> {
  const { dataset, title, layout, root, splits } = set;
  const folder = path.resolve(root, layout.folder);
  const kinds = mediaKinds.filter((kind) => !without.includes(kind));
  const samples = splits.flatMap(({ split, records }) => records.map((record) => ({ split, record })));
  const names = samples.map(({ record }) => record.name);
  const subtitles = await readTable('subtitle', folder, layout.subtitles);
  const clips = await findClipFiles(layout, folder, names, kinds);
  const known = new Set([...names, ...set.known, ...subtitles.cells.keys()]);
  const isRead = subtitles.findings.length === 0;
  const untold = names.filter((name) => !subtitles.cells.has(name));
  const silent = names.filter((name) => subtitles.cells.get(name)?.text.trim() === '');
  // Where labels could not be read there is nothing to count.
  const isLabelled = !set.findings.some(({ part, needed }) => part === 'labels' && needed);
  const counted = splits.filter((split) => isLabelled || split.records.length > 0);
  const findings = [
    ...(await folderFindings(layout, folder, kinds)),
    ...set.findings,
    ...countFindings(counted, partial),
    ...subtitles.findings,
    ...(isRead ? findingOf('subtitle', 'missing', untold, true) : []),
    ...findingOf('subtitle', 'empty', silent, false),
    ...clipFindings(clips, kinds),
    ...(await orphanFindings(layout, folder, known, kinds)),
  ];
  const { source } = layout;
  return {
    report: {
      ...{ dataset, title, folder, source, findings },
      splits: splits.map(({ split, expected, records }) => ({ split, samples: records.length, expected })),
    },
    records: samples.map(({ record }, i) => ({
      ...record,
      ...clips[i]!.columns,
      subtitle: subtitles.cells.get(record.name)?.text ?? '',
    })),
  };
}
