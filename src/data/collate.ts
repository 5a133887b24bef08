import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { placeholderRuns } from '../../model/affectgpt.ts';
import { causalBias, ropeTables } from '../../model/decoder.ts';
import { ignoredLabel, supervisedPositions } from '../../model/loss.ts';
import { placeSlots } from '../../model/splice.ts';
import { rowKeys } from '../engine/dropout.ts';
import { bucketOf, type SizeBuckets } from '../engine/size-buckets.ts';
import type { HostTensor, HostTensorMap } from '../engine/types.ts';
import type { SourceKind } from './records.ts';
import type { TrainingSequence } from './sequence.ts';
import type { PromptTokenizer } from './tokenizer.ts';

/** Features of a batch by kind, each `[batch, count, size]`. */
export type BatchFeatures = Partial<Record<SourceKind, HostTensor>>;

export interface CollateOptions {
  readonly model: AffectGptConfig;
  readonly tokenizer: PromptTokenizer;
  /** Whether the final eos takes part in attention. The published code hides it, and every other pad id with it. */
  readonly attendFinalEos: boolean;
  /** Where given, the batch holds the dropout keys of this optimizer step. */
  readonly dropout?: { readonly seed: number; readonly step: number };
  /** For an engine with `fixedSizes`: see `tokenSizes` and `supervisedSizes`. */
  readonly fixedSizes?: boolean;
  /** Tokens and supervised tokens for which there has to be room, where sizes are fixed. */
  readonly atLeast?: { readonly tokens: number; readonly supervisedTokens: number };
}

/**
 * Tokens of a padded batch where sizes are fixed. Each token costs a pass through all layers, so the steps are small: at
 * most a quarter is added, 9 % on average. Batches of 100 to 300 tokens take at most eight sizes.
 */
const tokenSizes: SizeBuckets = { least: 64, perDoubling: 4 };

/**
 * Supervised tokens of a batch where sizes are fixed. Each costs a row of logits, a small part of what its pass through
 * the layers does; so there are fewer sizes, because each goes with each size of `tokenSizes`.
 */
const supervisedSizes: SizeBuckets = { least: 16, perDoubling: 2 };

export interface TrainingBatch {
  /** The inputs of `affectGptLoss`, as `lossInputSpecs` describes them. */
  readonly inputs: HostTensorMap;
  readonly names: readonly string[];
  readonly supervisedTokens: number;
  /** Without padding. */
  readonly tokens: number;
  /** Tokens of each sample. */
  readonly lengths: readonly number[];
}

const longest = (rows: readonly ArrayLike<number>[]): number => Math.max(...rows.map((row) => row.length));

/** Token rows of different lengths as `[batch, tokens]`, filled up on one side. */
function padRows(
  rows: readonly ArrayLike<number>[],
  tokens: number,
  value: number,
  side: 'left' | 'right' = 'right',
): HostTensor {
  const data = new Int32Array(rows.length * tokens).fill(value);
  rows.forEach((row, i) => {
    data.set(row, i * tokens + (side === 'left' ? tokens - row.length : 0));
  });
  return { dtype: 'int32', shape: [rows.length, tokens], data };
}

/** Placement of the vectors; slots only where the mode has any. */
function slotInputs(
  ids: HostTensor,
  { model, tokenizer }: Pick<CollateOptions, 'model' | 'tokenizer'>,
): HostTensorMap {
  const { inputIds, slotIndex, isSlot } = placeSlots(ids, placeholderRuns(model, tokenizer.placeholderIds));
  return { inputIds, ...(model.mode.slots.length > 0 && { slotIndex, isSlot }) };
}

/** Fills `values` up to `size` with its first one. */
function filledUp(values: Int32Array, size: number): Int32Array {
  const filled = new Int32Array(size).fill(values[0] ?? 0);
  filled.set(values);
  return filled;
}

/**
 * Samples as one training batch: padded on the right, labels, mask and padding as in the published collater.
 *
 * Where sizes are fixed, tokens and supervised tokens are rounded up. Tokens are added as padding is: nothing attends to
 * them, and no label stands there. Supervised tokens that are added repeat the first one with weight 0. Both add exactly
 * 0 to loss and gradient, which are those of the exact sizes but for the order of additions. The number of samples stays:
 * a short batch at the end of an epoch has a program of its own.
 *
 * @param features of the samples in the same order
 * @throws InputError `PLACEHOLDER_MISMATCH`
 */
export function collateTraining(
  samples: readonly { readonly name: string; readonly sequence: TrainingSequence }[],
  features: BatchFeatures,
  options: CollateOptions,
): TrainingBatch {
  const { model, tokenizer, attendFinalEos, dropout, fixedSizes = false } = options;
  const { atLeast = { tokens: 0, supervisedTokens: 0 } } = options;
  const names = samples.map(({ name }) => name);
  const rows = samples.map(({ sequence }) => sequence.ids);
  const batch = rows.length;
  const tokens = fixedSizes ? bucketOf(Math.max(longest(rows), atLeast.tokens), tokenSizes) : longest(rows);
  const ids = padRows(rows, tokens, tokenizer.padId);
  const labels = padRows(
    samples.map(({ sequence }) => sequence.labels),
    tokens,
    ignoredLabel,
  );
  const attended = (row: number, token: number): boolean =>
    attendFinalEos ? token < rows[row]!.length : ids.data[row * tokens + token] !== tokenizer.padId;
  const attentionMask: HostTensor = {
    dtype: 'int32',
    shape: ids.shape,
    data: Int32Array.from(ids.data, (_, at) => Number(attended(Math.floor(at / tokens), at % tokens))),
  };
  const { positions, targets } = supervisedPositions(labels);
  const room = Math.max(positions.length, atLeast.supervisedTokens);
  const size = fixedSizes ? bucketOf(room, supervisedSizes) : positions.length;
  const supervised = [size];
  const targetWeights = new Float32Array(size).fill(1, 0, positions.length);
  const inputs: HostTensorMap = {
    ...features,
    ...slotInputs(ids, options),
    ...ropeTables(
      model.decoder,
      Array.from({ length: tokens }, (_, position) => position),
    ),
    attentionBias: causalBias(attentionMask),
    positions: { dtype: 'int32', shape: supervised, data: filledUp(positions, size) },
    targets: { dtype: 'int32', shape: supervised, data: filledUp(targets, size) },
    targetWeights: { dtype: 'float32', shape: supervised, data: targetWeights },
    ...(dropout && {
      rowKeys: { dtype: 'int32', shape: [batch, tokens], data: rowKeys({ ...dropout, names, tokens }) },
    }),
  };
  const lengths = rows.map((row) => row.length);
  const length = lengths.reduce((sum, one) => sum + one, 0);
  return { inputs, names, supervisedTokens: positions.length, tokens: length, lengths };
}

export interface PromptBatch {
  /** What `embedInputs` reads: features, `inputIds`, and `slotIndex` and `isSlot` where the mode has placeholders. */
  readonly inputs: HostTensorMap;
  /** int32 `[batch, tokens]`, 0 at the padding, which is on the left. */
  readonly attentionMask: HostTensor;
  /** Position of each token in its prompt, `batch * tokens`; 0 at the padding. */
  readonly positions: Int32Array;
}

/**
 * Prompts as one batch for generation, padded on the left so that all answers begin at the same place.
 *
 * @param prompts token ids, with `bos` where the model is to see one
 * @throws InputError `PLACEHOLDER_MISMATCH`
 */
export function collatePrompts(
  prompts: readonly (readonly number[])[],
  features: BatchFeatures,
  options: Pick<CollateOptions, 'model' | 'tokenizer'>,
): PromptBatch {
  const tokens = longest(prompts);
  const ids = padRows(prompts, tokens, options.tokenizer.padId, 'left');
  const mask = new Int32Array(ids.data.length);
  const positions = new Int32Array(ids.data.length);
  prompts.forEach((prompt, row) => {
    const padding = tokens - prompt.length;
    for (let token = padding; token < tokens; token++) {
      mask[row * tokens + token] = 1;
      positions[row * tokens + token] = token - padding;
    }
  });
  return {
    inputs: { ...features, ...slotInputs(ids, options) },
    attentionMask: { dtype: 'int32', shape: ids.shape, data: mask },
    positions,
  };
}
