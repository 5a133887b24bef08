import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import {
  widenedBytesKept,
  widenedWeights,
  widenedWeightsFolder,
} from '../../src/engine/onnxruntime/widened-weights.ts';
import type { WeightSource } from '../../src/engine/types.ts';
import { float32ToBfloat16 } from '../../src/io/float16.ts';

let folder: string;
let cache: string;
let weights: Record<string, WeightSource>;

const values = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => ((i * 37 + seed) % 128) / 64 - 1); // Exact in 16 bits.

/** 1, -2 and 0.5 in half precision. */
const halves = [0x3c00, 0xc000, 0x3800];

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'affectgpt-widened-'));
  cache = path.join(folder, 'cache');
  const file = path.join(folder, 'model.safetensors');
  const brain = new Uint16Array(35);
  float32ToBfloat16(values(35, 1), brain);
  // Bytes before and between, as a header and other tensors are.
  const parts = [new Uint8Array(10), brain, Uint16Array.from(halves), values(4, 3)];
  await writeFile(file, Buffer.concat(parts.map(({ buffer }) => new Uint8Array(buffer))));
  weights = {
    brain: { storage: 'BF16', shape: [5, 7], file, begin: 10, end: 80 },
    half: { storage: 'F16', shape: [3], file, begin: 80, end: 86 },
    single: { storage: 'F32', shape: [4], file, begin: 86, end: 102 },
  };
});
afterEach(() => rm(folder, { recursive: true }));

const read = async (source: WeightSource): Promise<number[]> => {
  if ('dtype' in source) return [...source.data];
  const bytes = await readFile(source.file);
  return [...new Float32Array(bytes.buffer.slice(source.begin, source.end))];
};
const fileOf = (source: WeightSource) => ('file' in source ? source.file : '');

describe('widened weights', () => {
  it('hold the same numbers in float32, aligned; what is float32 stays where it is', async () => {
    const widened = await widenedWeights(weights, cache, 0);
    expect(await read(widened.brain!)).toEqual([...values(35, 1)]);
    expect(await read(widened.half!)).toEqual([1, -2, 0.5]);
    expect(widened.brain).toMatchObject({ storage: 'F32', shape: [5, 7] });
    for (const name of ['brain', 'half']) expect((widened[name] as { begin: number }).begin % 64).toBe(0);
    expect(widened.single).toEqual(weights.single);
    expect(await readdir(cache)).toHaveLength(1);
  });

  it('are made once, and found again', async () => {
    const first = await widenedWeights(weights, cache, 0);
    const old = new Date(Date.now() - 3_600_000);
    await utimes(fileOf(first.brain!), old, old);
    const { ino } = await stat(fileOf(first.brain!));
    expect(await widenedWeights(weights, cache, 0)).toEqual(first);
    const again = await stat(fileOf(first.brain!));
    expect(again.ino).toBe(ino);
    // Used now, so that it is not among those that nobody uses.
    expect(again.atimeMs).toBeGreaterThan(old.getTime() + 1000);
    expect(Math.round(again.mtimeMs)).toBe(old.getTime());
  });

  it.each([
    ['cut', (file: string) => truncate(file, 100)],
    ['of another model', async (file: string) => writeFile(file, new Uint8Array((await stat(file)).size))],
  ])('are made again where the file is %s', async (_, damage) => {
    const { brain } = await widenedWeights(weights, cache, 0);
    await damage(fileOf(brain!));
    const { brain: mended } = await widenedWeights(weights, cache, 0);
    expect(await read(mended!)).toEqual([...values(35, 1)]);
  });

  it('are others when the model file changes', async () => {
    const { brain } = await widenedWeights(weights, cache, 0);
    const later = new Date(Date.now() + 5000);
    await utimes(fileOf(weights.brain!), later, later);
    expect(fileOf((await widenedWeights(weights, cache, 0)).brain!)).not.toBe(fileOf(brain!));
  });

  it('of files that nobody used for a month are removed when others are made', async () => {
    const { brain } = await widenedWeights(weights, cache, 0);
    const long = new Date(Date.now() - 31 * 24 * 3_600_000);
    await utimes(fileOf(brain!), long, long);
    await utimes(fileOf(weights.brain!), new Date(), new Date());
    await widenedWeights(weights, cache, 0);
    expect(await readdir(cache)).toHaveLength(1);
  });

  it('are left as they are without a folder, for little, and where it cannot be written', async () => {
    expect(await widenedWeights(weights, null, 0)).toEqual(weights);
    expect(await widenedWeights(weights, cache, widenedBytesKept)).toEqual(weights);
    await writeFile(cache, 'no folder');
    expect(await widenedWeights(weights, cache, 0)).toEqual(weights);
  });

  it('lie where the environment says', () => {
    expect(widenedWeightsFolder({ AFFECTGPT_WEIGHTS_CACHE: '' })).toBeNull();
    expect(widenedWeightsFolder({ AFFECTGPT_WEIGHTS_CACHE: '/data/widened' })).toBe('/data/widened');
    expect(widenedWeightsFolder({ XDG_CACHE_HOME: '/caches' })).toBe('/caches/affectgpt/widened-weights');
  });

  it('give the same results as weights that the graph casts', async () => {
    const engine = new OnnxruntimeEngine({ threads: 1 });
    const x = { dtype: 'float32' as const, shape: [2, 7], data: values(14, 9) };
    const run = async (sources: Record<string, WeightSource>) => {
      const compiled = await engine.compile(
        ({ inputs, weights: frozen }) => ({
          outputs: { y: tf.matMul(inputs.x!, frozen.brain!, false, true) },
        }),
        { name: 'product', inputs: { x: { dtype: 'float32', shape: ['rows', 7] } }, weights: sources },
      );
      const { y } = await compiled.run({ x });
      await compiled.dispose();
      return [...y!.data];
    };
    expect(await run(await widenedWeights(weights, cache, 0))).toEqual(await run(weights));
  });
});
