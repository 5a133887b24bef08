import { createHash } from 'node:crypto';
import { readInto, withFile } from './filesystem.ts';
import { maxHeaderBytes } from './safetensors/header.ts';

/** SHA-256 of a string (as UTF-8) or of bytes, as 64 hexadecimal digits. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * SHA-256 of a whole file, read piece by piece.
 *
 * @throws InputError those of `fileError`
 */
export async function sha256File(path: string): Promise<string> {
  return withFile(path, async (handle) => {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
    for (let position = 0; ; ) {
      const count = await readInto(handle, buffer, position);
      hash.update(buffer.subarray(0, count));
      position += count;
      if (count < buffer.byteLength) {
        return hash.digest('hex');
      }
    }
  });
}

/** What stands for the content of a big file in a cache key. */
export interface ContentIdentity {
  /** Bytes. */
  readonly size: number;
  /** Time of the last modification in nanoseconds since 1970, as decimal digits. */
  readonly mtime: string;
  /** Of the sampled bytes, see `contentIdentity`. */
  readonly sha256: string;
}

const headBytes = 1024 * 1024;
const tailBytes = 64 * 1024;
const sampleCount = 256;
const sampleBytes = 4096;

/** Byte ranges that `contentIdentity` reads, ascending; they may overlap. */
function sampledRanges(size: number, head: number): [begin: number, end: number][] {
  const ranges: [number, number][] = [[0, Math.min(head, size)]];
  const tail = Math.max(head, size - tailBytes);
  for (let index = 0; index < sampleCount; index++) {
    const begin = head + Math.floor(((tail - head) * index) / sampleCount);
    const end = Math.min(begin + sampleBytes, size);
    if (begin < end) {
      ranges.push([begin, end]);
    }
  }
  if (tail < size) {
    ranges.push([tail, size]);
  }
  return ranges;
}

/**
 * A fast identity of a big weight file, for cache keys: it reads about 2 MiB whatever the size. It covers
 *
 * - the size and the time of the last modification, to the nanosecond where the file system keeps it;
 * - a SHA-256 over the first 1 MiB - of a safetensors file the whole header if that is longer: names, shapes, types,
 *   offsets and metadata of all tensors -, over 256 samples of 4 KiB evenly spread over the rest, and over the
 *   last 64 KiB. A file of up to about 2 MiB is covered completely.
 *
 * So a copied or touched file counts as another one (the cache is computed again: the safe side). What it misses: a
 * change of bytes outside the samples that keeps size, header and modification time, as an edit of a few
 * weights followed by a restored time stamp. Where that matters use `sha256File`.
 *
 * @throws InputError those of `fileError`
 */
export async function contentIdentity(path: string): Promise<ContentIdentity> {
  return withFile(path, async (handle) => {
    const stat = await handle.stat({ bigint: true });
    const size = Number(stat.size);
    let head = headBytes;
    if (path.endsWith('.safetensors') && size >= 8) {
      const prefix = Buffer.alloc(8);
      await readInto(handle, prefix, 0);
      const header = prefix.readBigUInt64LE(0);
      if (header <= BigInt(maxHeaderBytes)) {
        head = Math.max(head, 8 + Number(header));
      }
    }
    const hash = createHash('sha256');
    for (const [begin, end] of sampledRanges(size, head)) {
      const piece = Buffer.allocUnsafe(end - begin);
      hash.update(piece.subarray(0, await readInto(handle, piece, begin)));
    }
    return { size, mtime: String(stat.mtimeNs), sha256: hash.digest('hex') };
  });
}
