import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, realpath, rm, stat, statfs, utimes } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '../../io/atomic.ts';
import { bfloat16ToFloat32, halfToFloat32 } from '../../io/float16.ts';
import { cacheFolder } from '../cache-folder.ts';
import type { FileWeight, WeightSource } from '../types.ts';

/**
 * Frozen weights of 16 bits, widened to float32 once and kept on disk. onnxruntime maps such a file and computes on
 * its pages: one copy, shared by all sessions and processes of a machine, and none at all is made at start. Without
 * it every session widens by itself, single-threaded, and holds what it made.
 */

/** Names the folder of widened weights; empty keeps none. */
export const widenedWeightsVariable = 'AFFECTGPT_WEIGHTS_CACHE';

/** Where widened weights lie between runs; null for nowhere. */
export const widenedWeightsFolder = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | null => cacheFolder(widenedWeightsVariable, 'widened-weights', environment);

/** Below this many bytes of float32 a function's weights are not kept: widening them takes no time worth the disk. */
export const widenedBytesKept = 128 * 2 ** 20;

/** A file that no run has used for so long is removed when another is made. */
const keptDays = 30;

/** Offsets are multiples of this, for aligned vector loads. */
const alignment = 64;

/** Values widened at a time. */
const chunk = 2 ** 22;

/** Values compared with their source when a file is found, at each end of each tensor. */
const sampled = 16;

const bytesPerStored = 2;
const count = ({ begin, end }: FileWeight): number => (end - begin) / bytesPerStored;

interface Placed {
  readonly name: string;
  readonly source: FileWeight;
  /** Byte offset in the widened file. */
  readonly offset: number;
}

/** Where each weight goes, one after the other, and the size of it all. */
function layOut(sources: readonly (readonly [string, FileWeight])[]): { placed: Placed[]; bytes: number } {
  let bytes = 0;
  const placed = sources.map(([name, source]) => {
    const offset = bytes;
    bytes = Math.ceil((offset + 4 * count(source)) / alignment) * alignment;
    return { name, source, offset };
  });
  return { placed, bytes };
}

/** float32 of stored values `[from, to)` of a weight. */
async function widen(handle: FileHandle, { storage, begin }: FileWeight, from: number, to: number) {
  const stored = new Uint16Array(to - from);
  const bytes = new Uint8Array(stored.buffer);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, begin + from * bytesPerStored);
  if (bytesRead !== bytes.length) throw new Error('the file ends within a weight');
  const values = new Float32Array(stored.length);
  (storage === 'F16' ? halfToFloat32 : bfloat16ToFloat32)(stored, values);
  return values;
}

const asBytes = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

async function* widenedPieces(handle: FileHandle, placed: readonly Placed[]): AsyncGenerator<Uint8Array> {
  for (const { source } of placed) {
    const total = count(source);
    for (let from = 0; from < total; from += chunk) {
      yield asBytes(await widen(handle, source, from, Math.min(from + chunk, total)));
    }
    const rest = (4 * total) % alignment;
    if (rest > 0) yield new Uint8Array(alignment - rest);
  }
}

/**
 * Whether a file found in the cache is what would be written: its size, and the first and last values of every
 * weight. It was renamed into place only when complete, so this is for files cut or exchanged since.
 */
async function isIntact(file: string, handle: FileHandle, placed: readonly Placed[], bytes: number) {
  const found = await open(file, 'r').catch(() => undefined);
  if (found === undefined) return false;
  try {
    if ((await found.stat()).size !== bytes) return false;
    for (const { source, offset } of placed) {
      const total = count(source);
      const length = Math.min(sampled, total);
      for (const from of [0, total - length]) {
        const expected = asBytes(await widen(handle, source, from, from + length));
        const actual = new Uint8Array(expected.length);
        await found.read(actual, 0, actual.length, offset + 4 * from);
        if (Buffer.compare(actual, expected) !== 0) return false;
      }
    }
    return true;
  } finally {
    await found.close();
  }
}

async function removeUnused(folder: string): Promise<void> {
  const oldest = Date.now() - keptDays * 24 * 3600 * 1000;
  for (const entry of await readdir(folder)) {
    const file = path.join(folder, entry);
    const about = await stat(file).catch(() => undefined);
    if (about !== undefined && Math.max(about.atimeMs, about.mtimeMs) < oldest)
      await rm(file, { force: true });
  }
}

/** The widened file of all weights that one file gives; made where it is missing or damaged. */
async function widenedFile(
  folder: string,
  source: string,
  placed: readonly Placed[],
  bytes: number,
): Promise<string> {
  const handle = await open(source, 'r');
  try {
    const { size, mtimeMs } = await handle.stat();
    const ranges = placed.map(({ source: { storage, begin, end } }) => [storage, begin, end]);
    const identity = JSON.stringify([await realpath(source), size, mtimeMs, ranges]);
    const file = path.join(folder, `${createHash('sha256').update(identity).digest('hex')}.float32`);
    if (await isIntact(file, handle, placed, bytes)) {
      // Only when it was used: its content is as old as it was.
      await stat(file)
        .then(({ mtime }) => utimes(file, new Date(), mtime))
        .catch(() => {});
      return file;
    }
    await mkdir(folder, { recursive: true });
    await removeUnused(folder);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < bytes) throw new Error('not enough space');
    await writeFileAtomic(file, widenedPieces(handle, placed), bytes);
    return file;
  } finally {
    await handle.close();
  }
}

/**
 * Weights with those of 16 bits exchanged for their float32 form on disk, exactly the same numbers. Where that cannot
 * be had (no folder, no space, little to gain), they come back as they are, and the graph casts them.
 */
export async function widenedWeights(
  weights: Readonly<Record<string, WeightSource>>,
  folder: string | null = widenedWeightsFolder(),
  least: number = widenedBytesKept,
): Promise<Record<string, WeightSource>> {
  const result: Record<string, WeightSource> = { ...weights };
  const narrow = Object.entries(weights).filter(
    (entry): entry is [string, FileWeight] => 'file' in entry[1] && entry[1].storage !== 'F32',
  );
  const all = narrow.reduce((sum, [, source]) => sum + 4 * count(source), 0);
  if (folder === null || all < least) return result;
  const files = new Set(narrow.map(([, { file }]) => file));
  for (const source of files) {
    const group = narrow.filter(([, { file }]) => file === source);
    const { placed, bytes } = layOut(group.toSorted(([, a], [, b]) => a.begin - b.begin));
    // A cache is no reason to fail: the weights are there without it.
    const file = await widenedFile(folder, source, placed, bytes).catch(() => undefined);
    if (file === undefined) continue;
    for (const { name, source: own, offset } of placed) {
      result[name] = { storage: 'F32', shape: own.shape, file, begin: offset, end: offset + 4 * count(own) };
    }
  }
  return result;
}
