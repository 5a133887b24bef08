import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { dropout, dropoutMask, hashText } from '../../src/engine/dropout.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { OpenvinoEngine } from '../../src/engine/openvino/engine.ts';
import { findOpenvino } from '../../src/engine/openvino/library.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { selfTest } from '../../src/engine/self-test.ts';
import type { CompileOptions, Engine, HostTensor, TensorFunction } from '../../src/engine/types.ts';
import { hasOpenvino } from '../support/openvino.ts';

const draw = (name: string, shape: readonly number[]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: new RandomGenerator(11).split(name).uniformFloat32(
    shape.reduce((a, b) => a * b, 1),
    -1,
    1,
  ),
});

const worst = (found: HostTensor, expected: HostTensor): number => {
  const values = expected.data as Float32Array;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - found.data[i]!)), 0) / largest;
};

/** Forward and back through a layer, as a training step uses a frozen weight. */
const both: TensorFunction = ({ inputs, weights }) => {
  const w = weights.weight as tf.Tensor2D;
  const forward = tf.matMul(inputs.x as tf.Tensor2D, w, false, true);
  return { outputs: { forward, back: tf.matMul(forward, w) } };
};

/** `w` walks towards a target, and counts. */
const walk: TensorFunction = ({ inputs, state }) => {
  const next = tf.add(state.w!, tf.mul(tf.sub(tf.sum(inputs.x!, 0), state.w!), 0.1));
  return { outputs: { loss: tf.sum(tf.square(next)) }, state: { w: next } };
};
const walkOptions: CompileOptions = {
  name: 'walk',
  inputs: { x: { dtype: 'float32', shape: ['rows', 6] } },
  state: { w: { dtype: 'float32', shape: [6] } },
};

async function results(engine: Engine, size: number) {
  const compiled = await engine.compile(both, {
    name: 'both',
    inputs: { x: { dtype: 'float32', shape: ['rows', size] } },
    weights: { weight: draw('weight', [size, size]) },
  });
  const outputs = await compiled.run({ x: draw('x', [5, size]) });
  await compiled.dispose();
  return outputs;
}

describe.skipIf(!hasOpenvino)('the engine openvino', () => {
  it.each([64, 256])('uses a square weight of %i as it is and transposed', async (size) => {
    const expected = await results(new OnnxruntimeEngine({ threads: 1 }), size);
    const found = await results(new OpenvinoEngine({ precision: 'fp32' }), size);
    for (const name of ['forward', 'back']) expect(worst(found[name]!, expected[name]!)).toBeLessThan(1e-5);
  });

  it('computes loss and gradients of a small network', async () => {
    expect((await selfTest(new OpenvinoEngine({ precision: 'fp32' }))).difference).toBeLessThan(1e-5);
  });

  it('keeps the state between runs of any size, and only what is accepted', async () => {
    const run = async (engine: Engine) => {
      const compiled = await engine.compile(walk, walkOptions);
      const state = engine.createState({ w: draw('w', [6]) });
      const losses: number[] = [];
      for (const rows of [3, 1, 4, 3]) {
        const outputs = await compiled.run({ x: draw(`x${rows}`, [rows, 6]) }, state, () => rows !== 4);
        losses.push(outputs.loss!.data[0]!);
      }
      const { w } = await state.read();
      await compiled.dispose();
      return { losses, w: w! };
    };
    const expected = await run(new OnnxruntimeEngine({ threads: 1 }));
    const found = await run(new OpenvinoEngine({ precision: 'fp32' }));
    found.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(expected.losses[i]!, 5);
    });
    expect(worst(found.w, expected.w)).toBeLessThan(1e-6);
  });

  it('takes empty tensors, scalars, integers and truth values', async () => {
    const fn: TensorFunction = ({ inputs }) => ({
      outputs: {
        joined: tf.concat([inputs.past!, inputs.x!], 0),
        seen: tf.logicalNot(inputs.hidden!),
        count: tf.sum(inputs.ids!),
        isLarge: tf.greater(inputs.x!, inputs.limit!),
      },
    });
    const compiled = await new OpenvinoEngine({ precision: 'fp32' }).compile(fn, {
      name: 'kinds',
      inputs: {
        past: { dtype: 'float32', shape: ['past', 2] },
        x: { dtype: 'float32', shape: ['rows', 2] },
        ids: { dtype: 'int32', shape: ['rows'] },
        limit: { dtype: 'float32', shape: [] },
        hidden: { dtype: 'bool', shape: ['total'] },
      },
      derived: { total: ({ past, rows }) => past! + rows! },
    });
    const outputs = await compiled.run({
      past: { dtype: 'float32', shape: [0, 2], data: new Float32Array(0) },
      x: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      ids: { dtype: 'int32', shape: [2], data: Int32Array.of(5, 7) },
      limit: { dtype: 'float32', shape: [], data: Float32Array.of(2.5) },
      hidden: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
    });
    expect(outputs.joined).toEqual({ dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) });
    expect(outputs.count).toEqual({ dtype: 'int32', shape: [], data: Int32Array.of(12) });
    expect(outputs.seen).toEqual({ dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) });
    expect(outputs.isLarge).toEqual({ dtype: 'bool', shape: [2, 2], data: Uint8Array.of(0, 0, 1, 1) });
  });

  it.each(['fp32', 'bf16'] as const)(
    'drops the elements that every engine drops, in %s',
    async (precision) => {
      const engine = new OpenvinoEngine({ precision });
      const rowKeys = Int32Array.from({ length: 40 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
      const fn: TensorFunction = ({ inputs }) => ({
        outputs: { y: dropout(inputs.x!, { rate: 0.3, rowKeys: inputs.keys!, module: 'layer' }) },
      });
      const compiled = await engine.compile(fn, {
        name: 'dropout',
        inputs: {
          x: { dtype: 'float32', shape: ['rows', 50] },
          keys: { dtype: 'int32', shape: ['rows'] },
        },
      });
      const { y } = await compiled.run({
        x: { dtype: 'float32', shape: [40, 50], data: new Float32Array(2000).fill(0.7) },
        keys: { dtype: 'int32', shape: [40], data: rowKeys },
      });
      const expected = dropoutMask(rowKeys, 50, 0.3, hashText('layer'));
      expect([...y!.data].map((value) => value > 0.9)).toEqual([...expected].map((value) => value > 0));
      expect(new Set([...y!.data].map((value) => value.toFixed(1)))).toEqual(new Set(['0.0', '1.0']));
    },
  );

  it('refuses the state of another engine', async () => {
    const compiled = await new OpenvinoEngine({ precision: 'fp32' }).compile(walk, walkOptions);
    const other = new OnnxruntimeEngine({ threads: 1 }).createState({ w: draw('w', [6]) });
    await expect(compiled.run({ x: draw('x', [2, 6]) }, other)).rejects.toMatchObject({
      code: 'ENGINE_STATE',
    });
  });
});

describe('the library of OpenVINO', () => {
  it('is asked for by the command that gets it, and one that is named has to exist', () => {
    expect(() => findOpenvino({ AFFECTGPT_ENGINES: '/nonexistent' })).toThrow(
      expect.objectContaining({
        code: 'ENGINE_PLUGIN_MISSING',
        message: expect.stringContaining('affectgpt engine install openvino'),
      }),
    );
    expect(() => findOpenvino({ AFFECTGPT_OPENVINO: '/nonexistent/lib.so' })).toThrow(
      expect.objectContaining({ code: 'ENGINE_PLUGIN_MISSING' }),
    );
  });
});
