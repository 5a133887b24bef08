import type { HostTensorMap } from '../src/engine/types.ts';

/** What one device computes while the others compute theirs. */
export interface ReplicaTurn {
  /** Which micro-batch of the step. */
  readonly index: number;
  /** Whether only the others count: the micro-batch is computed elsewhere. */
  readonly isFiller: boolean;
}

const sizesOf = (inputs: HostTensorMap): string =>
  JSON.stringify(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));

/**
 * Spreads the micro-batches of a step over devices: in each round every device computes one, all of them of the same
 * sizes. Where some are left over that no others go with, such as the last ones of an epoch, the remaining devices compute
 * the same sizes for nothing.
 *
 * @returns rounds, each with a turn per device; every micro-batch counts once
 */
export function replicaRounds(microBatches: readonly HostTensorMap[], devices: number): ReplicaTurn[][] {
  const ofSizes = new Map<string, number[]>();
  for (const [index, inputs] of microBatches.entries()) {
    const sizes = devices === 1 ? String(index) : sizesOf(inputs);
    ofSizes.set(sizes, [...(ofSizes.get(sizes) ?? []), index]);
  }
  const rounds: ReplicaTurn[][] = [];
  for (const indices of ofSizes.values()) {
    for (let begin = 0; begin < indices.length; begin += devices) {
      const turns = indices.slice(begin, begin + devices).map((index) => ({ index, isFiller: false }));
      while (turns.length < devices) turns.push({ index: indices[begin]!, isFiller: true });
      rounds.push(turns);
    }
  }
  return rounds;
}

/** For each micro-batch of a step, those that several devices are to compute together with it. */
export function besideEach(
  microBatches: readonly (readonly string[])[],
  devices = 1,
): { readonly beside?: readonly (readonly string[])[] }[] {
  return microBatches.map((_, index) => {
    const begin = index - (index % devices);
    return devices === 1 ? {} : { beside: microBatches.slice(begin, begin + devices) };
  });
}
