import { limiter } from '../io/limiter.ts';
import { defaultRetryPolicy } from '../io/retries.ts';
import {
  AnswerCache,
  type GivenAnswer,
  identify,
  type Question,
  type QuestionIdentity,
} from './answer-cache.ts';
import type { ChatMessage, ChatModel } from './messages.ts';
import { ask } from './request.ts';
import { type Patience, sleepUnlessAborted, withPatience } from './retries.ts';
import { type ChatClientOptions, readEndpoint, type Sampling, samplingBody } from './settings.ts';

export interface ChatAnswer extends GivenAnswer {
  /** Whether it was given before. */
  readonly fromCache: boolean;
}

export interface ChatStatistics {
  /** Questions that the server answered. */
  readonly asked: number;
  /** Questions that had been answered before. */
  readonly fromCache: number;
  /** Further attempts for questions whose first one failed. */
  readonly retried: number;
  /** Damaged answers of the cache; they were asked for again. */
  readonly damaged: number;
}

export interface ChatClient extends ChatModel {
  readonly baseUrl: string;
  readonly model: string;
  readonly sampling: Sampling;
  /** So far. */
  readonly statistics: ChatStatistics;
  /**
   * Asks, or finds what was answered before to the same messages under the same base URL, model and sampling. Equal
   * questions at the same time are asked once, unless there is no cache.
   *
   * @throws InputError `LLM_UNAUTHORIZED` (401, 403), `LLM_NOT_FOUND` (404), `LLM_QUOTA_USED_UP`, `LLM_REQUEST_REFUSED`
   *   (400 and others), `LLM_ANSWER_INVALID`, `LLM_ANSWER_EMPTY`; when all attempts are used up `LLM_RATE_LIMITED` (429),
   *   `LLM_UNAVAILABLE` (408, 409, 5xx), `LLM_UNREACHABLE`, `LLM_TIMEOUT`; those of `fileError` about the cache. The reason
   *   of the signal where it is aborted
   */
  complete(
    messages: readonly ChatMessage[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<ChatAnswer>;
}

/**
 * A client for an endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp and many others. The key
 * is read from the environment and appears in no message and no file.
 *
 * @throws InputError `LLM_BASE_URL_INVALID`, `LLM_KEY_INVALID`, `LLM_SETTINGS_INVALID`
 */
export function createChatClient(options: ChatClientOptions): ChatClient {
  const { concurrency = 8, timeout = 120_000, sampling = {}, notify = () => undefined } = options;
  const endpoint = readEndpoint(options, timeout, concurrency);
  const limit = limiter(concurrency);
  const cache = options.cacheFolder === null ? undefined : new AnswerCache(options.cacheFolder);
  const statistics = { asked: 0, fromCache: 0, retried: 0, damaged: 0 };
  const patience: Patience = {
    policy: options.retries ?? defaultRetryPolicy,
    random: options.random ?? Math.random,
    sleep: options.sleep ?? sleepUnlessAborted,
    retrying: (message) => {
      statistics.retried++;
      notify(message);
    },
  };
  const keysOfBody = samplingBody(sampling);
  /** Questions that are being answered, by key; the promises never fail. */
  const pending = new Map<string, Promise<unknown>>();

  async function askServer(question: Question, signal: AbortSignal): Promise<GivenAnswer> {
    const answer = await withPatience(patience, signal, () => ask(endpoint, question, signal));
    statistics.asked++;
    return answer;
  }

  async function findOrAsk(
    known: AnswerCache,
    question: Question,
    identity: QuestionIdentity,
    signal: AbortSignal,
  ): Promise<ChatAnswer> {
    const before = await known.read(identity);
    if (before.kind === 'found') {
      statistics.fromCache++;
      return { ...before.answer, fromCache: true };
    }
    if (before.kind === 'damaged') {
      statistics.damaged++;
      notify(`${before.file} is damaged: its question is asked again.`);
    }
    const answer = await askServer(question, signal);
    // Another process may have been faster: all shall go on with the same answer.
    const meanwhile = await known.read(identity);
    if (meanwhile.kind === 'found') return { ...meanwhile.answer, fromCache: false };
    await known.write(identity, answer);
    return { ...answer, fromCache: false };
  }

  return {
    baseUrl: options.baseUrl,
    model: options.model,
    sampling,
    get statistics() {
      return { ...statistics };
    },
    async complete(messages, { signal = new AbortController().signal } = {}) {
      const question = { url: endpoint.url, model: endpoint.model, messages, sampling: keysOfBody };
      if (cache === undefined) {
        return limit(async () => ({ ...(await askServer(question, signal)), fromCache: false }));
      }
      const identity = identify(question);
      while (pending.has(identity.key)) await pending.get(identity.key);
      const work = limit(() => {
        signal.throwIfAborted();
        return findOrAsk(cache, question, identity, signal);
      });
      const settled = work
        .catch(() => undefined)
        .then(() => {
          pending.delete(identity.key);
        });
      pending.set(identity.key, settled);
      return work;
    },
  };
}
