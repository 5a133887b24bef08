import { InputError } from '../errors.ts';
import { retryAfter, TransientFailure } from '../io/retries.ts';
import type { HubSettings } from './environment.ts';
import { formatReference, type ModelReference } from './reference.ts';

/** What a request is about, for messages. */
export interface RequestSubject {
  readonly reference: ModelReference;
  /** The file asked for; undefined for questions about the repository. */
  readonly file?: string;
}

/** Code of a failure after which a file is fetched from its beginning. */
export const rangeRefused = 'HUB_RANGE_REFUSED';

/** Text of a server, fit to be shown: one line, not endless, without control characters. */
function shown(text: string | null): string {
  const line = (text ?? '').replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ').trim();
  return line === '' ? '' : ` The server says: ${line.slice(0, 200)}`;
}

/** Turns an answer that is no success into the error that it means for the user. */
export function refusal(
  response: Response,
  host: string,
  subject: RequestSubject,
  settings: HubSettings,
): InputError | TransientFailure {
  const { status, headers } = response;
  const { reference, file } = subject;
  const { id, revision } = reference;
  const what = file === undefined ? formatReference(reference) : `${file} of ${formatReference(reference)}`;
  const said = shown(headers.get('x-error-message'));
  const page = `${settings.endpoint}/${id}`;
  const login =
    settings.token === undefined
      ? 'set HF_TOKEN to a token of an account that has access'
      : 'the token that was sent (HF_TOKEN) has no access: check it, and the account that it belongs to';
  if (status === 429) {
    const error = new InputError(
      'HUB_RATE_LIMITED',
      `${host} wants fewer requests (429) for ${what}.${said}`,
    );
    return new TransientFailure(error, retryAfter(headers));
  }
  if (status >= 500 || status === 408) {
    const error = new InputError('HUB_UNAVAILABLE', `${host} answered ${status} for ${what}.${said}`);
    return new TransientFailure(error, retryAfter(headers));
  }
  if (status === 416) {
    return new TransientFailure(
      new InputError(rangeRefused, `${host} cannot go on where ${what} stopped (416).${said}`),
    );
  }
  if (host !== new URL(settings.endpoint).host) {
    return new InputError(
      'HUB_REQUEST_FAILED',
      `${host}, where ${settings.endpoint} sent us for ${what}, answered ${status}.${said} The token is sent to ${settings.endpoint} only.`,
    );
  }
  switch (headers.get('x-error-code')) {
    case 'GatedRepo':
      return new InputError(
        'HUB_GATED',
        `${id} is gated: accept its licence at ${page} in a browser, logged in, then ${login}.${said}`,
      );
    case 'RevisionNotFound':
      return new InputError('HUB_REVISION_NOT_FOUND', revisionMissing(id, revision, page));
    case 'EntryNotFound':
      return new InputError(
        'HUB_FILE_NOT_FOUND',
        `${settings.endpoint} lists ${what}, but does not have it.${said}`,
      );
    case 'RepoNotFound':
      return new InputError('HUB_REPOSITORY_NOT_FOUND', repositoryMissing(id, settings.endpoint, login));
  }
  if (status === 401) {
    return new InputError(
      'HUB_UNAUTHORIZED',
      `${page} is not open to everybody, or does not exist (401): ${login}.${said}`,
    );
  }
  if (status === 403) {
    return new InputError(
      'HUB_FORBIDDEN',
      `${settings.endpoint} does not permit the download of ${what} (403): if the model is gated accept its licence at ${page}; ${login}.${said}`,
    );
  }
  if (status === 404 && file === undefined) {
    return new InputError('HUB_REPOSITORY_NOT_FOUND', repositoryMissing(id, settings.endpoint, login));
  }
  const code = status === 404 ? 'HUB_FILE_NOT_FOUND' : 'HUB_REQUEST_FAILED';
  return new InputError(code, `${settings.endpoint} answered ${status} for ${what}.${said}`);
}

const repositoryMissing = (id: string, endpoint: string, login: string): string =>
  `There is no model "${id}" at ${endpoint}, or it is private. Check the spelling; if it is private, ${login}.`;

const revisionMissing = (id: string, revision: string, page: string): string =>
  `${id} has no revision "${revision}". Its branches, tags and commits are listed at ${page}/tree/main.`;
