import { parseOpensetLabels } from '../../data/datasets.ts';
import { listFaults } from '../../data/records.ts';
import { InputError } from '../../errors.ts';
import type { ChatModel, ChatReply } from '../../llm/messages.ts';
import type { Extraction, ExtractionOptions, Extractor, NamedText } from './extractor.ts';
import { cleanReply, extractionPrompt, sentimentPrompt } from './published-prompts.ts';
import { normalizeWord } from './words.ts';

interface Reply {
  /** Cleaned (`cleanReply`), as the published `-openset` and `-openset-sentiment` files hold it. */
  readonly reply: string;
  /** `length` where the reply was cut. */
  readonly finish: string;
}

/** What a language model made of a text, by what it was asked. */
export interface LlmExtraction {
  /** Asked about an answer (`extractionPrompt`). */
  readonly openset: Reply & { readonly labels: readonly string[] };
  /** Asked about a list of words as it was written (`sentimentPrompt`). */
  readonly sentiment: Reply & { readonly sentiment: string };
}

const questions: {
  readonly [Kind in keyof LlmExtraction]: {
    prompt(text: string): string;
    read(reply: Reply): LlmExtraction[Kind];
  };
} = {
  openset: {
    prompt: extractionPrompt,
    read: (one) => ({ ...one, labels: labelsIn(one.reply) }),
  },
  sentiment: {
    prompt: sentimentPrompt,
    read: (one) => ({ ...one, sentiment: one.reply }),
  },
};

const labelsIn = (openset: string): string[] =>
  parseOpensetLabels(openset)
    .map(normalizeWord)
    .filter((label) => label !== '');

/** Failures that concern one text; all others would meet every text. */
const failuresOfOne = ['LLM_ANSWER_EMPTY', 'LLM_ANSWER_INVALID', 'LLM_REQUEST_REFUSED'];
/** After so many of them no more is asked. */
const mostFailures = 20;

/**
 * Asks a language model about each text what the published evaluation asks, as one user message, and reads the replies as
 * it does; as many at a time as the model takes. With a cache nothing is asked twice: what was stopped goes on where it was.
 *
 * Empty texts are asked about like all others, as in published code. For the published sampling the model has to be opened
 * with `publishedSampling`.
 *
 * @returns one entry for each text, in their order
 * @throws InputError `EXTRACTION_DUPLICATE` (all names that occur twice); `EXTRACTION_FAILED` (all texts that got no
 *   usable reply, after all others have got theirs); what the model throws that concerns every text
 */
export async function extractWithLlm<Kind extends keyof LlmExtraction>(
  model: ChatModel,
  items: readonly NamedText[],
  kind: Kind,
  options: ExtractionOptions = {},
): Promise<Map<string, LlmExtraction[Kind]>> {
  refuseDuplicates(items);
  const { prompt, read } = questions[kind];
  const replies = await askAll(
    model,
    items.map(({ name, text }) => ({ name, text: prompt(text) })),
    options,
    'EXTRACTION_FAILED',
  );
  return new Map(
    items.map(({ name }, i) => {
      const { text, finish } = replies[i]!;
      return [name, read({ reply: cleanReply(text), finish })];
    }),
  );
}

/**
 * The published extraction by a language model: emotion words first, then, where it is wanted, the sentiment of the list
 * that came of it.
 *
 * @param name as reports shall name it
 */
export function llmExtractor(model: ChatModel, name = 'llm'): Extractor {
  return {
    name,
    async extract(answers, kind, { signal, onProgress } = {}) {
      const total = answers.length * (kind === 'sentiment' ? 2 : 1);
      const from = (begin: number): ExtractionOptions => ({
        ...(signal && { signal }),
        onProgress: (done) => onProgress?.(begin + done, total),
      });
      const opensets = await extractWithLlm(model, answers, 'openset', from(0));
      const lists = Array.from(opensets, ([key, { reply }]) => ({ name: key, text: reply }));
      const sentiments =
        kind === 'sentiment'
          ? await extractWithLlm(model, lists, 'sentiment', from(answers.length))
          : undefined;
      const extractions = new Map<string, Extraction>();
      for (const [key, { labels, reply, finish }] of opensets) {
        const sentiment = sentiments?.get(key);
        extractions.set(key, {
          ...{ labels, openset: reply },
          ...(sentiment && { sentiment: sentiment.sentiment }),
          cut: finish === 'length' || sentiment?.finish === 'length',
        });
      }
      return extractions;
    },
  };
}

/**
 * Asks a language model each prompt as one user message.
 *
 * @returns replies in the order of the prompts
 * @param code of the error that names all prompts without a usable reply
 * @throws InputError with this code; what the model throws that concerns every prompt
 */
export async function askAll(
  model: ChatModel,
  prompts: readonly NamedText[],
  { signal, onProgress }: ExtractionOptions,
  code: 'EXTRACTION_FAILED' | 'GROUPING_FAILED',
): Promise<ChatReply[]> {
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const replies: ChatReply[] = [];
  const faults: string[] = [];
  let done = 0;
  await Promise.all(
    prompts.map(async ({ name, text }, i) => {
      try {
        replies[i] = await model.complete([{ role: 'user', content: text }], { signal: either });
        onProgress?.(++done, prompts.length);
      } catch (error) {
        // What is aborted fails as well, after the reason is known.
        if (either.aborted) return;
        const ofOne = error instanceof InputError && failuresOfOne.includes(error.code);
        if (!ofOne) stop.abort(error);
        else if (faults.push(`"${name}": ${error.message}`) >= mostFailures) stop.abort(failed(faults, code));
      }
    }),
  );
  either.throwIfAborted();
  if (faults.length > 0) throw failed(faults, code);
  return replies;
}

const failed = (faults: readonly string[], code: string): InputError =>
  new InputError(
    code,
    `The language model gave no usable reply about ${faults.length} texts${faults.length >= mostFailures ? ', and no more were asked about' : ''}: ${listFaults(faults)}`,
  );

function refuseDuplicates(items: readonly NamedText[]): void {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { name } of items) {
    if (seen.has(name)) twice.add(name);
    seen.add(name);
  }
  if (twice.size === 0) return;
  throw new InputError(
    'EXTRACTION_DUPLICATE',
    `Answers are identified by their names, and these occur more than once: ${listFaults([...twice])}. Keep one of each.`,
  );
}
