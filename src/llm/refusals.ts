import { InputError } from '../errors.ts';
import { isJsonObject } from '../io/json.ts';
import { retryAfter, TransientFailure } from '../io/retries.ts';
import type { Endpoint } from './settings.ts';

const longestShown = 300;

/** Text from outside, fit to be shown: one line, not endless, without control characters and without the key. */
export function shown(text: string, { key }: Endpoint): string {
  const safe = key === undefined ? text : text.replaceAll(key, '[key]');
  return safe
    .replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ')
    .trim()
    .slice(0, longestShown);
}

/** What a server says about an error, in the forms that servers have for it. */
export function serverMessage(body: string): { readonly message: string; readonly code?: string } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { message: body };
  }
  if (!isJsonObject(value)) return { message: body };
  const error = isJsonObject(value.error) ? value.error : value;
  const message = [error.message, value.error, value.detail].find((text) => typeof text === 'string');
  return {
    message: typeof message === 'string' ? message : body,
    ...(typeof error.code === 'string' && { code: error.code }),
  };
}

/** Turns an answer that is no success into the error that it means: `TransientFailure` where another attempt may help. */
export function refusal(
  { status, headers }: Response,
  body: string,
  endpoint: Endpoint,
): InputError | TransientFailure {
  const { url, model, apiKeyVariable, key } = endpoint;
  const { message, code } = serverMessage(body);
  const line = shown(message, endpoint);
  const said = line === '' ? '' : ` The server says: ${line}`;
  if (status === 429 && code !== 'insufficient_quota') {
    const error = new InputError('LLM_RATE_LIMITED', `${url} wants fewer requests (429).${said}`);
    return new TransientFailure(error, retryAfter(headers));
  }
  if (status >= 500 || status === 408 || status === 409) {
    const error = new InputError('LLM_UNAVAILABLE', `${url} answered ${status}.${said}`);
    return new TransientFailure(error, retryAfter(headers));
  }
  if (status === 429) {
    return new InputError(
      'LLM_QUOTA_USED_UP',
      `The account at ${url} has nothing left to spend (429).${said}`,
    );
  }
  if (status === 401 || status === 403) {
    const advice =
      key === undefined
        ? `the environment variable ${apiKeyVariable} is not set, so no key was sent; set it to one`
        : `the key in the environment variable ${apiKeyVariable} is wrong, expired, or not for the model "${model}"`;
    return new InputError('LLM_UNAUTHORIZED', `${url} refused the request (${status}): ${advice}.${said}`);
  }
  if (status === 404) {
    return new InputError(
      'LLM_NOT_FOUND',
      `${url} answered 404: there is no such address, or no model "${model}" there. Check the base URL, which usually ends in /v1, and the name of the model.${said}`,
    );
  }
  if (status >= 300 && status < 400) {
    const target = shown(headers.get('location') ?? 'nowhere', endpoint);
    return new InputError(
      'LLM_REQUEST_REFUSED',
      `${url} sends requests on to ${target} (${status}). If that is right, give it as base URL.`,
    );
  }
  return new InputError('LLM_REQUEST_REFUSED', `${url} refused the request (${status}).${said}`);
}
