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
import { Random } from '../../src/quickstart/random.ts';
import { fixturePath } from '../support/fixture.ts';
import { type ZipMember, zipOf } from './zip-writer.ts';

/** A small real file, with what reads it. */
interface Source {
  /** All kinds are damaged equally often. */
  readonly kind: 'archive' | 'array' | 'pickle';
  readonly name: string;
  readonly bytes: Buffer;
  /** Members, for archives: damaged alone they come with the right checksum and so get further. */
  readonly members?: readonly ZipMember[];
  read(bytes: Buffer): unknown;
}

export interface FuzzOutcome {
  readonly cases: number;
  readonly read: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Bytes asked for at once beyond those of the file: a length that nobody checked would show here. */
  readonly largestExcess: number;
  /** The slowest case. */
  readonly slowest: { readonly milliseconds: number; readonly name: string };
  /** What neither was read nor refused as bad input; has to be empty. */
  readonly crashes: readonly string[];
}

/** Bytes that a damaged archive may make a reader ask for by lengths of two bytes, which cannot do harm. */
export const harmlessBytes = 256 * 1024;

const fixture = (name: string) => fixturePath(`npz/${name}`);
const checkpoint = 'checkpoint_000030_loss_0.602';

/** Reads damaged copies of real archives, arrays and pickles, always the same ones for a seed. */
export async function fuzzArrays(cases: number, seed: number, folder: string): Promise<FuzzOutcome> {
  const sources = await gather(folder);
  const kinds = [...new Set(sources.map(({ kind }) => kind))].map((kind) =>
    sources.filter((source) => source.kind === kind),
  );
  const random = new Random(seed, 'arrays');
  const refused: Record<string, number> = {};
  const crashes: string[] = [];
  let [read, largestExcess] = [0, 0];
  let slowest = { milliseconds: 0, name: '' };
  const watch = watchAllocations();
  try {
    for (let number = 0; number < cases; number++) {
      const source = random.pick(random.pick(kinds));
      const damaged = damagedCopy(source, sources, random);
      watch.largest = 0;
      const start = performance.now();
      try {
        await source.read(damaged);
        read++;
      } catch (error) {
        if (error instanceof InputError) refused[error.code] = (refused[error.code] ?? 0) + 1;
        else crashes.push(`case ${number}, ${source.name}: ${error instanceof Error ? error.stack : error}`);
      }
      const milliseconds = performance.now() - start;
      if (milliseconds > slowest.milliseconds)
        slowest = { milliseconds, name: `case ${number}, ${source.name}` };
      largestExcess = Math.max(largestExcess, watch.largest - damaged.byteLength);
    }
  } finally {
    watch.stop();
  }
  return { cases, read, refused, largestExcess, slowest, crashes };
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
    sources.push({ kind: 'archive', name: path, bytes: readFileSync(path), members, read: readCopy });
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

function damagedCopy({ bytes, members }: Source, sources: readonly Source[], random: Random): Buffer {
  if (members === undefined || random.chance(0.4)) return damage(bytes, sources, random);
  const at = random.integer(members.length);
  const content = damage(Buffer.from(members[at]!.content), sources, random);
  return zipOf(members.map((member, i) => (i === at ? { ...member, content } : member)));
}

const lengths = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

function damage(bytes: Buffer, sources: readonly Source[], random: Random): Buffer {
  let changed: Buffer = Buffer.from(bytes);
  for (let left = random.chance(0.6) ? 1 : 3; left > 0; left--)
    changed = damageOnce(changed, sources, random);
  return changed;
}

/** One change, more often near the ends, where the structure is. */
function damageOnce(bytes: Buffer, sources: readonly Source[], random: Random): Buffer {
  if (bytes.byteLength === 0) return bytes;
  const reach = random.chance(0.7) ? bytes.byteLength : Math.min(200, bytes.byteLength);
  const near = random.integer(reach);
  const at = random.chance(0.3) ? bytes.byteLength - 1 - near : near;
  const end = Math.min(bytes.byteLength, at + 1 + random.integer(40));
  switch (random.integer(8)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 3: {
      const other = random.pick(sources).bytes;
      const from = random.integer(other.byteLength);
      const piece = other.subarray(from, from + 1 + random.integer(60));
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(random.chance(0.5) ? at : end)]);
    }
    case 4: {
      const width = random.pick([2, 4, 8]);
      if (at + width > bytes.byteLength) return bytes.subarray(0, at);
      const length = random.pick(lengths);
      if (width === 2) bytes.writeUInt16LE(length & 0xffff, at);
      else bytes.writeUInt32LE(length, at);
      if (width === 8) bytes.writeUInt32LE(random.pick(lengths), at + 4);
      return bytes;
    }
    case 5: {
      // A digit of a header or of a pickle of protocol 0.
      const digit = bytes.subarray(at).findIndex((byte) => byte >= 0x30 && byte <= 0x39);
      if (digit >= 0) bytes[at + digit] = 0x30 + random.integer(10);
      return bytes;
    }
    case 6:
      bytes[at] = bytes[at]! ^ (1 << random.integer(8));
      return bytes;
    default:
      bytes[at] = random.integer(256);
      return bytes;
  }
}

/** Notes the largest buffer that anybody asks for. */
function watchAllocations(): { largest: number; stop(): void } {
  const { alloc, allocUnsafe } = Buffer;
  const watch = {
    largest: 0,
    stop: () => {
      Object.assign(Buffer, { alloc, allocUnsafe });
    },
  };
  const noted = (make: typeof alloc) => (size: number, fill?: string | number, encoding?: BufferEncoding) => {
    watch.largest = Math.max(watch.largest, size);
    return make(size, fill, encoding);
  };
  Object.assign(Buffer, { alloc: noted(alloc), allocUnsafe: noted(allocUnsafe) });
  return watch;
}
