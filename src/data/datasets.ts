import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type MmlaSettings, mmlaSchema } from '../config/mmla.ts';
import { InputError } from '../errors.ts';
import { readCsv } from '../io/csv.ts';
import type { ClipLayout } from './clip-layouts.ts';
import { clipLayouts } from './clip-layouts.ts';
import { meldSource, readMeldText } from './meld.ts';
import { mmlaSource, readMmlaDataset } from './mmla/dataset.ts';
import type { SampleRecord } from './records.ts';
import { listFaults } from './records.ts';

/** What the configuration says about single data sets, by section of `data`. */
export interface DatasetSettings {
  readonly mmla?: MmlaSettings | null;
}

/** A published data set. */
interface Dataset {
  /** Where to get it. */
  readonly source: string;
  /**
   * Reads its tables.
   * @param root folder that holds the folders of the data sets
   * @param notify told what is left out
   */
  read(root: string, settings: DatasetSettings, notify: (message: string) => void): Promise<SampleRecord[]>;
}

/** A table with `name` and this column. */
export interface NamedColumn {
  readonly file: string;
  readonly column: string;
}

/** A set of clips with a table for each kind of annotation. */
export interface ClipTables extends ClipLayout {
  readonly title: string;
  /** Samples of the published set. */
  readonly count: number;
  /** Emotion words of each sample. */
  readonly labels: NamedColumn;
  /** Reasoned paragraph of each sample. */
  readonly descriptions: NamedColumn;
}

/** The MER2025 folder serves several sets, which differ in their label files. */
const mer2025 = (set: string, title: string, count: number): ClipTables => ({
  ...clipLayouts.mer2025,
  ...{ title, count },
  labels: { file: `track2_train_${set}.csv`, column: 'openset' },
  descriptions: { file: `track3_train_${set}.csv`, column: 'reason' },
});

/** Published sets of clips to train on. */
export const clipTables = {
  mercaptionplus: mer2025('mercaptionplus', 'MER-Caption+', 31_327),
  ovmerd: mer2025('ovmerd', 'OV-MERD', 332),
} as const;

const ofTables = (key: keyof typeof clipTables): Dataset => ({
  source: clipTables[key].source,
  read: (root) => readClipTables(key, clipTables[key], root),
});

/** Published data sets by their registry names. */
export const datasets = {
  mercaptionplus: ofTables('mercaptionplus'),
  ovmerd: ofTables('ovmerd'),
  'meld-text': { source: meldSource, read: readMeldText },
  mmla: {
    source: mmlaSource,
    read: (root, { mmla }, notify) => readMmlaDataset(root, mmla ?? mmlaSchema.parse({}), notify),
  },
} as const satisfies Record<string, Dataset>;

/**
 * Reads the tables of a published data set. Its media files are looked for later, those only that the chosen inputs
 * need.
 *
 * @param root folder that holds the folders of the data sets
 * @param notify told what a data set leaves out
 * @throws InputError `DATASET_UNKNOWN`, `DATASET_MISSING` (all missing files and folders), `DATASET_INVALID` (all bad
 *   rows), and those of `readCsv` and `readMmlaDataset`
 */
export async function readDataset(
  key: string,
  root: string,
  settings: DatasetSettings = {},
  notify: (message: string) => void = () => {},
): Promise<SampleRecord[]> {
  if (!Object.hasOwn(datasets, key)) {
    throw new InputError(
      'DATASET_UNKNOWN',
      `There is no data set "${key}". Known are ${Object.keys(datasets).join(', ')}; own clips are described by a manifest (data.manifest).`,
    );
  }
  const dataset: Dataset = datasets[key as keyof typeof datasets];
  return dataset.read(root, settings, notify);
}

async function readClipTables(key: string, definition: ClipTables, root: string): Promise<SampleRecord[]> {
  const folder = resolve(root, definition.folder);
  await requireLayout(key, folder, definition);
  const faults: string[] = [];
  const labels = await readColumn(folder, definition.labels, faults);
  const descriptions = await readColumn(folder, definition.descriptions, faults);
  const subtitles = await readColumn(folder, definition.subtitles, faults);
  if (faults.length > 0) {
    throw new InputError('DATASET_INVALID', `The tables of "${key}" have faults: ${listFaults(faults)}.`);
  }
  return annotatedRecords(folder, definition, { labels, descriptions }).map((record) => ({
    ...record,
    video: join(folder, definition.videos(record.name)[0]),
    audio: join(folder, definition.audio(record.name)),
    face: join(folder, definition.face(record.name)),
    subtitle: subtitles.get(record.name)?.text ?? '',
  }));
}

/** A record for each name in either table, with what both say about it; without its files and its subtitle. */
export function annotatedRecords(
  folder: string,
  definition: ClipTables,
  tables: { readonly labels: TableColumn; readonly descriptions: TableColumn },
): SampleRecord[] {
  const { labels, descriptions } = tables;
  const names = new Set([...labels.keys(), ...descriptions.keys()]);
  return Array.from(names, (name): SampleRecord => {
    const openset = labels.get(name);
    const reason = descriptions.get(name);
    const table = openset === undefined ? definition.descriptions : definition.labels;
    return {
      name,
      ...(openset && { labels: labelsOrNeutral(openset.text) }),
      ...(reason && reason.text !== '' && { description: reason.text }),
      origin: `${join(folder, table.file)}, row ${(openset ?? reason)!.row}`,
    };
  });
}

async function requireLayout(key: string, folder: string, definition: ClipTables): Promise<void> {
  const tables = [definition.labels, definition.descriptions, definition.subtitles].map(({ file }) => file);
  const missing: string[] = [];
  for (const file of tables) {
    const status = await stat(join(folder, file)).catch(() => undefined);
    if (!status?.isFile()) missing.push(`file ${join(folder, file)}`);
  }
  for (const name of definition.folders) {
    const status = await stat(join(folder, name)).catch(() => undefined);
    if (!status?.isDirectory()) missing.push(`folder ${join(folder, name)}`);
  }
  if (missing.length > 0) {
    throw new InputError(
      'DATASET_MISSING',
      `The data set "${key}" is not complete; missing: ${missing.join('; ')}. Get it from ${definition.source} and set data.root to the folder that holds ${definition.folder}.`,
    );
  }
}

interface Cell {
  readonly row: number;
  readonly text: string;
}

/** What a table says of each name. */
export type TableColumn = ReadonlyMap<string, Cell>;

/**
 * Reads a column of a table by `name`.
 * @param faults are added to: rows whose name is empty, a path, or that of another row; these are left out
 * @throws InputError those of `readCsv`
 */
export async function readColumn(
  folder: string,
  { file, column }: NamedColumn,
  faults: string[],
): Promise<TableColumn> {
  const table = await readCsv(join(folder, file), { required: ['name', column] });
  const cells = new Map<string, Cell>();
  for (const { row, values } of table.rows) {
    const name = values.name!.trim();
    if (name === '') faults.push(`${file}, row ${row}: the name is empty`);
    else if (/[/\\]/.test(name)) faults.push(`${file}, row ${row}: the name "${name}" holds a slash`);
    else if (cells.has(name)) {
      faults.push(`${file}, row ${row}: the name "${name}" is already that of row ${cells.get(name)!.row}`);
    } else cells.set(name, { row, text: values[column]! });
  }
  return cells;
}

/**
 * Splits a list of labels as the published files write it (`[happy, sad]`, `['happy', "sad"]`): one bracket at each
 * end goes, quotes and commas separate.
 */
export function parseOpensetLabels(text: string): string[] {
  return text
    .replace(/^\[/, '')
    .replace(/\]$/, '')
    .split(/['",]/)
    .map((label) => label.trim())
    .filter((label) => label !== '');
}

/** The published training reads an empty list as `neutral`. */
function labelsOrNeutral(text: string): string[] {
  const labels = parseOpensetLabels(text);
  return labels.length > 0 ? labels : ['neutral'];
}
