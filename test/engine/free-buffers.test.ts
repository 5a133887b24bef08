import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { freeBuffers } from '../../src/engine/free-buffers.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import type { HostTensor, TensorFunction } from '../../src/engine/types.ts';

it('gives buffers back at once', () => {
  const before = process.memoryUsage().arrayBuffers;
  const arrays = Array.from({ length: 8 }, () => new Float32Array(1 << 20));
  expect(process.memoryUsage().arrayBuffers).toBeGreaterThanOrEqual(before + (32 << 20));
  freeBuffers(arrays.map(({ buffer }) => buffer));
  expect(arrays.map(({ byteLength }) => byteLength)).toEqual(Array(8).fill(0));
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(before + (4 << 20));
});

describe('the state of a session that saves memory', () => {
  const size = 1 << 20;
  const vector = (value: number): HostTensor => ({
    dtype: 'float32',
    shape: [size],
    data: new Float32Array(size).fill(value),
  });
  /** One weight used twice, so that there is something to save. */
  const fn: TensorFunction = ({ inputs, state, weights }) => {
    const next = tf.add(tf.mul(state.sum!, weights.scale!), tf.mul(inputs.x!, weights.scale!));
    return { outputs: { mean: tf.mean(next) }, state: { sum: next } };
  };
  const open = async (leanBytes: number) => {
    const engine = new OnnxruntimeEngine({ threads: 1, leanBytes });
    const compiled = await engine.compile(fn, {
      name: 'sum',
      inputs: { x: { dtype: 'float32', shape: [size] } },
      state: { sum: { dtype: 'float32', shape: [size] } },
      weights: { scale: vector(2) },
    });
    return { compiled, state: engine.createState({ sum: vector(1) }) };
  };

  it('is that of any other, after updates and after refused ones', async () => {
    const results: number[][] = [];
    for (const leanBytes of [0, Number.POSITIVE_INFINITY]) {
      const { compiled, state } = await open(leanBytes);
      const means: number[] = [];
      for (const isAccepted of [true, false, true, false, true]) {
        const { mean } = await compiled.run({ x: vector(1) }, state, () => isAccepted);
        await expect(state.read()).resolves.toHaveProperty('sum');
        const { sum } = await state.read();
        expect(sum!.data).toHaveLength(size);
        means.push(mean!.data[0]!, sum!.data[0]!, sum!.data.at(-1)!);
      }
      results.push(means);
      await compiled.dispose();
    }
    expect(results[0]).toEqual([4, 4, 4, 10, 4, 4, 10, 10, 10, 22, 10, 10, 22, 22, 22]);
    expect(results[0]).toEqual(results[1]);
  });

  it('is held once between runs', async () => {
    const { compiled, state } = await open(0);
    const input = { x: vector(1) };
    await compiled.run(input, state);
    const before = process.memoryUsage().arrayBuffers;
    for (let run = 0; run < 4; run++) await compiled.run(input, state);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * size);
    await compiled.dispose();
  });
});
