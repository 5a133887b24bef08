import * as tf from '@tensorflow/tfjs';
import {
  type AffectGptConfig,
  adapterContext,
  featureInputSpecs,
  modalityTokens,
} from '../../model/affectgpt.ts';
import { scoreContinuations } from '../../model/continuations.ts';
import { decoderForward, embedTokens, logits } from '../../model/decoder.ts';
import {
  type GeneratedSequence,
  generate,
  type Sampling,
  type StepInput,
  type StopRule,
} from '../../model/generation.ts';
import { gatherRows } from '../../model/loss.ts';
import { splice } from '../../model/splice.ts';
import type { PromptBatch } from '../data/collate.ts';
import { Parameters } from '../engine/parameters.ts';
import type { RandomGenerator } from '../engine/random.ts';
import type { CompiledFunction, Engine, HostTensor, InputSpec, State } from '../engine/types.ts';
import { type DecodedPast, DecodingSession } from './decoding-session.ts';
import type { Weights } from './pretrained.ts';

/** Shapes of the tensors that come from a training state instead of frozen files. */
export type TrainableShapes = Readonly<Record<string, readonly number[]>>;

export interface GeneratorModel {
  readonly config: AffectGptConfig;
  /** Frozen tensors; those also named in `trainable` are taken from the state. */
  readonly weights: Weights;
  readonly trainable: TrainableShapes;
}

export interface AnswerOptions {
  readonly maxNewTokens: number;
  readonly stop: StopRule;
  readonly sampling: Sampling;
  /** One for each prompt where sampling. */
  readonly random?: readonly RandomGenerator[];
  readonly padToken: number;
  /** Makes tokens of the prompt and of the answer so far less likely; see `penalizeRepetition`. */
  readonly repetitionPenalty?: number;
}

const int32 = (data: Int32Array, shape: number[]): HostTensor => ({ dtype: 'int32', shape, data });
const float32 = (data: Float32Array, shape: number[]): HostTensor => ({ dtype: 'float32', shape, data });

const stateSpecs = (names: readonly string[], shapes: TrainableShapes): Record<string, InputSpec> =>
  Object.fromEntries(names.map((name) => [name, { dtype: 'float32', shape: shapes[name]! }]));

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

/** Fusion tensors are read by the modality graph, all others by the decoder's. */
const isDecoderTensor = (name: string): boolean => name.startsWith('model.') || name.startsWith('lm_head.');

const pick = <Value>(
  map: Readonly<Record<string, Value>>,
  keep: (name: string) => boolean,
): Record<string, Value> => Object.fromEntries(Object.entries(map).filter(([name]) => keep(name)));

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
    let past: DecodedPast | undefined;
    const step = async ({ tokens }: StepInput): Promise<Float32Array> => {
      const read = past === undefined ? await session.readPrompts() : await session.read(past, tokens!);
      past = read.past;
      return read.logits;
    };
    const { repetitionPenalty: penalty, ...rest } = options;
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
    this.#decoder ??= this.#compileDecoder();
    return new DecodingSession(this.#model.config.decoder, await this.#decoder, state, batch, vectors);
  }

  async dispose(): Promise<void> {
    for (const compiled of [this.#modalities, this.#decoder]) await (await compiled)?.dispose();
  }

  /** The vectors that replace placeholders, `[batch * slots, hidden]`; one row of zeros where there are none. */
  async #vectors(state: State, { inputs, attentionMask }: PromptBatch): Promise<HostTensor> {
    const { mode, decoder } = this.#model.config;
    const { hiddenSize } = decoder;
    if (mode.slots.length === 0) return float32(new Float32Array(hiddenSize), [1, hiddenSize]);
    this.#modalities ??= this.#compileModalities();
    const features = pick(inputs, (name) => (mode.needs as readonly string[]).includes(name));
    const batch = attentionMask.shape[0]!;
    const sampleIds = int32(new Int32Array(batch), [batch, 1]);
    return (await (await this.#modalities).run({ ...features, inputIds: sampleIds }, state)).vectors!;
  }

  #compileModalities(): Promise<CompiledFunction> {
    const { config, trainable, weights } = this.#model;
    const names = Object.keys(trainable).filter((name) => !isDecoderTensor(name));
    return this.#engine.compile(
      ({ inputs, state, weights: frozen }) => {
        const { inputIds, ...features } = inputs;
        const { tokens } = modalityTokens(config, new Parameters({ ...frozen, ...state }), {
          ...features,
          inputIds: inputIds!,
        });
        const vectors = tf.concat([...tokens.values()], 1);
        return {
          outputs: {
            vectors: tf.reshape(vectors, [vectors.shape[0]! * vectors.shape[1]!, vectors.shape[2]!]),
          },
        };
      },
      {
        name: 'generate.modalities',
        inputs: { ...featureInputSpecs(config), inputIds: { dtype: 'int32', shape: ['batch', 1] } },
        state: stateSpecs(names, trainable),
        weights: pick(weights, (name) => !isDecoderTensor(name) && trainable[name] === undefined),
      },
    );
  }

  #compileDecoder(): Promise<CompiledFunction> {
    const { config, trainable, weights } = this.#model;
    const { headDim, hiddenSize, numHiddenLayers, numKeyValueHeads } = config.decoder;
    const perToken = (dtype: InputSpec['dtype']): InputSpec => ({ dtype, shape: ['batch', 'tokens'] });
    const rope: InputSpec = { dtype: 'float32', shape: ['batch', 1, 'tokens', headDim] };
    const cache: InputSpec = { dtype: 'float32', shape: ['batch', numKeyValueHeads, 'past', headDim] };
    const layers = Array.from({ length: numHiddenLayers }, (_, layer) => layer);
    const names = Object.keys(trainable).filter(isDecoderTensor);
    return this.#engine.compile(
      ({ inputs, state, weights: frozen }) => {
        const parameters = new Parameters({ ...frozen, ...state });
        const [batch, tokens] = inputs.inputIds!.shape as [number, number];
        const flat = (name: string, shape: number[]) => tf.reshape(inputs[name]!, shape);
        const text = tf.reshape(embedTokens(parameters, inputs.inputIds!), [batch * tokens, hiddenSize]);
        const spliced = splice(
          text,
          inputs.vectors!,
          flat('slotIndex', [batch * tokens]),
          flat('isSlot', [batch * tokens, 1]),
        );
        const { hidden, present } = decoderForward(parameters, config.decoder, {
          inputsEmbeds: tf.reshape(spliced, [batch, tokens, hiddenSize]),
          cos: inputs.cos!,
          sin: inputs.sin!,
          attentionBias: inputs.attentionBias!,
          adapter: adapterContext(config),
          past: layers.map((layer) => ({ key: inputs[`key.${layer}`]!, value: inputs[`value.${layer}`]! })),
        });
        const scores = logits(parameters, config.decoder, gatherRows(hidden, inputs.scoredRows!));
        const caches = present.flatMap(({ key, value }, layer) => [
          [`key.${layer}`, key] as const,
          [`value.${layer}`, value] as const,
        ]);
        return { outputs: { logits: scores, ...Object.fromEntries(caches) } };
      },
      {
        name: 'generate.decoder',
        inputs: {
          inputIds: perToken('int32'),
          slotIndex: perToken('int32'),
          isSlot: perToken('float32'),
          vectors: { dtype: 'float32', shape: ['vectors', hiddenSize] },
          cos: rope,
          sin: rope,
          attentionBias: { dtype: 'float32', shape: ['batch', 1, 'tokens', 'total'] },
          scoredRows: { dtype: 'int32', shape: ['scored'] },
          ...Object.fromEntries(
            layers.flatMap((layer) => [
              [`key.${layer}`, cache],
              [`value.${layer}`, cache],
            ]),
          ),
        },
        state: stateSpecs(names, trainable),
        weights: pick(weights, (name) => isDecoderTensor(name) && trainable[name] === undefined),
        derived: { total: ({ past, tokens }) => past! + tokens! },
      },
    );
  }
}
