import { InputError } from '../errors.ts';
import { AnswerCache, identify, type QuestionIdentity } from '../llm/answer-cache.ts';
import type { ChatMessage, ChatModel, ChatReply } from '../llm/messages.ts';
import { samplingBody } from '../llm/settings.ts';
import type { TextMessage } from './chat-template.ts';
import type { InstructModel, InstructSettings } from './instruct-model.ts';

/** Conversations that are answered together. */
const answerBatch = 8;

export interface LocalChatStatistics {
  /** Conversations that the model answered. */
  readonly asked: number;
  /** Those that had been answered before. */
  readonly fromCache: number;
}

export interface LocalChatOptions {
  readonly model: Pick<InstructModel, 'identity' | 'encode' | 'answer'>;
  readonly settings: InstructSettings;
  /** Folder of answers that were given before; it is made where it does not exist. `null`: each question is asked. */
  readonly cacheFolder: string | null;
  readonly notify: (message: string) => void;
}

/** A conversation that waits for its answer. */
interface Waiting {
  readonly messages: readonly TextMessage[];
  readonly identity: QuestionIdentity;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (reply: ChatReply) => void;
  readonly reject: (error: unknown) => void;
}

interface Asked {
  readonly prompt: readonly number[];
  readonly waiting: Waiting[];
}

/**
 * A language model on this machine behind the interface of an endpoint: conversations are answered in the order in which
 * they come, several at once, and none twice.
 */
export class LocalChat implements ChatModel {
  readonly #options: LocalChatOptions;
  readonly #cache: AnswerCache | undefined;
  readonly #queue: Waiting[] = [];
  readonly #statistics = { asked: 0, fromCache: 0 };
  #isWorking = false;

  constructor(options: LocalChatOptions) {
    this.#options = options;
    this.#cache = options.cacheFolder === null ? undefined : new AnswerCache(options.cacheFolder);
  }

  get statistics(): LocalChatStatistics {
    return { ...this.#statistics };
  }

  /**
   * @throws InputError `LLM_REQUEST_REFUSED` for pictures and for what is too long; those of `fileError` about the cache.
   *   The reason of the signal where it is aborted
   */
  complete(
    messages: readonly ChatMessage[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<ChatReply> {
    return new Promise((resolve, reject) => {
      const texts = textMessages(messages);
      if (texts === undefined) {
        reject(
          new InputError(
            'LLM_REQUEST_REFUSED',
            'A language model on this machine reads text alone, no pictures.',
          ),
        );
        return;
      }
      this.#queue.push({ messages: texts, identity: this.#identify(texts), signal, resolve, reject });
      if (this.#isWorking) return;
      this.#isWorking = true;
      // Those that are asked in the same turn are answered together.
      setImmediate(() => void this.#work());
    });
  }

  #identify(messages: readonly TextMessage[]): QuestionIdentity {
    const { model, settings } = this.#options;
    const { temperature, topP, seed, ...always } = settings;
    // The most likely tokens depend on no draws.
    const sampling = temperature === 0 ? { temperature } : { temperature, topP, seed };
    const body = samplingBody({ ...always, ...sampling });
    return identify({ url: 'local', model: model.identity, messages, sampling: body });
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = await this.#nextBatch();
      if (batch.length > 0) await this.#answer(batch);
    }
    this.#isWorking = false;
  }

  /** What is asked next: nothing that the cache answers, and equal questions once. */
  async #nextBatch(): Promise<Asked[]> {
    const batch = new Map<string, Asked>();
    while (this.#queue.length > 0) {
      const waiting = this.#queue[0]!;
      const same = batch.get(waiting.identity.key);
      if (same === undefined && batch.size === answerBatch) break;
      this.#queue.shift();
      try {
        waiting.signal?.throwIfAborted();
        const known = same === undefined ? await this.#known(waiting.identity) : undefined;
        if (same !== undefined) same.waiting.push(waiting);
        else if (known !== undefined) waiting.resolve(known);
        else {
          const prompt = this.#options.model.encode(waiting.messages);
          batch.set(waiting.identity.key, { prompt, waiting: [waiting] });
        }
      } catch (error) {
        waiting.reject(error);
      }
    }
    return [...batch.values()];
  }

  async #known(identity: QuestionIdentity): Promise<ChatReply | undefined> {
    const before = await this.#cache?.read(identity);
    if (before?.kind === 'damaged') {
      this.#options.notify(`${before.file} is damaged: its question is asked again.`);
    }
    if (before?.kind !== 'found') return undefined;
    this.#statistics.fromCache++;
    return before.answer;
  }

  async #answer(batch: readonly Asked[]): Promise<void> {
    const { model, settings } = this.#options;
    try {
      const answers = await model.answer(
        batch.map(({ prompt }) => prompt),
        settings,
      );
      for (const [i, { waiting }] of batch.entries()) {
        const answer = answers[i]!;
        await this.#cache?.write(waiting[0]!.identity, { ...answer, model: model.identity });
        this.#statistics.asked++;
        for (const { resolve } of waiting) resolve(answer);
      }
    } catch (error) {
      for (const { waiting } of batch) for (const { reject } of waiting) reject(error);
    }
  }
}

/** Undefined where a message holds something else than text. */
function textMessages(messages: readonly ChatMessage[]): TextMessage[] | undefined {
  const texts = messages.flatMap(({ role, content }) => {
    if (typeof content === 'string') return [{ role, content }];
    const parts = content.map((part) => (part.type === 'text' ? part.text : undefined));
    return parts.includes(undefined) ? [] : [{ role, content: parts.join('') }];
  });
  return texts.length === messages.length ? texts : undefined;
}
