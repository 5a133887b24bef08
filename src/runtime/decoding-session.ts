import { causalBias, type DecoderConfig, ropeTables } from '../../model/decoder.ts';
import type { PromptBatch } from '../data/collate.ts';
import type { CompiledFunction, HostTensor, HostTensorMap, State } from '../engine/types.ts';
import { type DecodingSizes, exactSizes, packCaches, padPrompts, tokenRange } from './decoding-sizes.ts';

const int32 = (data: Int32Array, shape: number[]): HostTensor => ({ dtype: 'int32', shape, data });
const float32 = (data: Float32Array, shape: number[]): HostTensor => ({ dtype: 'float32', shape, data });

/** What the decoder has read of each row. It never changes: any number of continuations may start from it. */
export interface DecodedPast {
  /** Keys and values of each layer, `[batch, keyValueHeads, capacity, headDim]`. */
  readonly caches: HostTensorMap;
  /** Padding before the prompts included. */
  readonly tokens: number;
  /** As `tokens`, or more where sizes are fixed: what lies behind the tokens is masked. */
  readonly capacity: number;
}

/** Scores of the tokens that may come next, and the past with what was read. */
export interface Decoded {
  readonly logits: Float32Array;
  readonly past: DecodedPast;
}

/** Runs the decoder on a batch of prompts and on what follows them. Prompts are padded on the left; the padding is masked. */
export class DecodingSession {
  readonly batch: number;
  readonly #config: DecoderConfig;
  readonly #decoder: CompiledFunction;
  readonly #state: State;
  readonly #prompt: PromptBatch;
  /** Tokens of the prompts as they were given. */
  readonly #given: number;
  readonly #vectors: HostTensor;
  readonly #sizes: DecodingSizes;

  /**
   * @param decoder the graph of `Generator`
   * @param vectors those that replace the placeholders of the prompts
   * @param sizes what is added to come to them is masked, and is no part of results
   */
  constructor(
    config: DecoderConfig,
    decoder: CompiledFunction,
    state: State,
    prompt: PromptBatch,
    vectors: HostTensor,
    sizes: DecodingSizes = exactSizes,
  ) {
    this.#config = config;
    this.#decoder = decoder;
    this.#state = state;
    this.#vectors = vectors;
    this.#sizes = sizes;
    [this.batch, this.#given] = prompt.attentionMask.shape as [number, number];
    this.#prompt = padPrompts(prompt, sizes.prompt(this.#given));
  }

  /**
   * Reads the prompts.
   *
   * @param scored after which of their tokens scores are wanted
   * @returns `logits [batch * vocab]`, of the token after each prompt, or `[batch * tokens * vocab]`
   */
  async readPrompts(scored: 'last' | 'all' = 'last'): Promise<Decoded> {
    const { headDim, numHiddenLayers, numKeyValueHeads } = this.#config;
    const { inputs, positions, attentionMask } = this.#prompt;
    const tokens = attentionMask.shape[1]!;
    const empty = float32(new Float32Array(0), [this.batch, numKeyValueHeads, 0, headDim]);
    const caches: Record<string, HostTensor> = {};
    for (let layer = 0; layer < numHiddenLayers; layer++) {
      caches[`key.${layer}`] = empty;
      caches[`value.${layer}`] = empty;
    }
    const rows =
      scored === 'all'
        ? Int32Array.from(positions, (_, i) => i)
        : Int32Array.from({ length: this.batch }, (_, row) => (row + 1) * tokens - 1);
    const { logits, past } = await this.#run({ caches, tokens: 0, capacity: 0 }, tokens, positions, rows, {
      ...this.#noSlots(tokens),
      ...inputs,
      vectors: this.#vectors,
    });
    if (scored === 'last') return { logits, past };
    return { logits: tokenRange(logits, [this.batch, tokens], [tokens - this.#given, tokens]), past };
  }

  /**
   * Reads the next tokens of each row.
   *
   * @param ids row after row, `batch * n`
   * @returns `logits [batch * n * vocab]`, of the token after each
   */
  async read(past: DecodedPast, ids: Int32Array): Promise<Decoded> {
    const tokens = ids.length / this.batch;
    const size = this.#sizes.next(tokens);
    const promptLength = this.#prompt.attentionMask.shape[1]!;
    const positions = Int32Array.from({ length: this.batch * size }, (_, i) => {
      const row = Math.floor(i / size);
      const lastOfPrompt = this.#prompt.positions[(row + 1) * promptLength - 1]!;
      return lastOfPrompt + 1 + (past.tokens - promptLength) + (i % size);
    });
    // What fills the size up comes last, so nothing sees it.
    const filled = new Int32Array(this.batch * size);
    for (let row = 0; row < this.batch; row++) {
      filled.set(ids.subarray(row * tokens, (row + 1) * tokens), row * size);
    }
    const all = Int32Array.from(positions, (_, i) => i);
    const { hiddenSize } = this.#config;
    const { logits, past: longer } = await this.#run(past, tokens, positions, all, {
      ...this.#noSlots(size),
      inputIds: int32(filled, [this.batch, size]),
      vectors: float32(new Float32Array(hiddenSize), [1, hiddenSize]),
    });
    return { logits: tokenRange(logits, [this.batch, size], [0, tokens]), past: longer };
  }

  #noSlots(tokens: number): HostTensorMap {
    const shape = [this.batch, tokens];
    return {
      slotIndex: int32(new Int32Array(this.batch * tokens), shape),
      isSlot: float32(new Float32Array(this.batch * tokens), shape),
    };
  }

  /** @param next how many of the tokens that are read in each row stay in the caches */
  async #run(
    past: DecodedPast,
    next: number,
    positions: Int32Array,
    scoredRows: Int32Array,
    inputs: HostTensorMap,
  ): Promise<Decoded> {
    const size = positions.length / this.batch;
    const total = past.capacity + size;
    const prompt = this.#prompt.attentionMask;
    const mask = new Int32Array(this.batch * total);
    for (let row = 0; row < this.batch; row++) {
      const seen = new Int32Array(past.tokens + size).fill(1);
      seen.set(prompt.data.subarray(row * prompt.shape[1]!, (row + 1) * prompt.shape[1]!));
      mask.set(seen.subarray(0, past.tokens), row * total);
      mask.set(seen.subarray(past.tokens), row * total + past.capacity);
    }
    const { logits, ...caches } = await this.#decoder.run(
      {
        ...inputs,
        ...ropeTables(this.#config, positions, this.batch),
        attentionBias: causalBias(int32(mask, [this.batch, total]), past.capacity),
        scoredRows: int32(scoredRows, [scoredRows.length]),
        ...past.caches,
      },
      this.#state,
    );
    const tokens = past.tokens + next;
    const capacity = this.#sizes.capacity(tokens);
    const layout = { past: past.tokens, capacity: past.capacity, next };
    const packed = capacity === total && tokens === total ? caches : packCaches(caches, layout, capacity);
    return { logits: logits!.data as Float32Array, past: { caches: packed, tokens, capacity } };
  }
}
