import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { CompileOptions, HostTensor, Precision } from '../../src/engine/types.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { float32ToBfloat16 } from '../../src/io/float16.ts';
import { hasXla } from '../support/xla.ts';

const float = (shape: number[], value: (i: number) => number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});
const open = (precision: Precision): XlaEngine => new XlaEngine({ threads: 2, precision });

/** The bfloat16 nearest to a number. */
function rounded(value: number): number {
  const bits = new Uint16Array(1);
  float32ToBfloat16(Float32Array.of(value), bits);
  return new Float32Array(Uint32Array.of(bits[0]! << 16).buffer)[0]!;
}

describe('the precision of xla', () => {
  it.skipIf(!hasXla)('is fp32 on processors unless asked for, and said', async () => {
    const said: string[] = [];
    const notify = (message: string) => void said.push(message);
    const automatic = await createEngine({ type: 'xla', threads: 1 }, notify);
    expect(automatic.precision).toBe('fp32');
    expect(said).toEqual([expect.stringMatching(/^Precision: fp32 \(engine\.precision is auto: /)]);
    const asked = await createEngine({ type: 'xla', threads: 1, precision: 'bf16' }, notify);
    expect(asked.precision).toBe('bf16');
    expect(said).toHaveLength(1);
  });
});

describe.skipIf(!hasXla)('products in bf16', () => {
  const twice: CompileOptions = {
    name: 'twice',
    inputs: { x: { dtype: 'float32', shape: ['n', 1000] } },
    weights: { w: float([3, 1000], (i) => (i < 1000 ? 1 : 1 / 3)) },
  };

  it('round operands and results, and add up in float32', async () => {
    const engine = open('bf16');
    const compiled = await engine.compile(({ inputs, weights }) => {
      const w = weights.w as tf.Tensor2D;
      const y = tf.matMul(inputs.x as tf.Tensor2D, w, false, true);
      return { outputs: { y, z: tf.matMul(tf.matMul(tf.relu(y), w) as tf.Tensor2D, w, false, true) } };
    }, twice);
    // In bfloat16, 256 + 1 is 256.
    const { y, z } = await compiled.run({ x: float([1, 1000], (i) => (i === 0 ? 256 : 1.001)) });
    const third = rounded(1 / 3);
    const sums = [256 + 999, third * (256 + 999), third * (256 + 999)].map(Math.fround);
    for (const [i, sum] of sums.entries()) expect(y!.data[i]).toBeCloseTo(sum, 3);
    const row = [1, third, third].reduce((total, factor, i) => total + rounded(sums[i]!) * factor, 0);
    for (const [i, factor] of [1, third, third].entries()) {
      expect(z!.data[i]! / (1000 * factor * rounded(row))).toBeCloseTo(1, 5);
    }
    await compiled.dispose();
  });

  it('of convolutions and of their gradients add up in float32, too', async () => {
    const engine = open('bf16');
    const compiled = await engine.compile(
      ({ inputs }) => {
        const { x, filter } = inputs as { x: tf.Tensor3D; filter: tf.Tensor4D };
        // One number for each of 1,000 channels; then through a product, so that the results are bfloat16.
        const last = (y: tf.Tensor): tf.Tensor => tf.matMul(tf.reshape(y, [1, -1]), tf.ones([y.size, 1]));
        const convolve = (image: tf.Tensor) => tf.conv2d(image as tf.Tensor3D, filter, 1, 'valid');
        const gradient = tf.grad((image) => tf.sum(tf.square(convolve(image))))(x);
        return { outputs: { y: last(tf.relu(convolve(x))), gradient } };
      },
      {
        name: 'convolved',
        inputs: {
          x: { dtype: 'float32', shape: [1, 1, 1000] },
          filter: { dtype: 'float32', shape: [1, 1, 1000, 1] },
        },
      },
    );
    const x = float([1, 1, 1000], (i) => (i === 0 ? 256 : 1));
    const { y, gradient } = await compiled.run({ x, filter: float([1, 1, 1000, 1], () => 1) });
    expect(y!.data[0]).toBe(rounded(256 + 999));
    expect(gradient!.data[7]).toBe(rounded(2 * rounded(256 + 999)));
    await compiled.dispose();
  });

  it('leave rounded what the graph rounds, also where it is needed in float32', async () => {
    const compiled = await open('bf16').compile(
      ({ inputs, weights }) => {
        const one = weights.one as tf.Tensor2D;
        const activation = tf.tanh(tf.matMul(inputs.x as tf.Tensor2D, one)) as tf.Tensor2D;
        const scaled = tf.mul(activation, inputs.scale!) as tf.Tensor2D;
        return { outputs: { y: tf.matMul(scaled, one), z: tf.matMul(activation, one) } };
      },
      {
        name: 'rounded',
        inputs: { x: { dtype: 'float32', shape: [1, 1] }, scale: { dtype: 'float32', shape: [1, 1] } },
        weights: { one: float([1, 1], () => 1) },
      },
    );
    const activation = Math.tanh(0.5);
    const kept = (scale: number) => rounded(Math.fround(rounded(activation) * scale));
    const excess = (scale: number) => rounded(Math.fround(activation * scale));
    const scales = Array.from({ length: 200 }, (_, i) => Math.fround(1 + i / 100));
    const scale = scales.find((each) => kept(each) !== excess(each))!;
    const { y, z } = await compiled.run({ x: float([1, 1], () => 0.5), scale: float([1, 1], () => scale) });
    expect([y!.data[0], z!.data[0]]).toEqual([kept(scale), rounded(activation)]);
    await compiled.dispose();
  });

  it('take weights that are held in bfloat16, however they are stored, and once', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'xla-bfloat16-'));
    const file = path.join(folder, 'weights.bin');
    const values = Float32Array.of(1.001, -2, 0.3, 4e4);
    // The same in half precision: the nearest to 1.001 and 0.3, then -2 and 40,000.
    const half = Uint16Array.of(0x3c01, 0xc000, 0x34cd, 0x78e2);
    await writeFile(file, Buffer.concat([Buffer.from(values.buffer), Buffer.from(half.buffer)]));
    const engine = open('bf16');
    const before = engine.client.live;
    const weights: CompileOptions['weights'] = {
      single: { storage: 'F32', shape: [2, 2], file, begin: 0, end: 16 },
      half: { storage: 'F16', shape: [2, 2], file, begin: 16, end: 24 },
      scale: { storage: 'F32', shape: [2], file, begin: 0, end: 8 },
    };
    const compiled = await engine.compile(
      ({ inputs, weights: w }) => {
        const [x, single, other] = [inputs.x, w.single, w.half] as tf.Tensor2D[];
        return {
          outputs: { y: tf.mul(tf.matMul(x!, single!), w.scale!), z: tf.matMul(x!, other!) },
        };
      },
      { name: 'held', inputs: { x: { dtype: 'float32', shape: ['n', 2] } }, weights },
    );
    expect(engine.client.live).toBe(before + 3);
    const { y, z } = await compiled.run({ x: float([2, 2], (i) => (i % 3 === 0 ? 1 : 0)) });
    const nearest = [...values].map(rounded);
    const scaled = nearest.map((value, i) => Math.fround(value * values[i % 2]!));
    expect([...y!.data]).toEqual(scaled);
    expect([...z!.data]).toEqual(nearest);
    await compiled.dispose();
    expect(engine.client.live).toBe(before);
    await rm(folder, { recursive: true });
  });
});
