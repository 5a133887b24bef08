import { InputError } from '../../src/errors.ts';
import { Random } from '../../src/quickstart/random.ts';

/** A small real file, with what reads it. */
export interface FuzzSource {
  /** All kinds are damaged equally often. */
  readonly kind: string;
  readonly name: string;
  readonly bytes: Buffer;
  /** Damages it in its own way; otherwise bytes are changed wherever they stand. */
  damagedCopy?(random: Random): Buffer;
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

/**
 * Reads damaged copies of real files, always the same ones for a seed.
 *
 * @param name of the stream of random numbers
 */
export async function fuzz(
  sources: readonly FuzzSource[],
  { cases, seed, name }: { readonly cases: number; readonly seed: number; readonly name: string },
): Promise<FuzzOutcome> {
  const kinds = [...new Set(sources.map(({ kind }) => kind))].map((kind) =>
    sources.filter((source) => source.kind === kind),
  );
  const random = new Random(seed, name);
  const refused: Record<string, number> = {};
  const crashes: string[] = [];
  let [read, largestExcess] = [0, 0];
  let slowest = { milliseconds: 0, name: '' };
  const watch = watchAllocations();
  try {
    for (let number = 0; number < cases; number++) {
      const source = random.pick(random.pick(kinds));
      const damaged = source.damagedCopy?.(random) ?? damage(source.bytes, sources, random);
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

const lengths = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** One or three changes. */
export function damage(bytes: Buffer, sources: readonly FuzzSource[], random: Random): Buffer {
  let changed: Buffer = Buffer.from(bytes);
  for (let left = random.chance(0.6) ? 1 : 3; left > 0; left--)
    changed = damageOnce(changed, sources, random);
  return changed;
}

/** One change, more often near the ends, where the structure is. */
function damageOnce(bytes: Buffer, sources: readonly FuzzSource[], random: Random): Buffer {
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
