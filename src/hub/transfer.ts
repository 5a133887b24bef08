import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { InputError } from '../errors.ts';
import { fileError, readInto } from '../io/filesystem.ts';
import { TransientFailure } from '../io/retries.ts';
import { fileBytes } from './cache.ts';
import type { RepositoryFile } from './listing.ts';
import { claimPartial, type Partial, releasePartial, removePartials } from './partial.ts';
import { rangeRefused } from './refusals.ts';
import { type Patience, withRetries } from './request.ts';

/** A file to be fetched from some server, and how that server is talked to. */
export interface Transfer {
  readonly file: RepositoryFile;
  /** Where it goes, named by its hash. */
  readonly blob: string;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (bytes: number) => void;
  /** Without a byte for so long, a connection counts as cut. */
  readonly stallMilliseconds: number;
  /** Asks for the file with these headers, which may name a range; redirects followed. */
  request(headers: Record<string, string>, abort: AbortSignal): Promise<TransferAnswer>;
  /** What a failure of the connection means to the user; a `TransientFailure` where another attempt may help. */
  connectionFailure(error: unknown, host: string | undefined): unknown;
  checksumWrong(): InputError;
  wrongSize(found: string): InputError;
}

export interface TransferAnswer {
  readonly response: Response;
  /** Host that sends the bytes. */
  readonly host: string;
}

/** How long to wait before asking again whether another process is done, in milliseconds. */
const busyWait = 500;

/** What the bytes of a file are hashed with: SHA-256, or git's way (SHA-1 over a head with the size, then the bytes). */
function startHash({ hash, bytes }: RepositoryFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

/**
 * Fetches a file into its blob: goes on where an earlier attempt stopped, and gives the blob its name only when every
 * byte is there and the checksum is right. When it fails or is stopped, what came stays for the next attempt.
 *
 * @throws InputError `checksumWrong` (what came is removed), `wrongSize`, `DISK_FULL`, those of `transfer.request`
 */
export async function transferFile(patience: Patience, transfer: Transfer): Promise<void> {
  const { blob, file } = transfer;
  const partial = await waitForPartial(patience, transfer);
  if (partial === undefined) return;
  try {
    const handle = await open(partial.file, 'r+');
    try {
      const writer = new PartialWriter(handle, transfer);
      await writer.goOnFrom(partial.bytes);
      const resumed = writer.position > 0;
      await fetchRest(patience, transfer, writer);
      if (!writer.isRight() && resumed) {
        patience.notify(`${file.name}: what came earlier was damaged; starting over.`);
        await writer.startOver();
        await fetchRest(patience, transfer, writer);
      }
      if (!writer.isRight()) {
        await writer.startOver();
        throw transfer.checksumWrong();
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial.file, blob).catch((error) => {
      // A process that took this one for dead was faster.
      if (fileBytes(blob) !== file.bytes) throw error;
    });
  } catch (error) {
    await releasePartial(blob, partial);
    throw fileError(error, blob, 'write', file.bytes);
  }
  await removePartials(blob);
}

/** Claims the unfinished file; undefined where another process completed the blob meanwhile. */
async function waitForPartial(patience: Patience, transfer: Transfer): Promise<Partial | undefined> {
  const { blob, file } = transfer;
  for (let waited = false; ; waited = true) {
    patience.signal.throwIfAborted();
    if (fileBytes(blob) === file.bytes) return undefined;
    // A blob of another size is a damaged one.
    if (fileBytes(blob) !== undefined) await rm(blob, { force: true });
    const partial = await claimPartial(blob);
    if (partial !== 'busy') return partial;
    if (!waited) patience.notify(`${file.name}: another process is downloading it; waiting for that.`);
    // Drawn, so that two that made way for each other do not do so again.
    await sleep(busyWait * (0.5 + Math.random()), undefined, { signal: patience.signal }).catch(() => {
      throw patience.signal.reason;
    });
  }
}

/** An open unfinished file, and the hash of what it holds. */
class PartialWriter {
  position = 0;
  /** The furthest that any attempt has come. */
  furthest = 0;
  readonly #handle: FileHandle;
  readonly #transfer: Transfer;
  #hash: Hash;

  constructor(handle: FileHandle, transfer: Transfer) {
    this.#handle = handle;
    this.#transfer = transfer;
    this.#hash = startHash(transfer.file);
  }

  get complete(): boolean {
    return this.position === this.#transfer.file.bytes;
  }

  /** Hashes what an earlier attempt wrote; writing goes on behind it. */
  async goOnFrom(bytes: number): Promise<void> {
    // Longer than the file can be: not what it is taken for.
    if (bytes > this.#transfer.file.bytes) return this.startOver();
    const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
    while (this.position < bytes) {
      const wanted = buffer.subarray(0, Math.min(buffer.length, bytes - this.position));
      const count = await readInto(this.#handle, wanted, this.position);
      if (count === 0) break;
      this.#hash.update(wanted.subarray(0, count));
      this.position += count;
    }
    this.furthest = this.position;
    this.#transfer.onBytes(this.position);
  }

  async write(piece: Uint8Array): Promise<void> {
    let done = 0;
    while (done < piece.length) {
      const left = piece.length - done;
      const { bytesWritten } = await this.#handle.write(piece, done, left, this.position).catch((error) => {
        // Named here: trouble with the disk is not trouble with the connection, which would be tried again.
        throw fileError(error, this.#transfer.blob, 'write', this.#transfer.file.bytes);
      });
      this.#hash.update(piece.subarray(done, done + bytesWritten));
      done += bytesWritten;
      this.position += bytesWritten;
    }
    this.#transfer.onBytes(this.position);
  }

  async startOver(): Promise<void> {
    await this.#handle.truncate(0);
    this.position = 0;
    this.#hash = startHash(this.#transfer.file);
    this.#transfer.onBytes(0);
  }

  isRight(): boolean {
    return this.complete && this.#hash.copy().digest('hex') === this.#transfer.file.hash;
  }
}

/** Gets what is missing, over as many connections as it takes. */
async function fetchRest(patience: Patience, transfer: Transfer, writer: PartialWriter): Promise<void> {
  const attempt = async () => {
    const abort = new AbortController();
    const { stallMilliseconds } = transfer;
    const stall = setTimeout(
      () => abort.abort(new Error(`no byte came for ${stallMilliseconds / 1000} s`)),
      stallMilliseconds,
    );
    let host: string | undefined;
    try {
      const body = await openBody(patience, transfer, writer, abort.signal);
      host = body.host;
      for await (const piece of body.pieces) {
        stall.refresh();
        if (writer.position + piece.length > transfer.file.bytes) {
          await writer.startOver();
          throw transfer.wrongSize('more');
        }
        await writer.write(piece);
      }
      if (!writer.complete) throw new Error(`it ended at byte ${writer.position} of ${transfer.file.bytes}`);
    } catch (error) {
      const failure = transfer.connectionFailure(error, host);
      if (failure instanceof TransientFailure && failure.error.code === rangeRefused)
        await writer.startOver();
      throw failure;
    } finally {
      clearTimeout(stall);
      abort.abort();
    }
  };
  const progressed = () => {
    const further = writer.position > writer.furthest;
    writer.furthest = Math.max(writer.furthest, writer.position);
    return further;
  };
  if (!writer.complete) await withRetries(patience, attempt, progressed);
}

/** Sends the request and checks that the answer is about the bytes that are wanted. */
async function openBody(
  patience: Patience,
  transfer: Transfer,
  writer: PartialWriter,
  abort: AbortSignal,
): Promise<{ pieces: AsyncIterable<Uint8Array>; host: string }> {
  const { file } = transfer;
  const range = writer.position > 0 ? { range: `bytes=${writer.position}-` } : undefined;
  // Compressed on the way, neither ranges nor sizes would be those of the file.
  const { response, host } = await transfer.request({ 'accept-encoding': 'identity', ...range }, abort);
  if (range !== undefined && response.status !== 206) {
    patience.notify(`${file.name}: the server cannot go on in the middle of a file; starting over.`);
    await writer.startOver();
  }
  if (response.status === 206) {
    const [, start, total] =
      /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
    if (Number(start) !== writer.position) {
      const what = `${file.name}: the server sends another part of the file than was asked for.`;
      throw new TransientFailure(new InputError(rangeRefused, what));
    }
    if (total !== '*' && Number(total) !== file.bytes) throw transfer.wrongSize(`part of ${total}`);
  } else {
    const length = response.headers.get('content-length');
    const isPlain = (response.headers.get('content-encoding') ?? 'identity') === 'identity';
    if (isPlain && length !== null && Number(length) !== file.bytes) throw transfer.wrongSize(length);
  }
  if (response.body === null) throw new Error('the answer is empty');
  return { pieces: response.body, host };
}
