import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/errors.ts';
import { benchmarkDatasets } from '../../src/eval/mer-unibench/datasets.ts';
import { readLabels } from '../../src/eval/mer-unibench/labels.ts';
import { readPredictions } from '../../src/eval/mer-unibench/predictions.ts';
import { parseNpy } from '../../src/io/npy-array.ts';
import { type ParsedArray, withNpz } from '../../src/io/npz.ts';
import { numpyKind, unpickle } from '../../src/io/pickle.ts';
import { torchKind } from '../../src/io/torch/kind.ts';
import { withZip } from '../../src/io/zip.ts';
import type { Random } from '../../src/quickstart/random.ts';
import { fixturePath } from '../support/fixture.ts';
import { damage, type FuzzOutcome, type FuzzSource, fuzz } from './fuzz.ts';
import { type ZipMember, zipOf } from './zip-writer.ts';

type Source = FuzzSource & { readonly kind: 'archive' | 'array' | 'pickle' };

const fixture = (name: string) => fixturePath(`npz/${name}`);
const checkpoint = 'checkpoint_000030_loss_0.602';

/** Reads damaged copies of real archives, arrays and pickles, always the same ones for a seed. */
export async function fuzzArrays(cases: number, seed: number, folder: string): Promise<FuzzOutcome> {
  return fuzz(await gather(folder), { cases, seed, name: 'arrays' });
}

async function gather(folder: string): Promise<Source[]> {
  const sources: Source[] = [];
  const addArchive = async (path: string, name: string, read: (path: string) => Promise<unknown>) => {
    const place = join(folder, String(sources.length));
    mkdirSync(place);
    const members = await membersOf(path);
    const readCopy = (bytes: Buffer) => {
      writeFileSync(join(place, name), bytes);
      return read(join(place, name));
    };
    // Members that are damaged alone come with the right checksum and so get further.
    const damagedCopy = (random: Random): Buffer => {
      if (random.chance(0.4)) return damage(bytes, sources, random);
      const at = random.integer(members.length);
      const content = damage(Buffer.from(members[at]!.content), sources, random);
      return zipOf(members.map((member, i) => (i === at ? { ...member, content } : member)));
    };
    const bytes = readFileSync(path);
    sources.push({ kind: 'archive', name: path, bytes, damagedCopy, read: readCopy });
    for (const { content } of members) addArray(path, Buffer.from(content));
  };
  const addArray = (name: string, bytes: Buffer) => {
    sources.push({
      kind: 'array',
      name: `an array of ${name}`,
      bytes,
      read: (copy) => checkSize(parseNpy(copy, 'x'), copy),
    });
    if (!bytes.toString('latin1', 0, 100).includes("'|O'")) return;
    const pickle = bytes.subarray(10 + bytes.readUInt16LE(8));
    sources.push({ kind: 'pickle', name: `objects of ${name}`, bytes: pickle, read: readPickle });
  };
  for (const name of ['arrays.npz', 'arrays-stored.npz'])
    await addArchive(fixture(name), 'x.npz', readArrays);
  for (const key of ['mer2023', 'iemocapfour', 'cmumosei'] as const) {
    const dataset = benchmarkDatasets[key];
    await addArchive(fixture(`sets/${key}/${dataset.labelFile}`), 'x.npz', (path) =>
      readLabels(dataset, path),
    );
  }
  for (const suffix of ['', '-openset', '-openset-sentiment']) {
    const path = fixture(`sets/cmumosi/predictions/${checkpoint}${suffix}.npz`);
    await addArchive(path, `x${suffix}.npz`, readPredictions);
  }
  const pickles = readdirSync(fixturePath('torch')).filter((name) => name.endsWith('.pkl'));
  for (const path of [
    ...[2, 4].map((protocol) => fixture(`dictionary-protocol${protocol}.pkl`)),
    ...pickles.map((name) => fixturePath(`torch/${name}`)),
  ]) {
    sources.push({ kind: 'pickle', name: path, bytes: readFileSync(path), read: readPickle });
  }
  return sources;
}

const membersOf = (path: string): Promise<ZipMember[]> =>
  withZip(path, (archive) =>
    Promise.all(
      Array.from(archive.entries.values(), async (entry) => ({
        name: entry.name,
        content: await archive.read(entry, 1e6),
        deflate: entry.method === 'deflated',
      })),
    ),
  );

/** Arrays one by one, so that a damaged one does not keep the others from being read. */
async function readArrays(path: string): Promise<void> {
  await withNpz(path, async (archive) => {
    const faults: unknown[] = [];
    for (const name of archive.names) await archive.read(name).catch((error: unknown) => faults.push(error));
    const crash = faults.find((error) => !(error instanceof InputError));
    if (faults.length > 0) throw crash ?? faults[0];
  });
}

function readPickle(bytes: Buffer): void {
  const faults = [numpyKind, torchKind].flatMap((kind) => {
    try {
      unpickle(bytes, { kind, where: 'x' });
      return [];
    } catch (error) {
      return [error];
    }
  });
  const crash = faults.find((error) => !(error instanceof InputError));
  if (crash !== undefined || faults.length === 2) throw crash ?? faults[0];
}

/** An array holds no more than the bytes it came from. */
function checkSize(array: ParsedArray, bytes: Buffer): void {
  const widened = array.kind === 'numbers' && array.dtype === 'float16' ? 2 : 1;
  const size = array.kind === 'numbers' ? array.data.byteLength : array.data.length;
  if (size > widened * bytes.byteLength) throw new Error(`${size} of ${bytes.byteLength} bytes`);
}
