import { RandomGenerator } from '../src/engine/random.ts';
import type { HostTensorMap } from '../src/engine/types.ts';

/**
 * New adapter tensors as PEFT initialises them: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero, so that
 * the model starts out as its base model. Each tensor's numbers depend on the seed and its name only.
 *
 * @param shapes as `adapterTensorShapes` gives them
 */
export function initAdapter(
  shapes: Readonly<Record<string, readonly [number, number]>>,
  seed: number,
): HostTensorMap {
  const random = new RandomGenerator(seed);
  const tensors: HostTensorMap = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const count = shape[0] * shape[1];
    const bound = 1 / Math.sqrt(shape[1]);
    const data = name.endsWith('.lora_A.weight')
      ? random.split(name).uniformFloat32(count, -bound, bound)
      : new Float32Array(count);
    tensors[name] = { dtype: 'float32', shape, data };
  }
  return tensors;
}
