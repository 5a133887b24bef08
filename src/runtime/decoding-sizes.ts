import type { PromptBatch } from '../data/collate.ts';
import { bucketOf } from '../engine/size-buckets.ts';
import type { HostTensor, HostTensorMap } from '../engine/types.ts';

/** How many tokens the decoder is given, and how many its caches have room for. */
export interface DecodingSizes {
  /** Of prompts, padding included. */
  prompt(tokens: number): number;
  /** Of what follows them. */
  next(tokens: number): number;
  /** Of the caches, once they hold so many. */
  capacity(tokens: number): number;
}

/** As many as there are: for engines to which all sizes are equal. */
export const exactSizes: DecodingSizes = {
  prompt: (tokens) => tokens,
  next: (tokens) => tokens,
  capacity: (tokens) => tokens,
};

/**
 * Few, for engines with `fixedSizes`. Prompts are computed, so little is added to them. The caches are only looked at: there
 * are fewer sizes of them, so that an answer needs one or two, and one more token always has room, as most sizes of prompts
 * are sizes of caches too, and a program would otherwise be made for the first token of an answer alone.
 */
export const fewSizes: DecodingSizes = {
  prompt: (tokens) => bucketOf(tokens, { least: 64, perDoubling: 4 }),
  next: (tokens) => bucketOf(tokens, { least: 1, perDoubling: 1 }),
  capacity: (tokens) => bucketOf(tokens + 1, { least: 64, perDoubling: 2 }),
};

/** Rows of `[batch, tokens]` with zeros before them. */
function padLeft<Data extends HostTensor['data']>(data: Data, batch: number, tokens: number): Data {
  const before = data.length / batch;
  const padded = new (data.constructor as new (length: number) => Data)(batch * tokens);
  for (let row = 0; row < batch; row++) {
    padded.set(data.subarray(row * before, (row + 1) * before), (row + 1) * tokens - before);
  }
  return padded;
}

/** Prompts with more padding on their left, `tokens` in all. */
export function padPrompts(prompt: PromptBatch, tokens: number): PromptBatch {
  const [batch, before] = prompt.attentionMask.shape as [number, number];
  if (tokens === before) return prompt;
  const pad = ({ dtype, data }: HostTensor): HostTensor => ({
    dtype,
    shape: [batch, tokens],
    data: padLeft(data, batch, tokens),
  });
  const { inputIds, slotIndex, isSlot } = prompt.inputs;
  return {
    inputs: {
      ...prompt.inputs,
      inputIds: pad(inputIds!),
      ...(slotIndex && { slotIndex: pad(slotIndex) }),
      ...(isSlot && { isSlot: pad(isSlot) }),
    },
    attentionMask: pad(prompt.attentionMask),
    positions: padLeft(prompt.positions, batch, tokens),
  };
}

/**
 * What stands at some of the tokens of each row.
 *
 * @param data `[batch * tokens * width]`
 * @returns `[batch * (to - from) * width]`
 */
export function tokenRange(
  data: Float32Array,
  [batch, tokens]: readonly [number, number],
  [from, to]: readonly [number, number],
): Float32Array {
  if (from === 0 && to === tokens) return data;
  const width = data.length / (batch * tokens);
  const kept = new Float32Array(batch * (to - from) * width);
  for (let row = 0; row < batch; row++) {
    const begin = (row * tokens + from) * width;
    kept.set(data.subarray(begin, begin + (to - from) * width), row * (to - from) * width);
  }
  return kept;
}

/** Where the tokens of a cache lie: those of the past first, the new ones behind the capacity that the past had. */
export interface CacheLayout {
  readonly past: number;
  readonly capacity: number;
  /** New tokens; what was read with them to fill a size up lies behind them. */
  readonly next: number;
}

/**
 * Closes the gap between past and new tokens, and gives the caches another capacity.
 *
 * @param caches `[batch, keyValueHeads, capacity + new, headDim]`
 * @returns `[batch, keyValueHeads, capacity, headDim]`, zeros behind the tokens
 */
export function packCaches(
  caches: HostTensorMap,
  { past, capacity: before, next }: CacheLayout,
  capacity: number,
): HostTensorMap {
  const pack = ({ dtype, shape, data }: HostTensor): HostTensor => {
    const [batch, heads, length, headDim] = shape as [number, number, number, number];
    const packed = new Float32Array(batch * heads * capacity * headDim);
    for (let head = 0; head < batch * heads; head++) {
      const tokens = (from: number, count: number) =>
        data.subarray((head * length + from) * headDim, (head * length + from + count) * headDim);
      packed.set(tokens(0, past), head * capacity * headDim);
      packed.set(tokens(before, next), (head * capacity + past) * headDim);
    }
    return { dtype, shape: [batch, heads, capacity, headDim], data: packed };
  };
  return Object.fromEntries(Object.entries(caches).map(([name, tensor]) => [name, pack(tensor)]));
}
