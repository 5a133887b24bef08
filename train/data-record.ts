import { dirname, join, relative, resolve } from 'node:path';
import type { RecordsLocation } from '../src/data/read-records.ts';
import type { SampleRecord } from '../src/data/records.ts';
import { InputError } from '../src/errors.ts';
import { makeFolder, writeFileAtomic } from '../src/io/atomic.ts';
import { sha256 } from '../src/io/checksum.ts';
import { readText } from '../src/io/filesystem.ts';
import { isJsonObject } from '../src/io/json.ts';

/** What a run was told about each of its samples: a digest by name, in the order of the data. */
export type DataRecord = ReadonlyMap<string, string>;

const fileName = 'samples.json';

/** Where the paths of a location begin: a data set may be moved as a whole. */
const baseOf = (location: RecordsLocation): string =>
  resolve('manifest' in location ? dirname(location.manifest) : location.root);

/** Everything about samples but where they lie, how the file is named that lists them, and the bytes of their media. */
export function dataRecord(records: readonly SampleRecord[], location: RecordsLocation): DataRecord {
  const base = baseOf(location);
  const path = (file: string | undefined) => (file === undefined ? undefined : relative(base, file));
  return new Map(
    records.map(({ origin: _, video, audio, face, ...told }) => {
      const entries = Object.entries({
        ...told,
        video: path(video),
        audio: path(audio),
        face: path(face),
      }).filter(([, value]) => value !== undefined);
      entries.sort(([a], [b]) => (a < b ? -1 : 1));
      return [told.name, sha256(JSON.stringify(entries)).slice(0, 16)];
    }),
  );
}

/** Stands for a whole record, order included. */
export const dataDigest = (record: DataRecord): string => sha256(JSON.stringify([...record]));

/** Keeps the record in the run folder, so that a changed sample can be named later. */
export async function writeDataRecord(runFolder: string, record: DataRecord): Promise<void> {
  await makeFolder(runFolder);
  const text = JSON.stringify(Object.fromEntries(record), null, 1);
  await writeFileAtomic(join(runFolder, fileName), `${text}\n`);
}

/** The record of a run folder if it has one that belongs to the digest. */
async function readDataRecord(runFolder: string, digest: string): Promise<DataRecord | undefined> {
  try {
    const json: unknown = JSON.parse(await readText(join(runFolder, fileName)));
    const record = new Map(isJsonObject(json) ? Object.entries(json).map(([k, v]) => [k, String(v)]) : []);
    return dataDigest(record) === digest ? record : undefined;
  } catch {
    // It only serves the message: without it the samples are not named.
    return undefined;
  }
}

/** Names in one message, of each kind. */
const namesShown = 5;

function count(names: readonly string[], what: string): string {
  const rest = names.length - namesShown;
  const shown = names.slice(0, namesShown).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
  return `${names.length} ${what}${names.length > 0 ? ` (${shown})` : ''}`;
}

/** How two records differ. */
function describeChange(before: DataRecord, now: DataRecord): string {
  const [was, is] = [[...before.keys()], [...now.keys()]];
  const added = is.filter((name) => !before.has(name));
  const removed = was.filter((name) => !now.has(name));
  const changed = is.filter((name) => before.has(name) && before.get(name) !== now.get(name));
  const counts = [count(added, 'added'), count(removed, 'removed'), count(changed, 'changed')];
  const order = added.length + removed.length + changed.length === 0 ? '; their order differs' : '';
  return `there were ${was.length} samples and are now ${is.length}: ${counts.join(', ')}${order}`;
}

/**
 * Refuses to continue a run with samples other than those it began with.
 *
 * @param digest of the checkpoint; undefined where it was saved before there were digests
 * @throws InputError `RESUME_DATA_CHANGED` with the numbers and names of added, removed and changed samples
 */
export async function checkData(
  digest: string | undefined,
  current: DataRecord,
  { runFolder, checkpoint }: { readonly runFolder: string; readonly checkpoint: string },
): Promise<void> {
  if (digest === undefined || digest === dataDigest(current)) return;
  const before = await readDataRecord(runFolder, digest);
  const difference =
    before === undefined
      ? `what is told about the samples differs (which of them, only ${fileName} of the run folder could say)`
      : describeChange(before, current);
  throw new InputError(
    'RESUME_DATA_CHANGED',
    `The run cannot be continued from ${checkpoint}, because its data have changed: ${difference}. Restore the data, or start a new run in another output folder.`,
  );
}
