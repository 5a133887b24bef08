import { InputError } from '../errors.ts';
import { isJsonObject } from '../io/json.ts';
import { attemptsWorth, TransientFailure } from '../io/retries.ts';
import type { GivenAnswer, Question } from './answer-cache.ts';
import { refusal, serverMessage, shown } from './refusals.ts';
import type { Endpoint } from './settings.ts';

const mostBytes = 16 * 1024 * 1024;

/**
 * Asks once.
 *
 * @throws TransientFailure where another attempt may help; InputError where not: `LLM_UNAUTHORIZED`, `LLM_NOT_FOUND`,
 *   `LLM_QUOTA_USED_UP`, `LLM_REQUEST_REFUSED`, `LLM_ANSWER_INVALID`, `LLM_ANSWER_EMPTY`; the reason of the signal
 */
export async function ask(endpoint: Endpoint, question: Question, signal: AbortSignal): Promise<GivenAnswer> {
  const { url, key, timeout } = endpoint;
  const { model, messages, sampling } = question;
  signal.throwIfAborted();
  const timer = AbortSignal.timeout(timeout);
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      // A redirect would turn the question into a GET, or take the key elsewhere.
      redirect: 'manual',
      signal: AbortSignal.any([signal, timer]),
      headers: {
        'content-type': 'application/json',
        'user-agent': 'affectgpt',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify({ model, messages, ...sampling }),
    });
    body = await readBody(response, url);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw timer.aborted ? slow(endpoint) : connectionFailure(error, endpoint);
  }
  if (!response.ok) throw refusal(response, body, endpoint);
  return readAnswer(body, endpoint);
}

async function readBody(response: Response, url: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.byteLength;
    if (size > mostBytes) {
      throw new InputError('LLM_ANSWER_INVALID', `${url} answered with more than ${mostBytes} bytes.`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

const slow = ({ url, timeout }: Endpoint): TransientFailure =>
  new TransientFailure(
    new InputError('LLM_TIMEOUT', `${url} did not answer within ${timeout / 1000} s; allow it more time.`),
  );

/** What `fetch` throws where a connection was refused or cut. */
function connectionFailure(error: unknown, endpoint: Endpoint): unknown {
  if (!(error instanceof TypeError)) return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? ` (${String(cause.code)})` : '';
  return new TransientFailure(
    new InputError(
      'LLM_UNREACHABLE',
      `The connection to ${endpoint.url} failed: ${shown(cause.message || cause.name, endpoint)}${code}. Check the base URL, the server and the network.`,
    ),
    undefined,
    attemptsWorth(cause),
  );
}

function readAnswer(body: string, endpoint: Endpoint): GivenAnswer {
  const { url, model } = endpoint;
  const invalid = (what: string) =>
    new InputError(
      'LLM_ANSWER_INVALID',
      `${url} answered ${what}. Expected is a chat completion of OpenAI's protocol; check the base URL, which usually ends in /v1. The answer begins: ${shown(body, endpoint) || '(nothing)'}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // What JSON.parse says would repeat the answer, with whatever it holds.
    throw invalid('with something that is not JSON');
  }
  if (!isJsonObject(value)) throw invalid('with something that is no JSON object');
  if (value.error !== undefined && value.error !== null) {
    const said = shown(serverMessage(body).message, endpoint);
    throw new InputError('LLM_ANSWER_INVALID', `${url} answered with an error: ${said}`);
  }
  const choice: unknown = Array.isArray(value.choices) ? value.choices[0] : undefined;
  if (!isJsonObject(choice) || !isJsonObject(choice.message)) throw invalid('without any choice');
  const { content, refusal: refused } = choice.message;
  const finish = typeof choice.finish_reason === 'string' ? choice.finish_reason : 'unknown';
  if (typeof content !== 'string') {
    const why =
      typeof refused === 'string' ? shown(refused, endpoint) : `it ended for the reason "${finish}"`;
    throw new InputError('LLM_ANSWER_EMPTY', `The model "${model}" at ${url} gave no text: ${why}.`);
  }
  return { text: content, finish, model: typeof value.model === 'string' ? value.model : model };
}
