import * as tf from '@tensorflow/tfjs';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine } from '../engine/types.ts';

/** Side of the square matrices. */
const roofSize = 2048;
/** Products of one run, one after the other: what comes in and goes out counts little. */
const products = 3;
const runs = 3;

/**
 * Floating-point operations a second, in units of 1e9, that an engine reaches on one large product of square float32
 * matrices at its own thread count: what no step made of matrix products can pass. The best of several runs.
 *
 * @param size side of the matrices
 */
export async function measureRoof(engine: Engine, size = roofSize): Promise<number> {
  const random = new RandomGenerator(1);
  const shape = [size, size];
  // Products of such matrices neither grow nor vanish.
  const matrix = () => random.normalFloat32(size * size, 0, 1 / Math.sqrt(size));
  const compiled = await engine.compile(
    ({ inputs, weights }) => {
      let x = inputs.left!;
      for (let i = 0; i < products; i++) x = tf.matMul(x, weights.right!);
      // The sum, so that the product need not be copied.
      return { outputs: { sum: tf.sum(x) } };
    },
    {
      name: 'bench-roof',
      inputs: { left: { dtype: 'float32', shape } },
      weights: { right: { dtype: 'float32', shape, data: matrix() } },
    },
  );
  try {
    const inputs = { left: { dtype: 'float32' as const, shape, data: matrix() } };
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run <= runs; run++) {
      const before = performance.now();
      await compiled.run(inputs);
      // The first one also prepares.
      if (run > 0) best = Math.min(best, performance.now() - before);
    }
    return roofOf(size, products, best);
  } finally {
    await compiled.dispose();
  }
}

/** Billions of operations a second of `count` products of square matrices in `milliseconds`. */
export const roofOf = (size: number, count: number, milliseconds: number): number =>
  (2 * count * size ** 3) / milliseconds / 1e6;
