import type { HostTensor, HostTensorMap } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';

/**
 * The weight that alone does what weight and adapter do together: `W + scale * B A`, summed in float64.
 *
 * @param weight `[out, in]`
 * @param loraA `[rank, in]`
 * @param loraB `[out, rank]`
 * @throws InputError `ADAPTER_SHAPE_MISMATCH`
 */
export function mergedWeight(
  weight: HostTensor,
  loraA: HostTensor,
  loraB: HostTensor,
  scale: number,
): HostTensor {
  const [outSize, inSize] = weight.shape as [number, number];
  const rank = loraA.shape[0]!;
  if (loraA.shape[1] !== inSize || loraB.shape[0] !== outSize || loraB.shape[1] !== rank) {
    throw new InputError(
      'ADAPTER_SHAPE_MISMATCH',
      `An adapter with A [${loraA.shape}] and B [${loraB.shape}] does not fit a weight [${weight.shape}]: ` +
        `A has to be [rank, ${inSize}] and B [${outSize}, rank]. Is it an adapter of another model?`,
    );
  }
  const data = new Float32Array(weight.data.length);
  const row = new Float64Array(inSize);
  for (let o = 0; o < outSize; o++) {
    row.set(weight.data.subarray(o * inSize, (o + 1) * inSize));
    for (let r = 0; r < rank; r++) {
      const factor = scale * loraB.data[o * rank + r]!;
      const offset = r * inSize;
      for (let i = 0; i < inSize; i++) row[i]! += factor * loraA.data[offset + i]!;
    }
    data.set(row, o * inSize);
  }
  return { dtype: 'float32', shape: weight.shape, data };
}

/**
 * Base weights with all adapters merged into them. Tensors without an adapter are passed through, not copied.
 *
 * @param weights of the base model
 * @param adapter `<module>.lora_A.weight` and `<module>.lora_B.weight` under our names
 * @throws InputError `ADAPTER_INCOMPLETE` where a matrix or the weight below it is missing,
 *   `ADAPTER_SHAPE_MISMATCH`
 */
export function mergeAdapter(weights: HostTensorMap, adapter: HostTensorMap, scale: number): HostTensorMap {
  const merged: HostTensorMap = { ...weights };
  const modules = new Set(Object.keys(adapter).map((name) => name.replace(/\.lora_[AB]\.weight$/, '')));
  for (const module of modules) {
    const weight = weights[`${module}.weight`];
    const loraA = adapter[`${module}.lora_A.weight`];
    const loraB = adapter[`${module}.lora_B.weight`];
    if (weight === undefined || loraA === undefined || loraB === undefined) {
      throw new InputError(
        'ADAPTER_INCOMPLETE',
        `Merging "${module}" needs its weight, lora_A.weight and lora_B.weight; ` +
          `${weight === undefined ? 'the base model has no such weight' : 'one of the adapter matrices is missing'}.`,
      );
    }
    merged[`${module}.weight`] = mergedWeight(weight, loraA, loraB, scale);
  }
  return merged;
}
