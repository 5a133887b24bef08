import { EpochSampler, firstPosition, type SamplerOptions } from '../sampler.ts';

/** Tokens of one sample's training sequence. */
export interface SequenceLength {
  readonly tokens: number;
  readonly supervisedTokens: number;
}

/** What the steps of one epoch hold. */
export interface TokenSummary {
  readonly samples: number;
  readonly stepsPerEpoch: number;
  /** Without padding, by sample. */
  readonly meanTokens: number;
  readonly longestTokens: number;
  /** The most tokens of a sample that are learnt. */
  readonly mostSupervised: number;
  /** Of an optimizer step, without padding. */
  readonly meanTokensPerStep: number;
  readonly longestTokensPerStep: number;
  /** Part of all computed tokens that is padding. */
  readonly paddingShare: number;
}

/** A micro-batch by its samples. */
export interface WidestBatch {
  readonly names: readonly string[];
  readonly tokens: number;
}

/**
 * Counts the tokens of the first epoch, step by step as training draws them, padding included.
 *
 * @returns also the micro-batch with the most tokens after padding: the one that needs the most memory
 */
export function countTokens(
  options: SamplerOptions & { readonly lengthOf: (name: string) => SequenceLength },
): { readonly summary: TokenSummary; readonly widest: WidestBatch } {
  const { names, lengthOf } = options;
  const lengths = new Map(names.map((name) => [name, lengthOf(name)]));
  const sampler = new EpochSampler(options);
  const perStep: number[] = [];
  let computed = 0;
  let widest: WidestBatch | undefined;
  for (let position = firstPosition; position.epoch === firstPosition.epoch; ) {
    const { microBatches, next } = sampler.draw(position);
    let tokens = 0;
    for (const batch of microBatches) {
      const rows = batch.map((name) => lengths.get(name)!);
      const longest = Math.max(...rows.map((row) => row.tokens));
      tokens += rows.reduce((sum, row) => sum + row.tokens, 0);
      computed += longest * rows.length;
      if (widest === undefined || longest * rows.length > widest.tokens * widest.names.length) {
        widest = { names: batch, tokens: longest };
      }
    }
    perStep.push(tokens);
    position = next;
  }
  const total = perStep.reduce((sum, tokens) => sum + tokens, 0);
  const most = (values: Iterable<number>): number => {
    let largest = 0;
    for (const value of values) largest = Math.max(largest, value);
    return largest;
  };
  return {
    summary: {
      samples: names.length,
      stepsPerEpoch: perStep.length,
      meanTokens: total / sampler.size(firstPosition.epoch),
      longestTokens: most(Array.from(lengths.values(), ({ tokens }) => tokens)),
      mostSupervised: most(Array.from(lengths.values(), ({ supervisedTokens }) => supervisedTokens)),
      meanTokensPerStep: total / perStep.length,
      longestTokensPerStep: most(perStep),
      paddingShare: 1 - total / computed,
    },
    widest: widest!,
  };
}
