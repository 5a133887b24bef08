import type { Sampling } from '../../model/generation.ts';
import type { Config } from '../config/schema.ts';
import { answerLabels } from '../data/prompts.ts';
import type { SampleRecord } from '../data/records.ts';
import type { Question } from '../data/source.ts';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine, HostTensorMap, State } from '../engine/types.ts';
import type { AffectGpt } from '../runtime/affectgpt.ts';
import { Generator } from '../runtime/generator.ts';
import { checkPromptLengths } from '../runtime/prompt-length.ts';
import { formatOf, type OpenSamples, openSamples } from '../runtime/samples.ts';

/** One answer, as a line of `predictions.jsonl`. */
export interface Prediction {
  readonly name: string;
  readonly question: string;
  readonly text: string;
  /** The emotion words, where the answer is the published list sentence. */
  readonly labels?: readonly string[];
  /** Number of generated tokens, the stop sequence included. */
  readonly tokens: number;
  readonly finish: 'stop' | 'length';
}

/** Log-likelihoods of answers about one sample, in the order of the answers. */
export interface ScoredAnswers {
  readonly name: string;
  readonly scores: Float64Array;
}

export type GenerationSettings = Config['generation'];

/** How tokens are chosen: the most likely one at temperature 0, else drawn. */
export function samplingOf({ temperature, topP, topK }: GenerationSettings): Sampling {
  if (temperature === 0) return { method: 'greedy' };
  return { method: 'sample', temperature, topP, ...(topK === null ? {} : { topK }) };
}

export interface PredictorOptions {
  readonly config: Config;
  readonly model: AffectGpt;
  readonly engine: Engine;
  readonly notify: (message: string) => void;
}

/** Prompts that are answered together. */
const answerBatch = 8;

/** Answers questions about clips with trained parameters. */
export class Predictor {
  readonly #options: PredictorOptions;
  readonly #generator: Generator;

  constructor(options: PredictorOptions) {
    this.#options = options;
    const { engine, model } = options;
    this.#generator = new Generator(engine, model);
  }

  /** A state of the engine from host values, e.g. those of a checkpoint. */
  createState(parameters: HostTensorMap): State {
    return this.#options.engine.createState(parameters);
  }

  /** Opens clips to ask about; their features come through the cache. */
  openSamples(records: readonly SampleRecord[]): Promise<OpenSamples> {
    const { config, model, engine, notify } = this.#options;
    return openSamples({ config, model, engine, records, forTraining: false, notify });
  }

  /**
   * Answers about each sample, in order. An answer depends on the sample, the question and the seed alone.
   *
   * @param state with the trainable parameters
   * @param question the same for all, or that of each by its name
   * @throws InputError `PROMPT_TOO_LONG` naming the sample
   */
  async *predict(
    state: State,
    samples: OpenSamples,
    question: Question,
    settings: GenerationSettings = this.#options.config.generation,
    names: readonly string[] = samples.source.names,
  ): AsyncGenerator<Prediction> {
    const { tokenizer, config: model } = this.#options.model;
    const { maxPositionEmbeddings } = model.decoder;
    const { stop } = formatOf(this.#options.config);
    const asked = typeof question === 'string' ? () => question : question;
    for (let from = 0; from < names.length; from += answerBatch) {
      const batch = names.slice(from, from + answerBatch);
      const prompts = await samples.source.loadPrompts(batch, question);
      checkPromptLengths({ source: samples.source, names: batch, prompts, maxPositionEmbeddings });
      const answers = await this.#generator.answer(state, prompts, {
        maxNewTokens: settings.maxNewTokens,
        stop: tokenizer.stopSequences(stop),
        sampling: samplingOf(settings),
        random: batch.map((name) => new RandomGenerator(settings.seed).split(name).split(asked(name))),
        padToken: tokenizer.padId,
      });
      for (const [i, { tokens, finish }] of answers.entries()) {
        const text = tokenizer.answer(tokens, stop);
        const labels = answerLabels(text);
        yield {
          name: batch[i]!,
          question: asked(batch[i]!),
          text,
          ...(labels === undefined ? {} : { labels }),
          tokens: tokens.length,
          finish,
        };
      }
    }
  }

  /**
   * Log-likelihoods of answers about each sample, in order: of every token that training would supervise if it were the
   * sample's own answer, what ends it included.
   *
   * @param state with the trainable parameters
   * @param question the same for all, or that of each by its name
   * @throws InputError `PROMPT_TOO_LONG` naming the sample, `NumericError` `LOGITS_NOT_FINITE`
   */
  async *score(
    state: State,
    samples: OpenSamples,
    question: Question,
    answers: readonly string[],
  ): AsyncGenerator<ScoredAnswers> {
    const { source } = samples;
    const { maxPositionEmbeddings } = this.#options.model.config.decoder;
    const continuations = answers.map((answer) => source.answerTokens('own', answer));
    const more = Math.max(...continuations.map((tokens) => tokens.length));
    for (let from = 0; from < source.names.length; from += answerBatch) {
      const names = source.names.slice(from, from + answerBatch);
      const prompts = await source.loadPrompts(names, question);
      checkPromptLengths({ source, names, prompts, maxPositionEmbeddings, more });
      const scores = await this.#generator.logLikelihoods(state, prompts, continuations);
      yield* names.map((name, i) => ({ name, scores: scores[i]! }));
    }
  }

  async dispose(): Promise<void> {
    await this.#generator.dispose();
  }
}
