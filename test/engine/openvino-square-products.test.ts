import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { checkSquareProducts } from '../../src/engine/openvino/self-check.ts';
import { avoidSharedSquarePacking } from '../../src/engine/openvino/square-products.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { CompileOptions, HostTensor, TensorFunction } from '../../src/engine/types.ts';

const weight = (rows: number, columns: number): HostTensor => ({
  dtype: 'float32',
  shape: [rows, columns],
  data: new RandomGenerator(3).uniformFloat32(rows * columns, -1, 1),
});

const options = (rows: number, columns: number): CompileOptions => ({
  name: 'products',
  inputs: { x: { dtype: 'float32', shape: ['rows', columns] } },
  weights: { weight: weight(rows, columns) },
});

/** Forward and back through a linear layer. */
const both: TensorFunction = ({ inputs, weights }) => {
  const w = weights.weight as tf.Tensor2D;
  return { outputs: { back: tf.matMul(tf.matMul(inputs.x as tf.Tensor2D, w, false, true), w) } };
};
const forwardOnly: TensorFunction = ({ inputs, weights }) => ({
  outputs: { y: tf.matMul(inputs.x as tf.Tensor2D, weights.weight as tf.Tensor2D, false, true) },
});

const rewritten = (fn: TensorFunction, rows: number, columns: number) => {
  const graph = avoidSharedSquarePacking(optimize(traceSymbolic(fn, options(rows, columns))));
  return graph.nodes.map(({ op, inputs, attributes }) => ({
    op,
    weightSide: inputs.indexOf(graph.weights.get('weight')!),
    ...(op === 'MatMul' && { transposeB: attributes.transposeB }),
  }));
};

describe('products with square frozen weights for OpenVINO', () => {
  it('have the weight on the left where its transpose is used beside it', () => {
    expect(rewritten(both, 8, 8)).toEqual([
      { op: 'MatMul', weightSide: 0, transposeB: true },
      { op: 'Transpose', weightSide: -1 },
      { op: 'MatMul', weightSide: 1, transposeB: false },
    ]);
  });

  it('stay as they are for other shapes, and where there is one use only', () => {
    const plain = [
      { op: 'MatMul', weightSide: 1, transposeB: true },
      { op: 'MatMul', weightSide: 1, transposeB: false },
    ];
    expect(rewritten(both, 12, 8)).toEqual(plain);
    expect(rewritten(forwardOnly, 8, 8)).toEqual([plain[0]]);
  });

  it('are checked against plain JavaScript before the engine is used', async () => {
    const engine = new OnnxruntimeEngine({ threads: 1 });
    await checkSquareProducts((fn, checked) => engine.compile(fn, checked), 'fp32');
    // As the library computes them without the rewriting: the forward packing for both.
    const confused: TensorFunction = ({ inputs, weights }) => {
      const [x, w] = [inputs.x as tf.Tensor2D, weights.square as tf.Tensor2D];
      const forward = tf.matMul(x, w, false, true);
      return { outputs: { forward, backward: tf.matMul(forward, w, false, true) } };
    };
    await expect(
      checkSquareProducts((_, checked) => engine.compile(confused, checked), 'bf16'),
    ).rejects.toMatchObject({ code: 'ENGINE_WRONG' });
  });
});
