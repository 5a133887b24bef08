import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InputError } from '../errors.ts';
import { readCsv } from '../io/csv.ts';
import type { SampleRecord } from './records.ts';
import { listFaults } from './records.ts';

/** How a published data set lies on disk. */
interface DatasetDefinition {
  /** Below `data.root`. */
  readonly folder: string;
  readonly video: (name: string) => string;
  readonly audio: (name: string) => string;
  readonly face: (name: string) => string;
  readonly subtitles: { readonly file: string; readonly column: string };
  /** Emotion words of each sample: `name` and this column. */
  readonly labels: { readonly file: string; readonly column: string };
  /** Reasoned paragraph of each sample. */
  readonly descriptions: { readonly file: string; readonly column: string };
  /** Folders that have to be there. */
  readonly folders: readonly string[];
  /** Where to get it. */
  readonly source: string;
}

/** The MER2025 folder serves several sets, which differ in their label files. */
const mer2025 = (set: string): DatasetDefinition => ({
  folder: 'mer2025-dataset',
  video: (name) => join('video', `${name}.mp4`),
  audio: (name) => join('audio', `${name}.wav`),
  face: (name) => join('openface_face', name, `${name}.npy`),
  subtitles: { file: 'subtitle_chieng.csv', column: 'english' },
  labels: { file: `track2_train_${set}.csv`, column: 'openset' },
  descriptions: { file: `track3_train_${set}.csv`, column: 'reason' },
  folders: ['video', 'audio', 'openface_face'],
  source: 'https://huggingface.co/datasets/MERChallenge/MER2025 (after signing its licence)',
});

/** Published data sets by their registry names. */
export const datasets = {
  mercaptionplus: mer2025('mercaptionplus'),
  ovmerd: mer2025('ovmerd'),
} as const satisfies Record<string, DatasetDefinition>;

/**
 * Reads the tables of a published data set. Its media files are looked for later, those only that the chosen inputs
 * need.
 *
 * @param root folder that holds the folders of the data sets
 * @throws InputError `DATASET_UNKNOWN`, `DATASET_MISSING` (all missing files and folders), `DATASET_INVALID` (all bad
 *   rows), and those of `readCsv`
 */
export async function readDataset(key: string, root: string): Promise<SampleRecord[]> {
  if (!Object.hasOwn(datasets, key)) {
    throw new InputError(
      'DATASET_UNKNOWN',
      `There is no data set "${key}". Known are ${Object.keys(datasets).join(', ')}; own clips are described by a manifest (data.manifest).`,
    );
  }
  const definition: DatasetDefinition = datasets[key as keyof typeof datasets];
  const folder = resolve(root, definition.folder);
  await requireLayout(key, folder, definition);
  const faults: string[] = [];
  const labels = await readColumn(folder, definition.labels, faults);
  const descriptions = await readColumn(folder, definition.descriptions, faults);
  const subtitles = await readColumn(folder, definition.subtitles, faults);
  if (faults.length > 0) {
    throw new InputError('DATASET_INVALID', `The tables of "${key}" have faults: ${listFaults(faults)}.`);
  }
  const names = new Set([...labels.keys(), ...descriptions.keys()]);
  return Array.from(names, (name): SampleRecord => {
    const openset = labels.get(name);
    const reason = descriptions.get(name);
    const table = openset === undefined ? definition.descriptions : definition.labels;
    return {
      name,
      video: join(folder, definition.video(name)),
      audio: join(folder, definition.audio(name)),
      face: join(folder, definition.face(name)),
      subtitle: subtitles.get(name)?.text ?? '',
      ...(openset && { labels: labelsOrNeutral(openset.text) }),
      ...(reason && reason.text !== '' && { description: reason.text }),
      origin: `${join(folder, table.file)}, row ${(openset ?? reason)!.row}`,
    };
  });
}

async function requireLayout(key: string, folder: string, definition: DatasetDefinition): Promise<void> {
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

async function readColumn(
  folder: string,
  { file, column }: { readonly file: string; readonly column: string },
  faults: string[],
): Promise<Map<string, Cell>> {
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
