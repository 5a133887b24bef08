import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { InputError } from '../errors.ts';
import { fileError, readInto } from '../io/filesystem.ts';
import { TransientFailure } from '../io/retries.ts';
import { fileBytes } from './cache.ts';
import type { RepositoryFile } from './listing.ts';
import { claimPartial, type Partial, releasePartial, removePartials } from './partial.ts';
import type { ModelReference } from './reference.ts';
import { rangeRefused } from './refusals.ts';
import { connectionFailure, type HubConnection, request, withRetries } from './request.ts';

/** A file to be fetched. */
export interface Download {
  readonly reference: ModelReference;
  readonly commit: string;
  readonly file: RepositoryFile;
  /** Where it goes, named by its hash. */
  readonly blob: string;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (bytes: number) => void;
}

/** How long to wait before asking again whether another process is done, in milliseconds. */
const busyWait = 500;

/** What the bytes of a file are hashed with: SHA-256, or git's way (SHA-1 over a head with the size, then the bytes). */
function startHash({ hash, bytes }: RepositoryFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

const resolveUrl = (endpoint: string, { reference, commit, file }: Download): string =>
  `${endpoint}/${reference.id}/resolve/${commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;

/**
 * Fetches a file into its blob: goes on where an earlier attempt stopped, and gives the blob its name only when every
 * byte is there and the checksum is right. When it fails or is stopped, what came stays for the next attempt.
 *
 * @throws InputError `HUB_CHECKSUM` (what came is removed), `HUB_FILE_CHANGED`, `DISK_FULL`, those of `request`
 */
export async function downloadBlob(connection: HubConnection, download: Download): Promise<void> {
  const { blob, file } = download;
  const partial = await waitForPartial(connection, download);
  if (partial === undefined) return;
  try {
    const handle = await open(partial.file, 'r+');
    try {
      const writer = new PartialWriter(handle, download);
      await writer.goOnFrom(partial.bytes);
      const resumed = writer.position > 0;
      await fetchRest(connection, download, writer);
      if (!writer.isRight() && resumed) {
        connection.notify(`${file.name}: what came earlier was damaged; starting over.`);
        await writer.startOver();
        await fetchRest(connection, download, writer);
      }
      if (!writer.isRight()) {
        await writer.startOver();
        throw new InputError(
          'HUB_CHECKSUM',
          `${file.name} of ${download.reference.id} came with another checksum than ${connection.settings.endpoint} lists (${file.hash}). It was removed. Try again; if that does not help, the server or mirror holds a damaged copy.`,
        );
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
async function waitForPartial(connection: HubConnection, download: Download): Promise<Partial | undefined> {
  const { blob, file } = download;
  for (let waited = false; ; waited = true) {
    connection.signal.throwIfAborted();
    if (fileBytes(blob) === file.bytes) return undefined;
    // A blob of another size is a damaged one.
    if (fileBytes(blob) !== undefined) await rm(blob, { force: true });
    const partial = await claimPartial(blob);
    if (partial !== 'busy') return partial;
    if (!waited) connection.notify(`${file.name}: another process is downloading it; waiting for that.`);
    // Drawn, so that two that made way for each other do not do so again.
    await sleep(busyWait * (0.5 + Math.random()), undefined, { signal: connection.signal }).catch(() => {
      throw connection.signal.reason;
    });
  }
}

/** An open unfinished file, and the hash of what it holds. */
class PartialWriter {
  position = 0;
  /** The furthest that any attempt has come. */
  furthest = 0;
  readonly #handle: FileHandle;
  readonly #download: Download;
  #hash: Hash;

  constructor(handle: FileHandle, download: Download) {
    this.#handle = handle;
    this.#download = download;
    this.#hash = startHash(download.file);
  }

  get complete(): boolean {
    return this.position === this.#download.file.bytes;
  }

  /** Hashes what an earlier attempt wrote; writing goes on behind it. */
  async goOnFrom(bytes: number): Promise<void> {
    // Longer than the file can be: not what it is taken for.
    if (bytes > this.#download.file.bytes) return this.startOver();
    const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
    while (this.position < bytes) {
      const wanted = buffer.subarray(0, Math.min(buffer.length, bytes - this.position));
      const count = await readInto(this.#handle, wanted, this.position);
      if (count === 0) break;
      this.#hash.update(wanted.subarray(0, count));
      this.position += count;
    }
    this.furthest = this.position;
    this.#download.onBytes(this.position);
  }

  async write(piece: Uint8Array): Promise<void> {
    let done = 0;
    while (done < piece.length) {
      const left = piece.length - done;
      const { bytesWritten } = await this.#handle.write(piece, done, left, this.position).catch((error) => {
        // Named here: trouble with the disk is not trouble with the connection, which would be tried again.
        throw fileError(error, this.#download.blob, 'write', this.#download.file.bytes);
      });
      this.#hash.update(piece.subarray(done, done + bytesWritten));
      done += bytesWritten;
      this.position += bytesWritten;
    }
    this.#download.onBytes(this.position);
  }

  async startOver(): Promise<void> {
    await this.#handle.truncate(0);
    this.position = 0;
    this.#hash = startHash(this.#download.file);
    this.#download.onBytes(0);
  }

  isRight(): boolean {
    return this.complete && this.#hash.copy().digest('hex') === this.#download.file.hash;
  }
}

/** Gets what is missing, over as many connections as it takes. */
async function fetchRest(
  connection: HubConnection,
  download: Download,
  writer: PartialWriter,
): Promise<void> {
  const attempt = async () => {
    const abort = new AbortController();
    const patience = connection.settings.stallMilliseconds;
    const stall = setTimeout(() => abort.abort(new Error(`no byte came for ${patience / 1000} s`)), patience);
    let host = new URL(connection.settings.endpoint).host;
    try {
      const body = await openBody(connection, download, writer, abort.signal);
      host = body.host;
      for await (const piece of body.pieces) {
        stall.refresh();
        if (writer.position + piece.length > download.file.bytes) {
          await writer.startOver();
          throw wrongSize(download, 'more');
        }
        await writer.write(piece);
      }
      if (!writer.complete) throw new Error(`it ended at byte ${writer.position} of ${download.file.bytes}`);
    } catch (error) {
      const failure = connectionFailure(connection, error, host);
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
  if (!writer.complete) await withRetries(connection, attempt, progressed);
}

function wrongSize({ file, reference }: Download, found: string): InputError {
  return new InputError(
    'HUB_FILE_CHANGED',
    `${file.name} of ${reference.id} is listed with ${file.bytes} bytes, but the server sends ${found}: another file, or a page of a proxy. None of that is used.`,
  );
}

/** Sends the request and checks that the answer is about the bytes that are wanted. */
async function openBody(
  connection: HubConnection,
  download: Download,
  writer: PartialWriter,
  abort: AbortSignal,
): Promise<{ pieces: AsyncIterable<Uint8Array>; host: string }> {
  const { file, reference } = download;
  const url = resolveUrl(connection.settings.endpoint, download);
  const range = writer.position > 0 ? { range: `bytes=${writer.position}-` } : undefined;
  // Compressed on the way, neither ranges nor sizes would be those of the file.
  const headers = { 'accept-encoding': 'identity', ...range };
  const { response, described } = await request(
    connection,
    url,
    { reference, file: file.name },
    { headers, abort },
  );
  const tag = (described.get('x-linked-etag') ?? described.get('etag') ?? '').replace(/^W\/|"/g, '');
  // Tags of mirrors may be anything; one that looks like our kind of hash is one.
  if (/^[0-9a-f]+$/.test(tag) && tag.length === file.hash.length && tag !== file.hash) {
    throw new InputError(
      'HUB_FILE_CHANGED',
      `${connection.settings.endpoint} lists ${file.name} of ${reference.id} with the hash ${file.hash}, but offers ${tag}. Try again later; a mirror may be out of step.`,
    );
  }
  if (range !== undefined && response.status !== 206) {
    connection.notify(`${file.name}: the server cannot go on in the middle of a file; starting over.`);
    await writer.startOver();
  }
  if (response.status === 206) {
    const [, start, total] =
      /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
    if (Number(start) !== writer.position) {
      const what = `${file.name}: the server sends another part of the file than was asked for.`;
      throw new TransientFailure(new InputError(rangeRefused, what));
    }
    if (total !== '*' && Number(total) !== file.bytes) throw wrongSize(download, `part of ${total}`);
  } else {
    const length = response.headers.get('content-length');
    const isPlain = (response.headers.get('content-encoding') ?? 'identity') === 'identity';
    if (isPlain && length !== null && Number(length) !== file.bytes) throw wrongSize(download, length);
  }
  if (response.body === null) throw new Error('the answer is empty');
  return { pieces: response.body, host: new URL(response.url || url).host };
}
