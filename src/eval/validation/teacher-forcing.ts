import type { NamedBatch } from '../../../train/validation/loss.ts';
import type { HostTensor } from '../../engine/types.ts';

/**
 * Samples of a batch all of whose supervised tokens are the most likely ones, given the right ones before them: what
 * `ComputeAccuracy` of MMLA's LLaMA-Factory counts.
 *
 * @param batch its inputs are those of `affectGptLoss`
 * @param hits `[supervised]`, from `targetHits`; those that only fill the list up do not count
 */
export function exactSamples({ inputs, names, supervisedTokens }: NamedBatch, hits: HostTensor): number {
  const tokens = inputs.inputIds!.shape[1]!;
  const missed = new Set<number>();
  for (let i = 0; i < supervisedTokens; i++) {
    if (hits.data[i] !== 1) missed.add(Math.floor(inputs.positions!.data[i]! / tokens));
  }
  return names.length - missed.size;
}
