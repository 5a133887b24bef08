import { publishedQformer } from '../../fusion/qformer.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderParameterCount } from '../../model/decoder.ts';
import type { Sampling } from '../../model/generation.ts';
import { inputModes } from '../../model/modes.ts';
import { collatePrompts } from '../data/collate.ts';
import { placeholders } from '../data/prompts.ts';
import { loadTokenizer, type PromptTokenizer } from '../data/tokenizer.ts';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine, State } from '../engine/types.ts';
import { InputError } from '../errors.ts';
import { contentIdentity, sha256, sha256File } from '../io/checksum.ts';
import { type ChatTemplate, readChatTemplate, type TextMessage } from './chat-template.ts';
import { Generator } from './generator.ts';
import { findModelFolders } from './model-folder.ts';
import { openDecoder, type PretrainedDecoder } from './pretrained.ts';

/** How a language model answers. */
export interface InstructSettings {
  /** 0 always takes the most likely token. */
  readonly temperature: number;
  /** Where tokens are drawn: only the most likely ones that together reach this probability. */
  readonly topP: number;
  /** 1 changes nothing. */
  readonly repetitionPenalty: number;
  readonly maxTokens: number;
  /** Decides the draws. */
  readonly seed: number;
}

/** What a language model answered. */
export interface InstructAnswer {
  /** Without what ended it. */
  readonly text: string;
  readonly finish: 'stop' | 'length';
}

/**
 * Behind the first sign of a placeholder. The language model's own tokenizer knows none of them, so where a text spells one
 * it is read in two pieces, as text.
 */
const insidePlaceholder = new RegExp(
  `(?<=<)(?=${Object.values(placeholders)
    .map((text) => text.slice(1))
    .join('|')})`,
);

/** A decoder that is fed with text alone. */
const textOnly = ({ config: decoder }: PretrainedDecoder): AffectGptConfig => ({
  decoder,
  mode: inputModes.textonly,
  lora: null,
  fusion: {
    ...{ visualSize: null, audioSize: null, hiddenSize: decoder.hiddenSize },
    ...{ frames: 8, patches: 1, audioClips: 8 },
    ...{ multi: 'none', video: 'attention', audio: 'attention', image: 'mean' },
    queryTokens: { multi: 1, video: 1, audio: 1, image: 1 },
    qformer: publishedQformer,
  },
});

const samplingOf = ({ temperature, topP }: InstructSettings): Sampling =>
  temperature === 0 ? { method: 'greedy' } : { method: 'sample', temperature, topP };

/** A language model as it was published, without adapters, that answers messages; such as Qwen2.5-7B-Instruct. */
export class InstructModel {
  /** Stands for weights, tokenizer and template in cache keys. */
  readonly identity: string;
  readonly #decoder: PretrainedDecoder;
  readonly #tokenizer: PromptTokenizer;
  readonly #template: ChatTemplate;
  /** Ends a turn: what the template writes there, which `eos_token` need not be. */
  readonly #turnEnd: number;
  readonly #generator: Generator;
  readonly #config: AffectGptConfig;
  readonly #state: State;

  private constructor(
    engine: Engine,
    identity: string,
    parts: {
      readonly decoder: PretrainedDecoder;
      readonly tokenizer: PromptTokenizer;
      readonly template: ChatTemplate;
    },
  ) {
    this.identity = identity;
    this.#decoder = parts.decoder;
    this.#tokenizer = parts.tokenizer;
    this.#template = parts.template;
    const [turnEnd, ...others] = parts.tokenizer.encode(parts.template.turnEnd);
    this.#turnEnd = turnEnd === undefined || others.length > 0 ? parts.tokenizer.eosId : turnEnd;
    this.#config = textOnly(parts.decoder);
    this.#generator = new Generator(engine, {
      config: this.#config,
      weights: parts.decoder.weights,
      trainable: {},
    });
    this.#state = engine.createState({});
  }

  /**
   * @param name folder, or id of the Hugging Face hub whose files are in its cache
   * @param option what named it, for errors
   * @throws InputError `MODEL_NOT_FOUND`, `MODEL_INCOMPLETE`, those of `readChatTemplate`, `openDecoder` and `loadTokenizer`
   */
  static async open(name: string, option: string, engine: Engine): Promise<InstructModel> {
    const folder = findModelFolders({ [option]: name })[option]!;
    const template = await readChatTemplate(folder);
    const tokenizer = await loadTokenizer(folder);
    const decoder = await openDecoder(folder);
    const files = Object.values(decoder.weights).flatMap((source) => ('file' in source ? [source.file] : []));
    const contents = [...new Set(files)].sort().map(async (file) => (await contentIdentity(file)).sha256);
    const identity = [
      await Promise.all(contents),
      await sha256File(`${folder}/tokenizer.json`),
      decoder.config,
      template.prompt([]),
      tokenizer.endIds,
    ];
    return new InstructModel(engine, sha256(JSON.stringify(identity)), { decoder, tokenizer, template });
  }

  /** Number of all its weights. */
  get parameterCount(): number {
    return decoderParameterCount(this.#decoder.config);
  }

  /**
   * Token ids of a conversation, up to where the answer begins.
   *
   * @param more tokens that are certain to follow
   * @throws InputError `LLM_REQUEST_REFUSED` where the model has too few positions for them
   */
  encode(messages: readonly TextMessage[], more = 0): number[] {
    const ids = this.#encodeText(this.#template.prompt(messages));
    const { maxPositionEmbeddings } = this.#decoder.config;
    if (ids.length + more <= maxPositionEmbeddings) return ids;
    const answer = more === 0 ? '' : ` and a choice up to ${more}`;
    throw new InputError(
      'LLM_REQUEST_REFUSED',
      `A text for the language model has ${ids.length} tokens${answer}, and the model has positions for ${maxPositionEmbeddings} (max_position_embeddings).`,
    );
  }

  /** Token ids of an answer as the model would give it, with the token that ends its turn. */
  encodeAnswer(text: string): number[] {
    return [...this.#encodeText(text), this.#turnEnd];
  }

  /** Token sequences that end an answer. */
  #ends(): number[][] {
    const ends = this.#tokenizer.stopSequences('end');
    return ends.some(([id]) => id === this.#turnEnd) ? ends : [...ends, [this.#turnEnd]];
  }

  #encodeText(text: string): number[] {
    return text.split(insidePlaceholder).flatMap((piece) => this.#tokenizer.encode(piece));
  }

  /**
   * Answers conversations, all of them at once. An answer depends on conversation and settings alone, but for rounding.
   *
   * @param prompts from `encode`
   * @throws InputError `SAMPLING_INVALID`
   */
  async answer(
    prompts: readonly (readonly number[])[],
    settings: InstructSettings,
  ): Promise<InstructAnswer[]> {
    const batch = collatePrompts(prompts, {}, { model: this.#config, tokenizer: this.#tokenizer });
    const sequences = await this.#generator.answer(this.#state, batch, {
      maxNewTokens: settings.maxTokens,
      stop: this.#ends(),
      sampling: samplingOf(settings),
      random: prompts.map((prompt) => new RandomGenerator(settings.seed).split(prompt.join())),
      padToken: this.#tokenizer.padId,
      repetitionPenalty: settings.repetitionPenalty,
    });
    return sequences.map(({ tokens, stopLength, finish }) => ({
      text: this.#tokenizer.decode(tokens.slice(0, tokens.length - stopLength)),
      finish,
    }));
  }

  /**
   * Log-likelihoods of answers to conversations, the same answers to each: sums over their tokens (`Generator`).
   *
   * @param prompts from `encode`
   * @param answers from `encodeAnswer`
   * @returns `[prompts][answers]`
   * @throws NumericError `LOGITS_NOT_FINITE`
   */
  logLikelihoods(
    prompts: readonly (readonly number[])[],
    answers: readonly (readonly number[])[],
  ): Promise<Float64Array[]> {
    const batch = collatePrompts(prompts, {}, { model: this.#config, tokenizer: this.#tokenizer });
    return this.#generator.logLikelihoods(this.#state, batch, answers);
  }

  async dispose(): Promise<void> {
    this.#state.dispose();
    await this.#generator.dispose();
  }
}
