import type { Engine } from '../../engine/types.ts';
import { InstructModel, type InstructSettings } from '../../runtime/instruct-model.ts';
import { LocalChat, type LocalChatStatistics } from '../../runtime/local-chat.ts';
import { llmExtractor } from './extract-llm.ts';
import { publishedSampling } from './published-prompts.ts';
import type { OpenedExtractor } from './run.ts';

/**
 * How a language model on this machine is asked by default: as published, but for the draws. The published evaluation
 * draws (`publishedSampling.temperature`), without a seed.
 */
const localSettings: InstructSettings = { ...publishedSampling, temperature: 0, seed: 42 };

export interface LocalExtractorOptions {
  /** Folder of a language model such as Qwen2.5-7B-Instruct, or its id of the Hugging Face hub. */
  readonly model: string;
  /** What named it, for errors. */
  readonly option: string;
  readonly engine: Engine;
  readonly settings?: Partial<InstructSettings>;
  /** Folder of answers that were given before; `null` asks each question. */
  readonly cacheFolder: string | null;
  readonly notify: (message: string) => void;
}

/** An opened extractor with a language model behind it. */
export interface LocalExtractor extends OpenedExtractor {
  readonly detail: string;
  readonly statistics: LocalChatStatistics;
  readonly dispose: () => Promise<void>;
}

/**
 * The published extraction (`llmExtractor`) by a language model that this program runs itself.
 * @throws InputError those of `InstructModel.open`
 */
export async function openLocalExtractor(options: LocalExtractorOptions): Promise<LocalExtractor> {
  const { engine, cacheFolder, notify } = options;
  const settings = { ...localSettings, ...options.settings };
  const { temperature, topP, repetitionPenalty, maxTokens, seed } = settings;
  const drawn = temperature === 0 ? 'greedy' : `temperature ${temperature}, topP ${topP}, seed ${seed}`;
  const model = await InstructModel.open(options.model, options.option, engine);
  const chat = new LocalChat({ model, settings, cacheFolder, notify });
  return {
    extractor: llmExtractor(chat, 'local'),
    detail: `${options.model}, ${drawn}, repetitionPenalty ${repetitionPenalty}, maxTokens ${maxTokens}`,
    get statistics() {
      return chat.statistics;
    },
    dispose: () => model.dispose(),
  };
}
