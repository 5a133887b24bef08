import os from 'node:os';
import path from 'node:path';
import { type ChatClient, createChatClient } from '../../llm/client.ts';
import type { Sampling } from '../../llm/settings.ts';
import { llmExtractor } from './extract-llm.ts';
import { groupingSampling, publishedSampling } from './published-prompts.ts';
import type { OpenedExtractor } from './run.ts';
import type { SetLevelGrouping } from './set-level.ts';

export interface LlmEndpointOptions {
  /** Base URL of an endpoint that speaks OpenAI's chat completions. */
  readonly url: string;
  readonly model: string;
  /** Environment variable that holds the key. */
  readonly keyVariable?: string;
  readonly concurrency?: number;
  /** Default: `affectgpt/llm` in the user's folder of caches. */
  readonly cacheFolder?: string;
  readonly notify: (message: string) => void;
}

export interface LlmExtractorOptions extends LlmEndpointOptions {
  readonly seed: number;
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
  const { repetitionPenalty, ...others } = publishedSampling;
  const penalty = withoutPenalty.test(options.url) ? {} : { repetitionPenalty };
  const { client, detail } = openClient(options, { ...others, ...penalty, seed: options.seed });
  return { extractor: llmExtractor(client), detail };
}

/**
 * The published grouping of the set-level metric of 2024 through an endpoint, with the published sampling.
 *
 * @throws InputError of `createChatClient`
 */
export function openLlmGrouping(options: LlmEndpointOptions): Extract<SetLevelGrouping, { kind: 'llm' }> {
  const { client, detail } = openClient(options, groupingSampling);
  return { kind: 'llm', model: client, detail };
}

function openClient(options: LlmEndpointOptions, sampling: Sampling): { client: ChatClient; detail: string } {
  const { url, model, keyVariable, concurrency, cacheFolder = llmCacheFolder(), notify } = options;
  const client = createChatClient({
    ...{ baseUrl: url, model, sampling, cacheFolder, notify },
    ...(keyVariable !== undefined && { apiKeyVariable: keyVariable }),
    ...(concurrency !== undefined && { concurrency }),
  });
  const drawn = Object.entries(sampling).map(([name, value]) => `${name} ${value}`);
  return { client, detail: `${model} at ${url}, ${drawn.join(', ')}` };
}
