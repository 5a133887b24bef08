import { scoreContinuations } from '../../model/continuations.ts';
import {
  type GeneratedSequence,
  generate,
  type Sampling,
  type StepInput,
  type StopRule,
} from '../../model/generation.ts';
import type { PromptBatch } from '../data/collate.ts';
import type { RandomGenerator } from '../engine/random.ts';
import type { CompiledFunction, Engine, HostTensor, State } from '../engine/types.ts';
import { type DecodedPast, DecodingSession } from './decoding-session.ts';
import { exactSizes, fewSizes } from './decoding-sizes.ts';
import {
  decoderFunction,
  type GeneratorModel,
  type ModelFunction,
  modalitiesFunction,
  pick,
} from './generator-functions.ts';

export type { GeneratorModel, TrainableShapes } from './generator-functions.ts';

export interface AnswerOptions {
  readonly maxNewTokens: number;
  readonly stop: StopRule;
  readonly sampling: Sampling;
  /** One for each prompt where sampling. */
  readonly random?: readonly RandomGenerator[];
  readonly padToken: number;
  /** Makes tokens of the prompt and of the answer so far less likely; see `penalizeRepetition`. */
  readonly repetitionPenalty?: number;
  /** Sees the scores of every step before a token is chosen: those of the prompt at each of its tokens. */
  readonly observe?: (step: ObservedStep) => Promise<void>;
}

export interface ObservedStep {
  /** int32 `[batch]`, what was read; null for the prompt. */
  readonly tokens: Int32Array | null;
  /** `[batch * tokens * vocab]`, of the token after each. */
  readonly logits: Float32Array;
}

const int32 = (data: Int32Array, shape: number[]): HostTensor => ({ dtype: 'int32', shape, data });
const float32 = (data: Float32Array, shape: number[]): HostTensor => ({ dtype: 'float32', shape, data });

/** Scores after the last token of each row. */
function lastOfEach(logits: Float32Array, batch: number, vocabSize: number): Float32Array {
  const perRow = logits.length / batch;
  if (perRow === vocabSize) return logits;
  const last = new Float32Array(batch * vocabSize);
  for (let row = 0; row < batch; row++) {
    last.set(logits.subarray((row + 1) * perRow - vocabSize, (row + 1) * perRow), row * vocabSize);
  }
  return last;
}

/** Token ids of each prompt, without padding and without those that vectors replace. */
function promptTokens({ inputs, attentionMask }: PromptBatch): number[][] {
  const [batch, tokens] = attentionMask.shape as [number, number];
  const isText = (at: number): boolean => attentionMask.data[at] === 1 && inputs.isSlot?.data[at] !== 1;
  return Array.from({ length: batch }, (_, row) =>
    Array.from({ length: tokens }, (_, token) => row * tokens + token)
      .filter(isText)
      .map((at) => inputs.inputIds!.data[at]!),
  );
}

/**
 * Answers prompts with a key/value cache: one graph turns features into vectors, one runs the decoder on any number
 * of new tokens after any number of cached ones. The decoder's frozen weights are held once.
 */
export class Generator {
  readonly #model: GeneratorModel;
  readonly #engine: Engine;
  #modalities: Promise<CompiledFunction> | undefined;
  #decoder: Promise<CompiledFunction> | undefined;

  constructor(engine: Engine, model: GeneratorModel) {
    this.#engine = engine;
    this.#model = model;
  }

  /**
   * Answers of a batch of prompts. An answer does not depend on its batch mates, except for rounding.
   *
   * @param state holds the trainable tensors
   */
  async answer(state: State, batch: PromptBatch, options: AnswerOptions): Promise<GeneratedSequence[]> {
    const session = await this.#session(state, batch);
    const { repetitionPenalty: penalty, observe, ...rest } = options;
    let past: DecodedPast | undefined;
    const step = async ({ tokens }: StepInput): Promise<Float32Array> => {
      const read =
        past === undefined
          ? await session.readPrompts(observe === undefined ? 'last' : 'all')
          : await session.read(past, tokens!);
      past = read.past;
      await observe?.({ tokens, logits: read.logits });
      return lastOfEach(read.logits, session.batch, this.#model.config.decoder.vocabSize);
    };
    const repetition = penalty === undefined ? undefined : { penalty, prompts: promptTokens(batch) };
    return generate(step, { batch: session.batch, ...rest, repetition });
  }

  /**
   * Log-likelihoods of continuations, the same ones for each prompt of a batch: sums over their tokens. Prompts, and
   * what several continuations begin with, are read once.
   *
   * @param state holds the trainable tensors
   * @param continuations token ids, one or more each
   * @returns `[batch][continuations]`
   * @throws InputError `CONTINUATION_EMPTY`, `NumericError` `LOGITS_NOT_FINITE`
   */
  async logLikelihoods(
    state: State,
    batch: PromptBatch,
    continuations: readonly (readonly number[])[],
  ): Promise<Float64Array[]> {
    const session = await this.#session(state, batch);
    return scoreContinuations<DecodedPast>({
      batch: session.batch,
      continuations,
      readPrompts: () => session.readPrompts(),
      read: (past, tokens) => {
        // The same tokens for every row.
        const all = Int32Array.from(
          { length: session.batch * tokens.length },
          (_, i) => tokens[i % tokens.length]!,
        );
        return session.read(past, all);
      },
    });
  }

  async #session(state: State, batch: PromptBatch): Promise<DecodingSession> {
    const vectors = await this.#vectors(state, batch);
    this.#decoder ??= this.#compile(decoderFunction(this.#model));
    const sizes = this.#engine.fixedSizes ? fewSizes : exactSizes;
    return new DecodingSession(this.#model.config.decoder, await this.#decoder, state, batch, vectors, sizes);
  }

  async dispose(): Promise<void> {
    for (const compiled of [this.#modalities, this.#decoder]) await (await compiled)?.dispose();
  }

  #compile({ fn, options }: ModelFunction): Promise<CompiledFunction> {
    return this.#engine.compile(fn, options);
  }

  /** The vectors that replace placeholders, `[batch * slots, hidden]`; one row of zeros where there are none. */
  async #vectors(state: State, { inputs, attentionMask }: PromptBatch): Promise<HostTensor> {
    const { mode, decoder } = this.#model.config;
    const { hiddenSize } = decoder;
    if (mode.slots.length === 0) return float32(new Float32Array(hiddenSize), [1, hiddenSize]);
    this.#modalities ??= this.#compile(modalitiesFunction(this.#model));
    const features = pick(inputs, (name) => (mode.needs as readonly string[]).includes(name));
    const batch = attentionMask.shape[0]!;
    const sampleIds = int32(new Int32Array(batch), [batch, 1]);
    return (await (await this.#modalities).run({ ...features, inputIds: sampleIds }, state)).vectors!;
  }
}
