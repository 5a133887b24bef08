import * as tf from '@tensorflow/tfjs';
import type { Engine, HostTensor } from '../src/engine/types.ts';

/** Side of the square factor. */
const size = 512;
/** Rows of the other factor: few at first, twice as many as long as that is quick. */
const [fewestRows, mostRows] = [32, 8192];
const quickSeconds = 0.01;
/** A busy machine makes single runs slow: the best of several counts. */
const [fewestRuns, mostRuns, longestSeconds] = [2, 14, 0.2];

/**
 * Floating-point operations a second that an engine reaches in one large matrix product with float32 numbers, at its own
 * thread count, on all of its devices at once: what a training step is compared with (model FLOPs utilisation, Chowdhery et al. 2022, against a
 * measured peak instead of the one in a data sheet). Takes about a fifth of a second.
 */
export async function measurePeakFlops(engine: Engine): Promise<number> {
  const matrix = (rows: number): HostTensor => {
    // Any number that is not zero and does not overflow.
    const data = new Float32Array(rows * size).fill(1 / size);
    return { dtype: 'float32', shape: [rows, size], data };
  };
  const product = await engine.compile(
    // The sum, so that the product need not be copied.
    ({ inputs, weights }) => ({ outputs: { sum: tf.sum(tf.matMul(inputs.left!, weights.right!)) } }),
    {
      name: 'peak',
      inputs: { left: { dtype: 'float32', shape: ['rows', size] } },
      weights: { right: matrix(size) },
      replicated: true,
    },
  );
  try {
    const started = performance.now();
    let best = 0;
    let rows = fewestRows;
    let left = matrix(rows);
    for (let run = 0; run < mostRuns; run++) {
      const before = performance.now();
      if (run >= fewestRuns && before - started > 1000 * longestSeconds) break;
      await product.run({ left });
      const seconds = (performance.now() - before) / 1000;
      best = Math.max(best, ((engine.devices ?? 1) * 2 * rows * size * size) / seconds);
      if (seconds < quickSeconds && rows < mostRows) {
        rows *= 2;
        left = matrix(rows);
      }
    }
    return best;
  } finally {
    await product.dispose();
  }
}
