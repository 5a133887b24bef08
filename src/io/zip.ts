import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createInflateRaw, inflateRawSync } from 'node:zlib';
import {
  type Entry,
  fromRandomAccessReaderPromise,
  getFileNameLowLevel,
  RandomAccessReader,
  type ZipFile,
} from 'yauzl';
import { InputError } from '../errors.ts';
import { fileError, readInto, withFile } from './filesystem.ts';

/** A member of a zip archive. Names are keys and never become paths. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes of its content. */
  readonly size: number;
  /** `other` (bzip2, encrypted, ...) cannot be read. */
  readonly method: 'stored' | 'deflated' | 'other';
  readonly entry: Entry;
}

/** Where the content of a stored member lies in the archive. */
export interface ByteRange {
  readonly begin: number;
  readonly end: number;
}

export interface ZipArchive {
  readonly path: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** The range of a stored member. @throws InputError `ZIP_COMPRESSED`, `ZIP_INVALID` */
  locate(entry: ZipEntry): Promise<ByteRange>;
  /** The content of a member of at most `limit` bytes. @throws InputError `ZIP_TOO_LARGE`, `ZIP_INVALID` */
  read(entry: ZipEntry, limit: number): Promise<Buffer>;
  /**
   * The content of a member of any size, piece by piece; it ends with an error where it is not as long as the archive says.
   * @throws InputError `ZIP_COMPRESSED`, `ZIP_INVALID`
   */
  pieces(entry: ZipEntry): AsyncIterable<Uint8Array>;
}

/** What is read of a long member at a time. */
const pieceBytes = 1024 * 1024;

/** Members of one archive; a checkpoint has one a tensor. */
const maxEntries = 1_000_000;

function invalid(path: string, cause: unknown): unknown {
  const known = fileError(cause, path, 'read');
  if (known instanceof InputError) return known;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new InputError(
    'ZIP_INVALID',
    `${path} is not a whole zip archive (${reason.replace(/[.:]$/, '')}). It may be damaged or not completely downloaded; get it again.`,
    { cause },
  );
}

const unreadable = (path: string, name: string): InputError =>
  new InputError(
    'ZIP_COMPRESSED',
    `${path}: "${name}" is encrypted, or compressed in a way that is not read. Save it again without.`,
  );

function methodOf(entry: Entry): ZipEntry['method'] {
  if (entry.isEncrypted()) return 'other';
  return entry.compressionMethod === 0 ? 'stored' : entry.compressionMethod === 8 ? 'deflated' : 'other';
}

async function readEntries(zip: ZipFile, path: string): Promise<Map<string, ZipEntry>> {
  const entries = new Map<string, ZipEntry>();
  for await (const entry of zip.eachEntry()) {
    // Not yauzl's own decoding, which refuses names that would be harmful as paths; here they are keys.
    const { generalPurposeBitFlag, fileNameRaw, extraFields } = entry;
    const name = getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, true);
    if (entries.has(name)) {
      throw new InputError(
        'ZIP_DUPLICATE',
        `${path} holds "${name.slice(0, 200)}" twice; it is not clear which is meant.`,
      );
    }
    if (entries.size >= maxEntries) {
      throw new InputError('ZIP_TOO_LARGE', `${path} holds more than ${maxEntries} members.`);
    }
    entries.set(name, { name, size: entry.uncompressedSize, method: methodOf(entry), entry });
  }
  return entries;
}

/** Reads for yauzl. A damaged archive may ask for any position, which has to end as an error of the archive. */
class HandleReader extends RandomAccessReader {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    super();
    this.#handle = handle;
  }

  override read(
    target: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null, bytesRead?: number) => void,
  ): void {
    if (!Number.isSafeInteger(position) || position < 0) {
      setImmediate(() => done(new Error(`it refers to byte ${position}`)));
      return;
    }
    readInto(this.#handle, target.subarray(offset, offset + length), position).then(
      (bytesRead) => done(null, bytesRead),
      (error: Error) => done(error),
    );
  }

  /** The handle is closed by who opened it. */
  override close(done: (error: Error | null) => void): void {
    done(null);
  }
}

class YauzlArchive implements ZipArchive {
  readonly path: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #zip: ZipFile;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle, zip: ZipFile, entries: ReadonlyMap<string, ZipEntry>) {
    this.path = path;
    this.#handle = handle;
    this.#zip = zip;
    this.entries = entries;
  }

  /** Where the content lies as it is stored. */
  async #range(name: string, entry: Entry): Promise<ByteRange> {
    const header = this.#zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const { fileDataStart: begin } = await header.catch((error: unknown) => {
      throw invalid(this.path, error);
    });
    const end = begin + entry.compressedSize;
    if (end > this.#zip.fileSize) {
      throw invalid(this.path, new Error(`"${name}" lies beyond the end of the file`));
    }
    return { begin, end };
  }

  async locate({ name, method, entry }: ZipEntry): Promise<ByteRange> {
    if (method !== 'stored') {
      throw new InputError(
        'ZIP_COMPRESSED',
        `${this.path}: "${name}" is compressed. Tensors are read where they lie, so they have to be stored as they are; torch.save writes them so.`,
      );
    }
    return this.#range(name, entry);
  }

  async *#storedPieces(begin: number, end: number): AsyncGenerator<Buffer> {
    for (let position = begin; position < end; ) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, end - position));
      position += await readInto(this.#handle, piece, position);
      yield piece;
    }
  }

  async *pieces({ name, method, size, entry }: ZipEntry): AsyncGenerator<Uint8Array> {
    if (method === 'other') throw unreadable(this.path, name);
    const { begin, end } = await this.#range(name, entry);
    if (begin === end && size === 0) return;
    const stored = Readable.from(this.#storedPieces(begin, end));
    const content =
      method === 'stored'
        ? stored
        : pipeline(stored, createInflateRaw(), () => {
            // An error of either comes out of the reading below.
          });
    let bytes = 0;
    try {
      for await (const piece of content as AsyncIterable<Uint8Array>) {
        bytes += piece.byteLength;
        if (bytes > size) break;
        yield piece;
      }
    } catch (error) {
      throw invalid(this.path, error);
    }
    if (bytes !== size)
      throw invalid(this.path, new Error(`"${name}" has not the ${size} bytes that it should`));
  }

  async read({ name, method, size, entry }: ZipEntry, limit: number): Promise<Buffer> {
    if (size > limit || entry.compressedSize > limit) {
      throw new InputError(
        'ZIP_TOO_LARGE',
        `${this.path}: "${name}" has ${size} bytes; at most ${limit} are read.`,
      );
    }
    if (method === 'other') throw unreadable(this.path, name);
    const { begin, end } = await this.#range(name, entry);
    const stored = Buffer.alloc(end - begin);
    await readInto(this.#handle, stored, begin);
    if (method === 'stored') return stored;
    try {
      const content = inflateRawSync(stored, { maxOutputLength: Math.max(size, 1) });
      if (content.byteLength === size) return content;
      throw new Error(`"${name}" has ${content.byteLength} instead of ${size} bytes`);
    } catch (error) {
      throw invalid(this.path, error);
    }
  }
}

/**
 * Opens a zip archive (zip64 too), hands it to `use` and closes it. Names are keys: nothing here makes paths of
 * them, so names such as `../x` do no harm.
 *
 * @throws InputError `ZIP_INVALID`, `ZIP_DUPLICATE`, `ZIP_TOO_LARGE`, and those of `fileError`
 */
export async function withZip<T>(path: string, use: (archive: ZipArchive) => Promise<T>): Promise<T> {
  return withFile(path, async (handle) => {
    const { size } = await handle.stat();
    const options = { lazyEntries: true, autoClose: false, validateEntrySizes: true, decodeStrings: false };
    const opening = fromRandomAccessReaderPromise(new HandleReader(handle), size, options);
    const zip = await opening.catch((error: unknown) => {
      throw invalid(path, error);
    });
    try {
      const entries = await readEntries(zip, path).catch((error: unknown) => {
        throw invalid(path, error);
      });
      return await use(new YauzlArchive(path, handle, zip, entries));
    } finally {
      zip.close();
    }
  });
}
