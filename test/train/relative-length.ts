import type { HostTensorMap } from '../../src/engine/types.ts';

/** Length of the difference as a part of the length, over all tensors together. */
export function relativeLength(actual: HostTensorMap, expected: HostTensorMap): number {
  let difference = 0;
  let whole = 0;
  for (const [name, { data }] of Object.entries(expected)) {
    for (let i = 0; i < data.length; i++) {
      difference += (actual[name]!.data[i]! - data[i]!) ** 2;
      whole += data[i]! ** 2;
    }
  }
  return Math.sqrt(difference / whole);
}
