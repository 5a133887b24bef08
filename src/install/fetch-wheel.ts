import path from 'node:path';
import { InputError } from '../errors.ts';
import { rangeRefused } from '../hub/refusals.ts';
import { type Patience, withRetries } from '../hub/request.ts';
import { type TransferAnswer, transferFile } from '../hub/transfer.ts';
import { makeFolder } from '../io/atomic.ts';
import { fileError } from '../io/filesystem.ts';
import { attemptsWorth, retryAfter, TransientFailure } from '../io/retries.ts';
import { type PackageIndex, splitCredentials } from './package-index.ts';
import { acceptedForms, readProjectPage } from './project-page.ts';
import type { PinnedWheel, WheelPackage } from './wheels.ts';

/** All that talking to a package index needs. */
export interface IndexConnection extends Patience {
  readonly index: PackageIndex;
  /** Without a byte for so long, a connection counts as cut. */
  readonly stallMilliseconds: number;
}

const mostRedirects = 10;

/** The index as messages name it: never with credentials. */
const named = ({ url, source }: PackageIndex): string => `the package index ${url} (${source})`;

/** One request, redirects followed here: credentials go to the place that they were given for, and nowhere else. */
async function get(
  connection: IndexConnection,
  url: string,
  what: string,
  headers: Record<string, string>,
  abort: AbortSignal,
): Promise<TransferAnswer & { readonly url: string }> {
  const { index, signal } = connection;
  let target = new URL(url);
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const { address, authorization: own } = splitCredentials(target);
    const atIndex = address.origin === new URL(index.url).origin;
    const authorization = own ?? (atIndex ? index.authorization : undefined);
    const response = await fetch(address, {
      redirect: 'manual',
      signal: AbortSignal.any([signal, abort]),
      headers: { 'user-agent': 'affectgpt', ...headers, ...(authorization && { authorization }) },
    }).catch((error) => {
      throw connectionFailure(connection, error, address.host);
    });
    if (response.ok) return { response, host: address.host, url: address.href };
    await response.body?.cancel();
    const location = response.headers.get('location');
    const isRedirect = response.status >= 300 && response.status < 400;
    if (!isRedirect || location === null || !URL.canParse(location, address.href)) {
      throw refusal(response, address.host, index, what);
    }
    target = new URL(location, address);
  }
  throw new InputError('INDEX_REQUEST_FAILED', `${what} leads from one redirect to the next.`);
}

/** Turns an answer that is no success into the error that it means for the user. */
function refusal(
  { status, headers }: Response,
  host: string,
  index: PackageIndex,
  what: string,
): InputError | TransientFailure {
  const answered = `${host} answered ${status} for ${what}`;
  if (status === 429 || status === 408 || status >= 500) {
    return new TransientFailure(new InputError('INDEX_UNAVAILABLE', `${answered}.`), retryAfter(headers));
  }
  if (status === 416) return new TransientFailure(new InputError(rangeRefused, `${answered}.`));
  if (status === 401 || status === 403) {
    const sent =
      index.authorization === undefined ? 'none were sent' : 'those that were sent were not accepted';
    return new InputError(
      'INDEX_FORBIDDEN',
      `${answered}: it wants name and password, and ${sent}. They belong into the address of the index, https://NAME:PASSWORD@HOST/simple, which is read from ${index.source}.`,
    );
  }
  if (status === 404) {
    return new InputError(
      'INDEX_NO_PROJECT',
      `${answered}: ${named(index)} does not have it. Name another index with --index-url or PIP_INDEX_URL.`,
    );
  }
  return new InputError('INDEX_REQUEST_FAILED', `${answered}. Asked was ${named(index)}.`);
}

function connectionFailure(connection: IndexConnection, error: unknown, host: string): unknown {
  const { signal, index } = connection;
  if (signal.aborted) return signal.reason;
  if (!(error instanceof Error) || error instanceof InputError || error instanceof TransientFailure)
    return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? ` (${String(cause.code)})` : '';
  const attempts = attemptsWorth(cause);
  const certificate =
    attempts === 1 ? ' If its certificate is your own, name its file in NODE_EXTRA_CA_CERTS.' : '';
  return new TransientFailure(
    new InputError(
      'INDEX_UNREACHABLE',
      `The connection to ${host} failed: ${cause.message || cause.name}${code}. Check the network; --index-url or PIP_INDEX_URL may name a mirror (now ${index.url}), and --wheel-dir a folder that holds the wheel.${certificate}`,
      { cause: error },
    ),
    undefined,
    attempts,
  );
}

/**
 * Where an index has a pinned wheel.
 *
 * @throws InputError `INDEX_NO_PROJECT`, `INDEX_NO_WHEEL` with what it has instead, `INDEX_HASH` where it lists other bytes
 *   under that name, `INDEX_NOT_UNDERSTOOD`, `INDEX_UNREACHABLE`, `INDEX_UNAVAILABLE`, `INDEX_FORBIDDEN`
 */
async function findWheel(
  connection: IndexConnection,
  { project, version }: WheelPackage,
  wheel: PinnedWheel,
): Promise<string> {
  const { index, stallMilliseconds } = connection;
  const ask = async () => {
    const abort = AbortSignal.timeout(stallMilliseconds);
    let host = new URL(index.url).host;
    try {
      const headers = { accept: acceptedForms };
      const answer = await get(connection, `${index.url}${project}/`, project, headers, abort);
      host = answer.host;
      const type = answer.response.headers.get('content-type') ?? '';
      return { text: await answer.response.text(), type, url: answer.url };
    } catch (error) {
      throw connectionFailure(connection, error, host);
    }
  };
  const page = await withRetries(connection, ask);
  const files = readProjectPage(page.text, page.type, page.url);
  if (files === undefined) {
    throw new InputError(
      'INDEX_NOT_UNDERSTOOD',
      `What ${named(index)} says about ${project} is neither the JSON nor the HTML form of a simple index. Is it the address that pip uses, ending in /simple?`,
    );
  }
  const listed = files.find(({ name }) => name === wheel.file);
  if (listed === undefined) {
    const others = files.map(({ name }) => name).filter((name) => name.endsWith('.whl'));
    const has = others.length === 0 ? 'It lists no wheels.' : `It lists ${others.slice(-8).join(', ')}.`;
    throw new InputError(
      'INDEX_NO_WHEEL',
      `${named(index)} does not have ${project} ${version} as ${wheel.file}. ${has} Name another index with --index-url.`,
    );
  }
  if (listed.sha256 !== undefined && listed.sha256 !== wheel.sha256) {
    throw new InputError(
      'INDEX_HASH',
      `${named(index)} lists ${wheel.file} with the SHA-256 ${listed.sha256}; the file that this program was made for has ${wheel.sha256}. Nothing was downloaded: it is another file under the same name.`,
    );
  }
  return listed.url;
}

/**
 * Downloads a pinned wheel into a folder, going on where an earlier attempt stopped; its name there is its SHA-256.
 *
 * @returns the path of the file, which has been verified
 * @throws InputError those of `findWheel`; `WHEEL_CHECKSUM`, `WHEEL_SIZE`, `DISK_FULL`
 */
export async function fetchWheel(
  connection: IndexConnection,
  engine: WheelPackage,
  wheel: PinnedWheel,
  folder: string,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const url = await findWheel(connection, engine, wheel);
  await makeFolder(folder).catch((error) => {
    throw fileError(error, folder, 'write');
  });
  const blob = path.join(folder, wheel.sha256);
  await transferFile(connection, {
    file: { name: wheel.file, bytes: wheel.bytes, hash: wheel.sha256 },
    ...{ blob, onBytes, stallMilliseconds: connection.stallMilliseconds },
    request: (headers, abort) => get(connection, url, wheel.file, headers, abort),
    connectionFailure: (error, host = new URL(url).host) => connectionFailure(connection, error, host),
    checksumWrong: () =>
      new InputError(
        'WHEEL_CHECKSUM',
        `${wheel.file} came with another SHA-256 than ${wheel.sha256}. It was removed, and nothing was installed. Try again; if that does not help, ${named(connection.index)} serves a damaged copy.`,
      ),
    wrongSize: (found) =>
      new InputError(
        'WHEEL_SIZE',
        `${wheel.file} has ${wheel.bytes} bytes, but the server sends ${found}: another file, or a page of a proxy. None of that is used.`,
      ),
  });
  return blob;
}
