import { InputError } from '../errors.ts';
import type { RepositoryFile } from './listing.ts';
import type { ModelReference } from './reference.ts';
import { connectionFailure, type HubConnection, request } from './request.ts';
import { type TransferAnswer, transferFile } from './transfer.ts';

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

const resolveUrl = (endpoint: string, { reference, commit, file }: Download): string =>
  `${endpoint}/${reference.id}/resolve/${commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;

/**
 * Fetches a file of the hub into its blob, as `transferFile` does.
 *
 * @throws InputError `HUB_CHECKSUM` (what came is removed), `HUB_FILE_CHANGED`, `DISK_FULL`, those of `request`
 */
export async function downloadBlob(connection: HubConnection, download: Download): Promise<void> {
  const { file, reference, blob, onBytes } = download;
  const { endpoint, stallMilliseconds } = connection.settings;
  await transferFile(connection, {
    ...{ file, blob, onBytes, stallMilliseconds },
    request: (headers, abort) => requestFile(connection, download, headers, abort),
    connectionFailure: (error, host = new URL(endpoint).host) => connectionFailure(connection, error, host),
    checksumWrong: () =>
      new InputError(
        'HUB_CHECKSUM',
        `${file.name} of ${reference.id} came with another checksum than ${endpoint} lists (${file.hash}). It was removed. Try again; if that does not help, the server or mirror holds a damaged copy.`,
      ),
    wrongSize: (found) =>
      new InputError(
        'HUB_FILE_CHANGED',
        `${file.name} of ${reference.id} is listed with ${file.bytes} bytes, but the server sends ${found}: another file, or a page of a proxy. None of that is used.`,
      ),
  });
}

async function requestFile(
  connection: HubConnection,
  download: Download,
  headers: Record<string, string>,
  abort: AbortSignal,
): Promise<TransferAnswer> {
  const { file, reference } = download;
  const url = resolveUrl(connection.settings.endpoint, download);
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
  return { response, host: new URL(response.url || url).host };
}
