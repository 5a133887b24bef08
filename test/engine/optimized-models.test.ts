import { appendFile, mkdtemp, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { optimizedModelsVariable } from '../../src/engine/onnxruntime/optimized-models.ts';
import type { TensorFunction, WeightSource } from '../../src/engine/types.ts';

const width = 64;
const values = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i));

/** Long enough for its graph to be worth a file. */
const chain =
  (multiply: (x: tf.Tensor, weight: tf.Tensor) => tf.Tensor): TensorFunction =>
  ({ inputs, weights }) => {
    let x: tf.Tensor = inputs.x!;
    for (let i = 0; i < 1000; i++) x = tf.tanh(tf.add(multiply(x, weights.w!), 0.001 * i));
    return { outputs: { x } };
  };

describe('optimized graphs', () => {
  let folder: string;
  let weightFile: string;
  let weight: WeightSource;

  beforeEach(async () => {
    const base = await mkdtemp(path.join(os.tmpdir(), 'affectgpt-graphs-'));
    folder = path.join(base, 'graphs');
    weightFile = path.join(base, 'weights');
    await writeFile(weightFile, new Uint8Array(values(width * width).buffer));
    weight = { storage: 'F32', shape: [width, width], file: weightFile, begin: 0, end: 4 * width * width };
    vi.stubEnv(optimizedModelsVariable, folder);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const run = async (fn: TensorFunction, source = weight): Promise<Float32Array> => {
    const compiled = await new OnnxruntimeEngine({ threads: 1 }).compile(fn, {
      name: 'chain',
      inputs: { x: { dtype: 'float32', shape: ['rows', width] } },
      weights: { w: source },
    });
    const { x } = await compiled.run({ x: { dtype: 'float32', shape: [3, width], data: values(3 * width) } });
    await compiled.dispose();
    return x!.data as Float32Array;
  };
  const kept = async (): Promise<string[]> => (await readdir(folder)).map((name) => path.join(folder, name));
  const plain = chain((x, w) => tf.matMul(x, w));

  it('are kept, and give the same numbers', async () => {
    vi.stubEnv(optimizedModelsVariable, '');
    const expected = await run(plain);
    vi.stubEnv(optimizedModelsVariable, folder);
    expect(await run(plain)).toEqual(expected);
    const [file, ...others] = await kept();
    expect(others).toEqual([]);
    const made = await stat(file!);
    await utimes(file!, new Date(0), new Date(0));
    expect(await run(plain)).toEqual(expected);
    expect(await kept()).toEqual([file]);
    // It was used, and not written again.
    const used = await stat(file!);
    expect(used.ino).toBe(made.ino);
    expect(used.mtimeMs).toBeGreaterThan(0);
  });

  it('are made anew where the file is damaged', async () => {
    const expected = await run(plain);
    const [file] = await kept();
    const whole = await readFile(file!);
    await appendFile(file!, 'x');
    expect(await run(plain)).toEqual(expected);
    expect(await readFile(file!)).toEqual(whole);
  });

  it('are of one file of weights as it was', async () => {
    await run(plain);
    await utimes(weightFile, new Date(1e12), new Date(1e12));
    await run(plain);
    expect(await kept()).toHaveLength(2);
  });

  it('are not kept where they would hold weights', async () => {
    const half = path.join(path.dirname(weightFile), 'half');
    const columns = 2048;
    await writeFile(half, new Uint8Array(2 * columns * width));
    const narrow: WeightSource = {
      ...{ storage: 'F16', shape: [width, columns], file: half },
      ...{ begin: 0, end: 2 * columns * width },
    };
    const folded = chain((x, w) => tf.slice(tf.matMul(x, w), [0, 0], [-1, width]));
    for (let time = 0; time < 2; time++) {
      expect(await run(folded, narrow)).toHaveLength(3 * width);
      const files = await kept();
      expect(files).toHaveLength(1);
      expect((await stat(files[0]!)).size).toBeLessThan(100);
    }
  });

  it('are done without where nothing can be written', async () => {
    await writeFile(folder, 'a file in place of the folder');
    expect(await run(plain)).toHaveLength(3 * width);
  });
});
