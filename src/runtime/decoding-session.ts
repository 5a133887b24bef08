import { causalBias, type DecoderConfig, ropeTables } from '../../model/decoder.ts';
import type { PromptBatch } from '../data/collate.ts';
import type { CompiledFunction, HostTensor, HostTensorMap, State } from '../engine/types.ts';

const int32 = (data: Int32Array, shape: number[]): HostTensor => ({ dtype: 'int32', shape, data });
const float32 = (data: Float32Array, shape: number[]): HostTensor => ({ dtype: 'float32', shape, data });

/** What the decoder has read of each row. It never changes: any number of continuations may start from it. */
export interface DecodedPast {
  /** Keys and values of each layer, `[batch, keyValueHeads, tokens, headDim]`. */
  readonly caches: HostTensorMap;
  /** Padding included. */
  readonly tokens: number;
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
  readonly #vectors: HostTensor;

  /**
   * @param decoder the graph of `Generator`
   * @param vectors those that replace the placeholders of the prompts
   */
  constructor(
    config: DecoderConfig,
    decoder: CompiledFunction,
    state: State,
    prompt: PromptBatch,
    vectors: HostTensor,
  ) {
    this.#config = config;
    this.#decoder = decoder;
    this.#state = state;
    this.#prompt = prompt;
    this.#vectors = vectors;
    this.batch = prompt.attentionMask.shape[0]!;
  }

  /**
   * Reads the prompts.
   *
   * @param scored after which of their tokens scores are wanted
   * @returns `logits [batch * vocab]`, of the token after each prompt, or `[batch * tokens * vocab]`
   */
  readPrompts(scored: 'last' | 'all' = 'last'): Promise<Decoded> {
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
    return this.#run({ caches, tokens: 0 }, positions, rows, {
      ...this.#noSlots(tokens),
      ...inputs,
      vectors: this.#vectors,
    });
  }

  /**
   * Reads the next tokens of each row.
   *
   * @param ids row after row, `batch * n`
   * @returns `logits [batch * n * vocab]`, of the token after each
   */
  read(past: DecodedPast, ids: Int32Array): Promise<Decoded> {
    const tokens = ids.length / this.batch;
    const promptLength = this.#prompt.attentionMask.shape[1]!;
    const positions = Int32Array.from(ids, (_, i) => {
      const row = Math.floor(i / tokens);
      const lastOfPrompt = this.#prompt.positions[(row + 1) * promptLength - 1]!;
      return lastOfPrompt + 1 + (past.tokens - promptLength) + (i % tokens);
    });
    const all = Int32Array.from(ids, (_, i) => i);
    const { hiddenSize } = this.#config;
    return this.#run(past, positions, all, {
      ...this.#noSlots(tokens),
      inputIds: int32(ids, [this.batch, tokens]),
      vectors: float32(new Float32Array(hiddenSize), [1, hiddenSize]),
    });
  }

  #noSlots(tokens: number): HostTensorMap {
    const shape = [this.batch, tokens];
    return {
      slotIndex: int32(new Int32Array(this.batch * tokens), shape),
      isSlot: float32(new Float32Array(this.batch * tokens), shape),
    };
  }

  async #run(
    past: DecodedPast,
    positions: Int32Array,
    scoredRows: Int32Array,
    inputs: HostTensorMap,
  ): Promise<Decoded> {
    const total = past.tokens + positions.length / this.batch;
    const promptLength = this.#prompt.attentionMask.shape[1]!;
    const mask = new Int32Array(this.batch * total).fill(1);
    for (let row = 0; row < this.batch; row++) {
      const from = row * promptLength;
      mask.set(this.#prompt.attentionMask.data.subarray(from, from + promptLength), row * total);
    }
    const { logits, ...caches } = await this.#decoder.run(
      {
        ...inputs,
        ...ropeTables(this.#config, positions, this.batch),
        attentionBias: causalBias(int32(mask, [this.batch, total]), past.tokens),
        scoredRows: int32(scoredRows, [scoredRows.length]),
        ...past.caches,
      },
      this.#state,
    );
    return { logits: logits!.data as Float32Array, past: { caches, tokens: total } };
  }
}
