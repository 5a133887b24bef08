import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { isJsonObject } from '../io/json.ts';
import { isCommitHash, isSafePath, type ModelReference } from './reference.ts';
import { connectionFailure, type HubConnection, request, withRetries } from './request.ts';

/** A file of a commit, with what its bytes have to be. */
export interface RepositoryFile {
  /** Path inside the repository, checked to stay below the folder that it is joined to. */
  readonly name: string;
  readonly bytes: number;
  /** Names the blob: the SHA-256 of its bytes (64 digits), or its git hash (40 digits; `gitBlobHash`). */
  readonly hash: string;
}

/** An entry of `trees/<commit>.json`, as the Python client writes it. */
interface TreeEntry {
  readonly size: number;
  readonly blob_id: string;
  readonly lfs_sha256?: string;
  readonly lfs_size?: number;
  readonly xet_hash?: string;
}

const treeFormat = 1;
const mostFiles = 100_000;

const isHash = (value: unknown, digits: number): value is string =>
  typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function badAnswer(
  connection: HubConnection,
  { id }: ModelReference,
  what: string,
  cause?: unknown,
): InputError {
  return new InputError(
    'HUB_ANSWER_INVALID',
    `What ${connection.settings.endpoint} says of ${id} cannot be used: ${what} Check that HF_ENDPOINT is the address of a hub.`,
    { cause },
  );
}

/** Checks one entry of a listing: names and hashes become paths, so nothing else may be in them. */
function checkedFile(name: string, entry: TreeEntry): RepositoryFile | string {
  if (!isSafePath(name)) return `the file name ${JSON.stringify(name)} leads outside its folder or is none.`;
  const { lfs_sha256: sha256, lfs_size: size, blob_id: git } = entry;
  const bytes = sha256 === undefined ? entry.size : (size ?? entry.size);
  const known = sha256 === undefined ? isHash(git, 40) : isHash(sha256, 64);
  // The git hash of a file in the newer storage is that of a pointer, not of its bytes.
  const isPointer = sha256 === undefined && entry.xet_hash !== undefined;
  if (!known || isPointer || !isCount(bytes)) return `"${name}" has no size or checksum.`;
  return { name, bytes, hash: sha256 ?? git };
}

/**
 * `fetch` for the hub's client library: with our rules for tokens, redirects and repetition, the whole answer at
 * once, and links to further pages led to the endpoint, whatever host (a mirror's origin) they name.
 */
function clientFetch(connection: HubConnection, reference: ModelReference): typeof fetch {
  const { endpoint, stallMilliseconds } = connection.settings;
  const onEndpoint = (link: string): string => {
    const { pathname, search } = new URL(link, endpoint);
    return link.startsWith(endpoint) ? link : `${endpoint}${pathname}${search}`;
  };
  return (input, init) =>
    withRetries(connection, async () => {
      const abort = AbortSignal.timeout(stallMilliseconds);
      const headers = Object.fromEntries(new Headers(init?.headers));
      const { response } = await request(connection, String(input), { reference }, { headers, abort });
      const body = await response.arrayBuffer().catch((error) => {
        throw connectionFailure(connection, error, new URL(endpoint).host);
      });
      const answered = new Headers(response.headers);
      const link = answered.get('link');
      if (link !== null)
        answered.set(
          'link',
          link.replace(/<([^>]*)>/g, (_, to) => `<${onEndpoint(to)}>`),
        );
      return new Response(body, { status: response.status, headers: answered });
    });
}

/** Passes our own errors on; what the library throws is about an answer that is not JSON or not what it should be. */
async function asking<T>(
  connection: HubConnection,
  reference: ModelReference,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (connection.signal.aborted) throw connection.signal.reason;
    if (error instanceof SyntaxError || error instanceof TypeError) {
      throw badAnswer(
        connection,
        reference,
        `the answer is not the expected JSON (${error.message}).`,
        error,
      );
    }
    throw error;
  }
}

/** The commit that a branch or tag stands at: one request, none for a commit hash. */
export async function resolveCommit(connection: HubConnection, reference: ModelReference): Promise<string> {
  const { id, revision } = reference;
  if (isCommitHash(revision)) return revision;
  const { modelInfo } = await import('@huggingface/hub');
  const { sha } = await asking(connection, reference, () =>
    modelInfo({
      name: id,
      revision,
      additionalFields: ['sha'],
      hubUrl: connection.settings.endpoint,
      fetch: clientFetch(connection, reference),
    }),
  );
  if (typeof sha !== 'string' || !isCommitHash(sha)) {
    throw badAnswer(connection, reference, 'it names no commit.');
  }
  return sha;
}

/**
 * All files of a commit. They never change, so they are asked for once and kept where the Python client keeps them.
 *
 * @param folder `trees` of the repository's folder in the cache
 * @throws InputError `HUB_ANSWER_INVALID` for names and hashes that are none, and those of `request`
 */
export async function listCommit(
  connection: HubConnection,
  reference: ModelReference,
  commit: string,
  folder: string,
): Promise<RepositoryFile[]> {
  const kept = path.join(folder, `${commit}.json`);
  const known = await readTree(kept);
  const entries = known ?? (await askForTree(connection, reference, commit));
  const files: RepositoryFile[] = [];
  for (const [name, entry] of entries) {
    const file = checkedFile(name, entry);
    if (typeof file === 'string') throw badAnswer(connection, reference, file);
    files.push(file);
  }
  if (known === undefined) {
    await mkdir(folder, { recursive: true });
    const text = JSON.stringify({ format_version: treeFormat, files: Object.fromEntries(entries) }, null, 1);
    await writeFileAtomic(kept, text);
  }
  return files;
}

async function askForTree(
  connection: HubConnection,
  reference: ModelReference,
  commit: string,
): Promise<Map<string, TreeEntry>> {
  const { listFiles } = await import('@huggingface/hub');
  const pages = listFiles({
    repo: { type: 'model', name: reference.id },
    revision: commit,
    recursive: true,
    hubUrl: connection.settings.endpoint,
    fetch: clientFetch(connection, reference),
  });
  const found = await asking(connection, reference, async () => {
    const entries: [string, TreeEntry][] = [];
    for await (const { type, path: name, size, oid, lfs, xetHash } of pages) {
      if (type !== 'file') continue;
      if (entries.length >= mostFiles)
        throw badAnswer(connection, reference, `more than ${mostFiles} files.`);
      entries.push([
        String(name),
        {
          size,
          blob_id: oid ?? '',
          ...(lfs === undefined ? {} : { lfs_sha256: lfs.oid, lfs_size: lfs.size }),
          ...(xetHash === undefined ? {} : { xet_hash: xetHash }),
        },
      ]);
    }
    return entries;
  });
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A kept listing; undefined where there is none, or none that can be read: then it is asked for again. */
async function readTree(file: string): Promise<Map<string, TreeEntry> | undefined> {
  try {
    const tree: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (!isJsonObject(tree) || tree.format_version !== treeFormat || !isJsonObject(tree.files))
      return undefined;
    const entries = Object.entries(tree.files);
    return entries.every(([, entry]) => isJsonObject(entry))
      ? new Map(entries as [string, TreeEntry][])
      : undefined;
  } catch {
    return undefined;
  }
}
