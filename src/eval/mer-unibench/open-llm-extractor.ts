import os from 'node:os';
import path from 'node:path';
import { createChatClient } from '../../llm/client.ts';
import { llmExtractor } from './extract-llm.ts';
import { publishedSampling } from './published-prompts.ts';
import type { OpenedExtractor } from './run.ts';

export interface LlmExtractorOptions {
  /** Base URL of an endpoint that speaks OpenAI's chat completions. */
  readonly url: string;
  readonly model: string;
  readonly seed: number;
  /** Environment variable that holds the key. */
  readonly keyVariable?: string;
  readonly concurrency?: number;
  /** Default: `affectgpt/llm` in the user's folder of caches. */
  readonly cacheFolder?: string;
  readonly notify: (message: string) => void;
}

/** OpenAI's own service refuses a repetition penalty. */
const withoutPenalty = /^https:\/\/api\.openai\.com\//;

/** Where replies of language models are kept: `affectgpt/llm` in the user's folder of caches. */
export const llmCacheFolder = (): string =>
  path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'affectgpt', 'llm');

/**
 * The published extraction through an endpoint: the published prompts and sampling, with a seed.
 *
 * @throws InputError of `createChatClient`
 */
export function openLlmExtractor(options: LlmExtractorOptions): OpenedExtractor {
  const { url, model, seed, keyVariable, concurrency, cacheFolder = llmCacheFolder(), notify } = options;
  const { repetitionPenalty, ...others } = publishedSampling;
  const sampling = { ...others, ...(withoutPenalty.test(url) ? {} : { repetitionPenalty }), seed };
  const client = createChatClient({
    ...{ baseUrl: url, model, sampling, cacheFolder, notify },
    ...(keyVariable !== undefined && { apiKeyVariable: keyVariable }),
    ...(concurrency !== undefined && { concurrency }),
  });
  const drawn = Object.entries(sampling).map(([name, value]) => `${name} ${value}`);
  return { extractor: llmExtractor(client), detail: `${model} at ${url}, ${drawn.join(', ')}` };
}
