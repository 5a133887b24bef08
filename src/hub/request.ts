import { setTimeout as sleep } from 'node:timers/promises';
import { InputError } from '../errors.ts';
import { attemptsWorth, type RetryPolicy, TransientFailure } from '../io/retries.ts';
import type { HubSettings } from './environment.ts';
import { type RequestSubject, refusal } from './refusals.ts';

/** How long a server is waited for, and who may end that. */
export interface Patience {
  readonly retries: RetryPolicy;
  /** Aborted when the user wants to stop. */
  readonly signal: AbortSignal;
  /** Told about waits and restarts, one line each. */
  readonly notify: (message: string) => void;
}

/** All that talking to the hub needs. */
export interface HubConnection extends Patience {
  readonly settings: HubSettings;
}

/** An answer that is a success, redirects followed. */
export interface HubAnswer {
  readonly response: Response;
  /** What the endpoint itself said on the way: the hash of the file, its size. */
  readonly described: Headers;
}

const mostRedirects = 10;

/**
 * One request, without repetition. Redirects are followed here, so that the token goes to the endpoint alone (scheme,
 * host and port), never to the host that holds the bytes.
 *
 * @param abort ends the request and the reading of its body, as a stalled connection does
 * @throws TransientFailure where another attempt may help; InputError where not (see `refusal`), and `HUB_OFFLINE`
 */
export async function request(
  connection: HubConnection,
  url: string,
  subject: RequestSubject,
  options: { readonly headers?: Record<string, string>; readonly abort: AbortSignal },
): Promise<HubAnswer> {
  const { settings, signal } = connection;
  if (settings.offline) {
    throw new InputError(
      'HUB_OFFLINE',
      'HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, so nothing is downloaded. Unset it, or set it to 0.',
    );
  }
  const endpoint = new URL(settings.endpoint);
  let described = new Headers();
  let target = new URL(url);
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const atEndpoint = target.origin === endpoint.origin;
    const response = await fetch(target, {
      redirect: 'manual',
      signal: AbortSignal.any([signal, options.abort]),
      headers: {
        'user-agent': 'affectgpt',
        ...options.headers,
        ...(atEndpoint && settings.token !== undefined ? { authorization: `Bearer ${settings.token}` } : {}),
      },
    }).catch((error) => {
      throw connectionFailure(connection, error, target.host);
    });
    if (atEndpoint && !described.has('x-linked-etag')) described = response.headers;
    const location = response.headers.get('location');
    if (response.ok) return { response, described };
    await response.body?.cancel();
    if (
      response.status < 300 ||
      response.status >= 400 ||
      location === null ||
      !URL.canParse(location, target.href)
    ) {
      throw refusal(response, target.host, subject, settings);
    }
    target = new URL(location, target);
  }
  throw new InputError(
    'HUB_REQUEST_FAILED',
    `${url} leads from one redirect to the next, ${mostRedirects} times.`,
  );
}

/** A connection that was refused, cut or fell silent; the user's own stop is passed on as it is. */
export function connectionFailure(connection: HubConnection, error: unknown, host: string): unknown {
  const { signal, settings } = connection;
  if (signal.aborted) return signal.reason;
  if (!(error instanceof Error) || error instanceof InputError || error instanceof TransientFailure)
    return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? ` (${String(cause.code)})` : '';
  const proxy = settings.proxyUnused
    ? ' A proxy is set in HTTPS_PROXY: Node uses it from version 24 on, with NODE_USE_ENV_PROXY=1.'
    : '';
  return new TransientFailure(
    new InputError(
      'HUB_UNREACHABLE',
      `The connection to ${host} failed: ${cause.message || cause.name}${code}. Check the network; HF_ENDPOINT (now ${settings.endpoint}) may name a mirror.${proxy}`,
      { cause: error },
    ),
    undefined,
    attemptsWorth(cause),
  );
}

/**
 * Repeats what fails for a passing reason, waiting as long as the server asks, or longer from time to time.
 *
 * @param progressed asked after a failure: whether the attempt got further than all before it, which makes it count
 *   as the first again
 * @throws InputError what the last failure means
 */
export async function withRetries<T>(
  { retries, signal, notify }: Patience,
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (failure) {
      if (!(failure instanceof TransientFailure)) throw failure;
      failures = progressed() ? 1 : failures + 1;
      const { error } = failure;
      const attempts = Math.min(retries.attempts, failure.attempts ?? retries.attempts);
      const wait =
        failure.retryAfter ?? Math.min(retries.firstWait * 2 ** (failures - 1), retries.longestWait);
      const seconds = Math.ceil(wait / 1000);
      if (failures >= attempts) {
        const times = failures === 1 ? 'one attempt' : `${failures} attempts`;
        throw new InputError(
          error.code,
          `${error.message} Given up after ${times}; the same command goes on from here.`,
          { cause: failure },
        );
      }
      if (wait > retries.longestWait) {
        throw new InputError(
          error.code,
          `${error.message} It asks to wait ${seconds} s: run the same command again then.`,
          { cause: failure },
        );
      }
      notify(`${error.message} Trying again in ${seconds} s (attempt ${failures + 1} of ${attempts}).`);
      await sleep(wait, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }
}
