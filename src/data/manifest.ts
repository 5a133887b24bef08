import { dirname, extname, resolve } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.ts';
import { readCsv } from '../io/csv.ts';
import { readJsonl } from '../io/jsonl.ts';
import type { SampleRecord } from './records.ts';
import { listFaults } from './records.ts';

const text = z.string('has to be text');
const word = text.trim().min(1, 'is empty');

/** The columns of a manifest; empty cells and nulls count as absent. */
const rowSchema = z
  .strictObject({
    name: word.optional(),
    id: word.optional(),
    video: text.optional(),
    audio: text.optional(),
    face: text.optional(),
    subtitle: text.optional(),
    question: text.optional(),
    answer: text.optional(),
    labels: z
      .union([
        z.array(word, 'has to be a list of words'),
        text.transform((cell) =>
          cell
            .split(';')
            .map((label) => label.trim())
            .filter((label) => label !== ''),
        ),
      ])
      .optional(),
    description: text.optional(),
    sentiment: word.optional(),
    valence: z.coerce.number('has to be a number').optional(),
    split: word.optional(),
  })
  .superRefine(({ name, id, video, audio, face, subtitle, question }, context) => {
    if (name === undefined && id === undefined) {
      context.addIssue({ code: 'custom', message: 'has no name' });
    } else if (name !== undefined && id !== undefined && name !== id) {
      context.addIssue({ code: 'custom', message: `has the name "${name}" and the id "${id}"; give one` });
    }
    if ([video, audio, face, subtitle, question].every((value) => value === undefined)) {
      context.addIssue({
        code: 'custom',
        message: 'has none of video, audio, face and subtitle, nor a question of its own',
      });
    }
  });

type ManifestRow = z.output<typeof rowSchema>;

/** Columns that a manifest may have. */
const manifestColumns = Object.keys(rowSchema.shape);

interface RawRow {
  readonly row: number;
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Reads a manifest: JSON Lines (`.jsonl`) or CSV with the same columns (labels separated by `;`).
 *
 * Paths are relative to the manifest's folder. Absolute paths and paths that lead out of the folder by `..` are
 * followed as they stand: a manifest may name any file that the user may read, so look into one that comes from
 * somebody else before using it.
 *
 * @throws InputError `MANIFEST_KIND` (neither ending), `MANIFEST_INVALID` (every bad row), `MANIFEST_EMPTY`, and those of
 *   `readJsonl` and `readCsv`
 */
export async function readManifest(file: string): Promise<SampleRecord[]> {
  const rows = await readRows(file);
  const faults: string[] = [];
  const records: SampleRecord[] = [];
  const firstRow = new Map<string, number>();
  for (const { row, values } of rows) {
    const present = Object.entries(values).filter(([, value]) => value !== null && value !== '');
    const parsed = rowSchema.safeParse(Object.fromEntries(present));
    if (!parsed.success) {
      faults.push(...parsed.error.issues.map((issue) => `row ${row}: ${describe(issue)}`));
      continue;
    }
    const record = toRecord(parsed.data, file, row);
    const earlier = firstRow.get(record.name);
    if (earlier === undefined) firstRow.set(record.name, row);
    else faults.push(`row ${row}: the name "${record.name}" is already that of row ${earlier}`);
    records.push(record);
  }
  if (faults.length > 0) {
    throw new InputError('MANIFEST_INVALID', `${file} has faults: ${listFaults(faults)}.`);
  }
  if (records.length === 0) {
    throw new InputError('MANIFEST_EMPTY', `${file} has no rows; expected is one sample in each.`);
  }
  return records;
}

async function readRows(file: string): Promise<RawRow[]> {
  const ending = extname(file).toLowerCase();
  if (ending === '.csv') {
    return [...(await readCsv(file, { optional: manifestColumns })).rows];
  }
  if (ending === '.jsonl') {
    const rows: RawRow[] = [];
    for await (const { row, value } of readJsonl(file)) rows.push({ row, values: value });
    return rows;
  }
  throw new InputError('MANIFEST_KIND', `${file}: a manifest is a .jsonl or a .csv file.`);
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `"${key}"`).join(', ');
    return `unknown ${issue.keys.length > 1 ? 'keys' : 'key'} ${keys}; known are ${manifestColumns.join(', ')}`;
  }
  const path = issue.path.join('.');
  return path === '' ? issue.message : `${path} ${issue.message}`;
}

function toRecord(row: ManifestRow, file: string, number: number): SampleRecord {
  const { name, id, video, audio, face, labels, ...rest } = row;
  const folder = dirname(file);
  const path = (key: string, value: string | undefined) =>
    value !== undefined && { [key]: resolve(folder, value) };
  const record = {
    ...rest,
    name: (name ?? id)!,
    ...path('video', video),
    ...path('audio', audio),
    ...path('face', face),
    ...(labels !== undefined && labels.length > 0 && { labels }),
    origin: `${file}, row ${number}`,
  };
  // zod gives optional keys the type "or undefined"; absent ones are really absent here.
  return record as SampleRecord;
}
