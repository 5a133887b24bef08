import { InputError } from '../errors.ts';
import type { Environment } from '../hub/environment.ts';
import type { JsonValue } from '../io/json.ts';
import type { RetryPolicy } from '../io/retries.ts';

/** How replies are drawn. What is left out is left to the server. */
export interface Sampling {
  readonly temperature?: number;
  readonly topP?: number;
  /** Tokens of a reply at most. */
  readonly maxTokens?: number;
  readonly seed?: number;
  /** Known to vLLM and others, not to OpenAI's own service, which refuses it. */
  readonly repetitionPenalty?: number;
  /** Further keys of the request body, such as `{ top_k: 20 }`. */
  readonly extraBody?: Readonly<Record<string, JsonValue>>;
}

export interface ChatClientOptions {
  /** What stands before `/chat/completions`, as in `http://localhost:8000/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  /** Environment variable that holds the key; `OPENAI_API_KEY` by default. Where it is not set none is sent. */
  readonly apiKeyVariable?: string;
  readonly sampling?: Sampling;
  /** Requests at a time; 8 by default. One that waits to be tried again counts. */
  readonly concurrency?: number;
  /** Milliseconds for a whole request, at most 300,000; 120,000 by default. */
  readonly timeout?: number;
  /** Six attempts by default, a second before the second one. */
  readonly retries?: RetryPolicy;
  /** Folder of answers that were given before; it is made where it does not exist. `null`: each question is asked. */
  readonly cacheFolder: string | null;
  /** Told about waits and damaged answers of the cache, one line each. */
  readonly notify?: (message: string) => void;
  readonly environment?: Environment;
  /** In [0, 1): spreads waits. */
  readonly random?: () => number;
  /** Waits so many milliseconds, or until the signal is aborted. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Where and how to ask. */
export interface Endpoint {
  /** Address of `/chat/completions`. */
  readonly url: string;
  readonly model: string;
  readonly apiKeyVariable: string;
  readonly key: string | undefined;
  readonly timeout: number;
}

/** Node's `fetch` waits no longer for the first byte. */
const longestTimeout = 300_000;
const path = '/chat/completions';

/** @throws InputError `LLM_BASE_URL_INVALID`, `LLM_KEY_INVALID`, `LLM_SETTINGS_INVALID` (all of them) */
export function readEndpoint(options: ChatClientOptions, timeout: number, concurrency: number): Endpoint {
  const { model, apiKeyVariable = 'OPENAI_API_KEY', environment = process.env } = options;
  const faults = [
    ...(model.trim() === '' ? ['the model has no name'] : []),
    ...(Number.isInteger(concurrency) && concurrency > 0
      ? []
      : [`the concurrency is ${concurrency}; expected is a whole number from 1`]),
    ...(timeout > 0 && timeout <= longestTimeout
      ? []
      : [`the timeout is ${timeout} ms; expected is more than 0 and at most ${longestTimeout}`]),
    ...samplingFaults(options.sampling ?? {}),
  ];
  if (faults.length > 0) {
    throw new InputError(
      'LLM_SETTINGS_INVALID',
      `A language model cannot be asked like this: ${faults.join('; ')}.`,
    );
  }
  return {
    url: readBaseUrl(options.baseUrl) + path,
    ...{ model, apiKeyVariable, timeout },
    key: readKey(apiKeyVariable, environment),
  };
}

/** The address is not repeated in messages where it may hold a password or a key. */
function readBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const expected = 'expected is the part before /chat/completions, as in http://localhost:8000/v1';
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const what = /[@?#]/.test(text) ? 'What was given' : `"${text}"`;
    throw new InputError('LLM_BASE_URL_INVALID', `${what} is no base URL of a language model; ${expected}.`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new InputError(
      'LLM_BASE_URL_INVALID',
      `The base URL of the language model at ${url.host} has a user name, a password, a ? or a #; ${expected}. Keys belong into an environment variable.`,
    );
  }
  const base = url.href.replace(/\/+$/, '');
  if (base.endsWith(path)) {
    throw new InputError(
      'LLM_BASE_URL_INVALID',
      `The base URL ${base} is too long; ${expected}: ${base.slice(0, -path.length)}.`,
    );
  }
  return base;
}

function readKey(variable: string, environment: Environment): string | undefined {
  const key = environment[variable]?.trim();
  if (!key) return undefined;
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new InputError(
      'LLM_KEY_INVALID',
      `What the environment variable ${variable} holds is no key: a key is one line without blanks or special characters.`,
    );
  }
  return key;
}

/** Keys of a request that are not for `extraBody`. */
const reserved = ['model', 'messages', 'stream', 'n'];

function samplingFaults({ extraBody = {}, ...numbers }: Sampling): string[] {
  return [
    ...Object.entries(numbers)
      .filter(([, value]) => value !== undefined && !Number.isFinite(value))
      .map(([name, value]) => `${name} is ${value}`),
    ...reserved
      .filter((name) => Object.hasOwn(extraBody, name))
      .map((name) => `extraBody has the key ${name}`),
  ];
}

/** The keys of a request body that stand for the sampling. */
export function samplingBody(sampling: Sampling): Record<string, JsonValue> {
  const { temperature, topP, maxTokens, seed, repetitionPenalty, extraBody } = sampling;
  const named = {
    temperature,
    top_p: topP,
    max_tokens: maxTokens,
    seed,
    repetition_penalty: repetitionPenalty,
  };
  const given = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return { ...Object.fromEntries(given), ...extraBody };
}
