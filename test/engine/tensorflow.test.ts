import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EagerEngine } from '../../src/engine/eager/engine.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { selfTest } from '../../src/engine/self-test.ts';
import { findTensorflow, loadTensorflow } from '../../src/engine/tensorflow/load.ts';
import type {
  CompileOptions,
  Engine,
  HostTensor,
  TensorFunction,
  WeightSource,
} from '../../src/engine/types.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { hasTensorflow } from '../support/tensorflow.ts';

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

const float = (shape: number[], value: (i: number) => number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});

describe.skipIf(!hasTensorflow)('the installed tensorflow', () => {
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
    const x = float([4, 8], Math.sin);
    const w = float([8, 8], Math.cos);
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

  it('refuses a build for GPUs that sees none, and takes device memory as it needs it', () => {
    const { usesGpu } = loadTensorflow();
    expect(process.env.TF_FORCE_GPU_ALLOW_GROWTH).toBe('true');
    if (usesGpu) return;
    const claimed = { ...findTensorflow()!, name: 'tensorflow-gpu', forGpu: true };
    expect(() => loadTensorflow(claimed)).toThrow(
      expect.objectContaining({
        code: 'ENGINE_NO_GPU',
        exitCode: 4,
        message: expect.stringContaining('affectgpt engine remove tensorflow-gpu'),
      }),
    );
  });
});

/** A product with a weight in both of its roles, rows of a table, and a factor: all ways in which weights are used. */
const layer: TensorFunction = ({ inputs, weights }) => {
  const { matrix, table, scale } = weights as Record<string, tf.Tensor2D>;
  const loss = (x: tf.Tensor): tf.Tensor => {
    const hidden = tf.matMul(tf.mul(tf.add(x, tf.gather(table!, inputs.ids!)), scale!), matrix!, false, true);
    return tf.sum(tf.square(tf.matMul(hidden, matrix!)));
  };
  const { value, grad } = tf.valueAndGrad(loss)(inputs.x!);
  return { outputs: { value, grad, copy: table! } };
};

describe.skipIf(!hasTensorflow).each(['BF16', 'F16', 'F32'] as const)(
  'weights of a file in %s',
  (storage) => {
    const type = { BF16: 14, F16: 19, F32: 1 }[storage];

    it('stay as they are stored, and compute to the bit what float32 tensors do', async () => {
      const file = path.join(await temporaryFolder(), 'weights.bin');
      // Bits of small numbers, all different, behind one byte of something else.
      const [width, upper] = { BF16: [2, 0x3f00], F16: [2, 0x3000], F32: [4, 0x3f000000] }[storage] as [
        number,
        number,
      ];
      const content = Buffer.alloc(1 + 96 * width);
      for (let i = 0; i < 96; i++) content.writeUIntLE(upper + ((i * 37) % 211), 1 + i * width, width);
      await writeFile(file, content);
      const weight = (shape: number[], first: number, last: number): WeightSource => ({
        ...{ storage, shape, file, begin: 1 + first * width, end: 1 + last * width },
      });
      const options: CompileOptions = {
        name: 'layer',
        inputs: { x: { dtype: 'float32', shape: ['rows', 8] }, ids: { dtype: 'int32', shape: ['rows'] } },
        weights: {
          matrix: weight([6, 8], 0, 48),
          table: weight([5, 8], 48, 88),
          scale: weight([8], 88, 96),
        },
      };
      const inputs = {
        x: float([3, 8], (i) => i / 7),
        ids: { dtype: 'int32' as const, shape: [3], data: Int32Array.of(4, 0, 4) },
      };
      const { backend } = loadTensorflow();
      const handles = () => backend.binding.getNumOfTensors();
      const engine = await createEngine({ type: 'tensorflow' });
      const plain = new EagerEngine('tensorflow', 'tensorflow');
      const expected = await plain.compile(layer, options).then((compiled) => compiled.run(inputs));

      const before = { tensors: tf.memory().numTensors, handles: handles() };
      const types = new Set<number>();
      const compiled = await engine.compile(({ weights, ...others }) => {
        for (const { dataId } of Object.values(weights)) types.add(backend.tensorMap.get(dataId).dtype);
        return layer({ weights, ...others });
      }, options);
      const held = handles();
      expect(held - before.handles).toBe(3);
      for (const _ of [1, 2]) {
        expect(await compiled.run(inputs)).toEqual(expected);
        expect(handles()).toBe(held);
      }
      expect([...types]).toEqual([type]);
      // Another function that uses them needs no memory for them, and they stay until the last one is gone.
      const other = await engine.compile(layer, options);
      expect(handles()).toBe(held);
      await compiled.dispose();
      await compiled.dispose();
      expect(await other.run(inputs)).toEqual(expected);
      await other.dispose();
      expect({ tensors: tf.memory().numTensors, handles: handles() }).toEqual(before);
    });
  },
);
