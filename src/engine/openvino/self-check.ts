import * as tf from '@tensorflow/tfjs';
import { EngineError } from '../../errors.ts';
import { RandomGenerator } from '../random.ts';
import type { CompiledFunction, CompileOptions, HostTensor, TensorFunction } from '../types.ts';

const size = 64;
const rows = 8;

/** Rounding stays far below; a product with the wrong side of the weight is off by more than one. */
const tolerances = { fp32: 1e-4, bf16: 3e-2 } as const;

/** A square weight as it is and transposed, as forward and backward passes use the same one. */
const products: TensorFunction = ({ inputs, weights }) => {
  const forward = tf.matMul(inputs.x as tf.Tensor2D, weights.square as tf.Tensor2D, false, true);
  return { outputs: { forward, backward: tf.matMul(forward, weights.square as tf.Tensor2D) } };
};

const draw = (name: string, shape: readonly [number, number]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: new RandomGenerator(5).split(name).uniformFloat32(shape[0] * shape[1], -1, 1),
});

/** `a b` or, where `isTransposed`, `a b^T`, in double precision. */
function product(a: HostTensor, b: HostTensor, isTransposed: boolean): HostTensor {
  const data = Float32Array.from({ length: rows * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    let sum = 0;
    for (let k = 0; k < size; k++) {
      sum += a.data[row * size + k]! * b.data[isTransposed ? column * size + k : k * size + column]!;
    }
    return sum;
  });
  return { dtype: 'float32', shape: [rows, size], data };
}

function difference(found: HostTensor, expected: HostTensor): number {
  let [largest, worst] = [0, 0];
  expected.data.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    worst = Math.max(worst, Math.abs(value - found.data[i]!));
  });
  return Number.isNaN(worst) ? Number.POSITIVE_INFINITY : worst / largest;
}

/**
 * Multiplies by a square weight and by its transpose in one function and compares with plain JavaScript. Versions of
 * OpenVINO confuse the two, and a training on such results would go on without a word.
 *
 * @throws EngineError `ENGINE_WRONG`
 */
export async function checkSquareProducts(
  compile: (fn: TensorFunction, options: CompileOptions) => Promise<CompiledFunction>,
  precision: keyof typeof tolerances,
): Promise<void> {
  const [x, square] = [draw('x', [rows, size]), draw('square', [size, size])];
  const compiled = await compile(products, {
    name: 'square products',
    inputs: { x: { dtype: 'float32', shape: ['rows', size] } },
    weights: { square },
  });
  try {
    const { forward, backward } = await compiled.run({ x });
    const expected = product(x, square, true);
    const worst = Math.max(
      difference(forward!, expected),
      difference(backward!, product(expected, square, false)),
    );
    if (worst <= tolerances[precision]) return;
    throw new EngineError(
      'ENGINE_WRONG',
      `OpenVINO multiplies by a square weight and by its transpose with a relative error of ${worst.toPrecision(2)}; up to ${tolerances[precision]} would be rounding in ${precision}. Do not train with it: set engine.type to onnxruntime.`,
    );
  } finally {
    await compiled.dispose();
  }
}
