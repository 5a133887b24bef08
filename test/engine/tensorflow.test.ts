import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { selfTest } from '../../src/engine/self-test.ts';
import { findTensorflow } from '../../src/engine/tensorflow/load.ts';
import type { Engine, HostTensor, TensorFunction } from '../../src/engine/types.ts';

const found = findTensorflow();
if (found === undefined) {
  console.log('tensorflow: skipped, not installed (affectgpt engine install tensorflow)');
}

describe('tensorflow', () => {
  it('that is not there is an error with the command that gets it', async () => {
    vi.stubEnv('AFFECTGPT_ENGINES', '/nowhere');
    if (findTensorflow() === undefined) {
      await expect(createEngine({ type: 'tensorflow' })).rejects.toMatchObject({
        code: 'ENGINE_PACKAGE_MISSING',
        exitCode: 4,
        message: expect.stringContaining('affectgpt engine install tensorflow'),
      });
    }
    vi.unstubAllEnvs();
  });
});

describe.skipIf(found === undefined)('the installed tensorflow', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ type: 'tensorflow' });
  });
  afterAll(() => tf.engine().reset());

  it('uses the same tfjs, and gives the gradients of plain JavaScript', async () => {
    expect(tf.findBackend('tensorflow')).toBeDefined();
    expect((await selfTest(engine)).difference).toBeLessThan(1e-5);
  });

  it('holds no more tensors after 300 steps than after one', async () => {
    const step: TensorFunction = ({ inputs, state }) => {
      const loss = (w: tf.Tensor) => tf.sum(tf.square(tf.matMul(inputs.x as tf.Tensor2D, w as tf.Tensor2D)));
      const { value, grad } = tf.valueAndGrad(loss)(state.w!);
      return { outputs: { loss: value }, state: { w: tf.sub(state.w!, tf.mul(grad, 1e-3)) } };
    };
    const x: HostTensor = {
      dtype: 'float32',
      shape: [4, 8],
      data: Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
    };
    const w: HostTensor = {
      dtype: 'float32',
      shape: [8, 8],
      data: Float32Array.from({ length: 64 }, (_, i) => Math.cos(i)),
    };
    const compiled = await engine.compile(step, {
      name: 'steps',
      inputs: { x: { dtype: 'float32', shape: ['rows', 8] } },
      state: { w: { dtype: 'float32', shape: [8, 8] } },
    });
    const state = engine.createState({ w });
    const losses: number[] = [];
    const held: number[] = [];
    for (let i = 0; i < 300; i++) {
      losses.push((await compiled.run({ x }, state)).loss!.data[0]!);
      held.push(tf.memory().numTensors);
    }
    expect(held.at(-1)).toBe(held[0]);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    state.dispose();
  });
});
