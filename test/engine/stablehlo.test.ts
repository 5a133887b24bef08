import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { operators } from '../../src/engine/ir/operators.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { literal } from '../../src/engine/stablehlo/emitter.ts';
import { emitStablehlo } from '../../src/engine/stablehlo/module.ts';
import { emitters } from '../../src/engine/stablehlo/operators.ts';
import type { CompileOptions, TensorFunction } from '../../src/engine/types.ts';

const emit = (fn: TensorFunction, options: CompileOptions, sizes: Record<string, number>) =>
  emitStablehlo(optimize(traceSymbolic(fn, options)), sizes, { weight: 'bf16' });

const linear: TensorFunction = ({ inputs, state, weights }) => {
  const product = tf.matMul(inputs.x!, weights.weight!, false, true);
  return {
    outputs: { y: tf.relu(tf.add(product, state.bias!)) },
    state: { bias: tf.mul(state.bias!, 2) },
  };
};
const linearOptions: CompileOptions = {
  name: 'a linear layer',
  inputs: { x: { dtype: 'float32', shape: ['rows', 4] } },
  state: { bias: { dtype: 'float32', shape: [3] } },
  weights: {
    weight: { storage: 'BF16', shape: [3, 4], file: 'weights.bin', begin: 0, end: 24 },
    unused: { storage: 'F32', shape: [1], file: 'weights.bin', begin: 24, end: 28 },
  },
};

describe('StableHLO', () => {
  it('is written for every operator', () => {
    expect(Object.keys(emitters).sort()).toEqual(Object.keys(operators).sort());
  });

  it('has concrete sizes, state that is written in place, and weights as they are stored', () => {
    const module = emit(linear, linearOptions, { rows: 5 });
    expect(module.text).toBe(`module @a_linear_layer {
  func.func public @main(%arg0: tensor<5x4xf32>, %arg1: tensor<3xf32> {tf.aliasing_output = 1 : i32}, %arg2: tensor<3x4xbf16>) -> (tensor<5x3xf32>, tensor<3xf32>) {
    %0 = stablehlo.convert %arg2 : (tensor<3x4xbf16>) -> tensor<3x4xf32>
    %1 = stablehlo.dot_general %arg0, %0, batching_dims = [] x [], contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<5x4xf32>, tensor<3x4xf32>) -> tensor<5x3xf32>
    %2 = stablehlo.broadcast_in_dim %arg1, dims = [1] : (tensor<3xf32>) -> tensor<5x3xf32>
    %3 = "stablehlo.add"(%1, %2) : (tensor<5x3xf32>, tensor<5x3xf32>) -> tensor<5x3xf32>
    %4 = stablehlo.constant dense<0.00000000e+0> : tensor<5x3xf32>
    %5 = "stablehlo.maximum"(%3, %4) : (tensor<5x3xf32>, tensor<5x3xf32>) -> tensor<5x3xf32>
    %6 = stablehlo.constant dense<2.00000000e+0> : tensor<f32>
    %7 = stablehlo.broadcast_in_dim %6, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %8 = "stablehlo.multiply"(%arg1, %7) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    return %5, %8 : tensor<5x3xf32>, tensor<3xf32>
  }
}
`);
    expect(module.arguments.map(({ kind, name }) => [kind, name])).toEqual([
      ['input', 'x'],
      ['input', 'bias'],
      ['weight', 'weight'],
    ]);
    expect(module.results.map(({ name }) => name)).toEqual(['y', 'state:bias']);
    expect(module.donated).toEqual([1]);
  });

  it('is the same text for the same sizes, another for others', () => {
    const first = emit(linear, linearOptions, { rows: 5 }).text;
    expect(emit(linear, linearOptions, { rows: 5 }).text).toBe(first);
    expect(emit(linear, linearOptions, { rows: 6 }).text).toBe(first.replaceAll('tensor<5x', 'tensor<6x'));
  });

  it('writes every value as what it is', () => {
    expect(literal(0.1, 'f32')).toBe('1.00000001e-1');
    expect(Math.fround(Number(literal(-1e30, 'f32')))).toBe(Math.fround(-1e30));
    expect(literal(Number.NEGATIVE_INFINITY, 'f32')).toBe('0xFF800000');
    expect(literal(Number.NEGATIVE_INFINITY, 'bf16')).toBe('0xFF80');
    expect(literal(-0, 'f32')).toBe('0x80000000');
    expect(literal(-7, 'i32')).toBe('-7');
    expect(literal(2 ** 31, 'i32')).toBe('-2147483648');
    expect(literal(1, 'i1')).toBe('true');
  });

  it('holds constants by their bytes, booleans as integers', () => {
    const { text } = emit(
      ({ inputs }) => ({
        outputs: {
          y: tf.where(tf.tensor1d([true, false], 'bool'), tf.add(inputs.x!, tf.tensor1d([1, -2])), inputs.x!),
        },
      }),
      { name: 'constants', inputs: { x: { dtype: 'float32', shape: [2] } } },
      {},
    );
    expect(text).toContain('dense<"0x0000803F000000C0"> : tensor<2xf32>');
    expect(text).toContain('dense<"0x0100000000000000"> : tensor<2xi32>');
    expect(text).toContain('stablehlo.compare NE');
  });
});
