import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { CompileOptions, Engine, HostTensor, State, TensorFunction } from '../../src/engine/types.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { languageModelStep, runSteps, texts } from '../support/language-model-step.ts';
import { hasXla } from '../support/xla.ts';

const float = (shape: number[], value: (i: number) => number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});

const accumulate: TensorFunction = ({ inputs, state }) => {
  const total = tf.add(state.total!, tf.sum(inputs.x!, 0));
  return { outputs: { total }, state: { total } };
};
const accumulateOptions: CompileOptions = {
  name: 'accumulate',
  inputs: { x: { dtype: 'float32', shape: ['n', 2] } },
  state: { total: { dtype: 'float32', shape: [2] } },
};

describe.skipIf(!hasXla)('state on the device', () => {
  it('stays as it was where a run is not accepted, also after runs that wrote in place', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const compiled = await engine.compile(accumulate, accumulateOptions);
    const state = engine.createState({ total: float([2], () => 1) });
    const x = float([3, 2], (i) => i);
    const total = async () => [...(await state.read()).total!.data];
    expect([...(await compiled.run({ x }, state, () => false)).total!.data]).toEqual([7, 10]);
    expect(await total()).toEqual([1, 1]);
    await compiled.run({ x }, state);
    expect(await total()).toEqual([7, 10]);
    await compiled.run({ x }, state, () => false);
    expect(await total()).toEqual([7, 10]);
    await compiled.run({ x }, state, ({ total: seen }) => seen!.data[0] === 13);
    expect(await total()).toEqual([13, 19]);
    await compiled.run({ x }, state).then(() => compiled.run({ x: float([1, 2], () => 1) }, state));
    expect(await total()).toEqual([20, 29]);
  });

  it('holds as many buffers after 100 runs as before, and none in the end', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const before = engine.client.live;
    const compiled = await engine.compile(accumulate, accumulateOptions);
    const state = engine.createState({ total: float([2], () => 0) });
    const run = (accept?: () => boolean) => compiled.run({ x: float([1, 2], () => 1) }, state, accept);
    await run();
    expect(engine.client.live).toBe(before + 1);
    for (let i = 0; i < 33; i++) {
      await run();
      await run(() => true);
      await run(() => false);
      expect(engine.client.live).toBe(before + 1);
    }
    await expect(
      run(() => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect([...(await state.read()).total!.data]).toEqual([67, 67]);
    state.dispose();
    await expect(state.read()).rejects.toThrow();
    await compiled.dispose();
    expect(engine.client.live).toBe(before);
  });

  it('serves more sizes at once than it stays compiled for, and uses them again', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const compiled = await engine.compile(({ inputs }) => ({ outputs: { y: tf.neg(inputs.x!) } }), {
      name: 'sizes',
      inputs: { x: { dtype: 'float32', shape: ['n'] } },
    });
    const sizes = Array.from({ length: 36 }, (_, i) => i + 1);
    for (const _ of [1, 2]) {
      const results = await Promise.all(sizes.map((size) => compiled.run({ x: float([size], () => 3) })));
      expect(results.map(({ y }) => y!.shape[0])).toEqual(sizes);
      expect(results.every(({ y }) => y!.data.every((value) => value === -3))).toBe(true);
    }
    await compiled.dispose();
  });

  it('of another engine, or of another shape, is refused', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const compiled = await engine.compile(accumulate, accumulateOptions);
    const x = float([1, 2], () => 0);
    const foreign = (await createEngine({ type: 'cpu' })).createState({ total: float([2], () => 0) });
    await expect(compiled.run({ x }, foreign)).rejects.toThrow(
      /needs the state that engine.createState of xla/,
    );
    const wide = engine.createState({ total: float([3], () => 0) });
    await expect(compiled.run({ x }, wide)).rejects.toThrow(/"total" with shape \[2\]; it has \[3\]/);
    await expect(compiled.run({ x }, engine.createState({}))).rejects.toThrow(/no entry "total"/);
  });
});

describe.skipIf(!hasXla)('weights', () => {
  it('lie on the device once, as they are stored, until the last function lets go', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const folder = await mkdtemp(path.join(tmpdir(), 'xla-weights-'));
    const file = path.join(folder, 'weights.bin');
    // 1, -2 and 0.5 as the upper halves of float32, behind one byte of something else.
    await writeFile(file, Buffer.from([7, 0x80, 0x3f, 0x00, 0xc0, 0x00, 0x3f]));
    const weights: CompileOptions['weights'] = {
      w: { storage: 'BF16', shape: [3], file, begin: 1, end: 7 },
      unused: { storage: 'BF16', shape: [1], file, begin: 1, end: 3 },
    };
    const options = { name: 'scale', inputs: { x: { dtype: 'float32' as const, shape: ['n', 3] } }, weights };
    const before = engine.client.live;
    const scale = await engine.compile(
      ({ inputs, weights: w }) => ({ outputs: { y: tf.mul(inputs.x!, w.w!) } }),
      options,
    );
    const shift = await engine.compile(
      ({ inputs, weights: w }) => ({ outputs: { y: tf.add(inputs.x!, w.w!) } }),
      options,
    );
    expect(engine.client.live).toBe(before + 1);
    const x = float([1, 3], () => 2);
    expect([...(await scale.run({ x })).y!.data]).toEqual([2, -4, 1]);
    await scale.dispose();
    expect([...(await shift.run({ x })).y!.data]).toEqual([3, 0, 2.5]);
    expect(engine.client.live).toBe(before + 1);
    await shift.dispose();
    expect(engine.client.live).toBe(before);
    const beyond = { w: { storage: 'F32', shape: [9], file, begin: 0, end: 36 } } as const;
    await expect(
      engine.compile(({ weights: w }) => ({ outputs: { y: tf.neg(w.w!) } }), {
        name: 'beyond',
        inputs: {},
        weights: beyond,
      }),
    ).rejects.toThrow(/ends at byte 7, before the weight that should reach to byte 36/);
    await rm(folder, { recursive: true });
  });
});

describe.skipIf(!hasXla)('values', () => {
  it('of every type go in and out, empty ones too; erf holds over its range', async () => {
    const engine = new XlaEngine({ threads: 1 });
    const compiled = await engine.compile(
      ({ inputs }) => ({
        outputs: {
          either: tf.logicalOr(inputs.flag!, tf.greater(inputs.n!, 0)),
          joined: tf.concat([inputs.x!, inputs.x!], 0),
          erf: tf.erf(inputs.x!),
        },
      }),
      {
        name: 'types',
        inputs: {
          flag: { dtype: 'bool', shape: [3] },
          n: { dtype: 'int32', shape: [3] },
          x: { dtype: 'float32', shape: ['n'] },
        },
      },
    );
    const flag: HostTensor = { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 0) };
    const n: HostTensor = { dtype: 'int32', shape: [3], data: Int32Array.of(-1, 5, -9) };
    const empty = await compiled.run({ flag, n, x: float([0], () => 0) });
    expect(empty.either).toEqual({ dtype: 'bool', shape: [3], data: Uint8Array.of(1, 1, 0) });
    expect(empty.joined).toEqual({ dtype: 'float32', shape: [0], data: new Float32Array() });

    const { erf } = await compiled.run({ flag, n, x: float([1201], (i) => (i - 600) / 100) });
    let [x, sum] = [0, 0];
    for (let i = 600; i <= 1200; i++) {
      // The integral from 0, by Simpson's rule in double precision.
      const density = (at: number) => (2 / Math.sqrt(Math.PI)) * Math.exp(-at * at);
      const next = Math.fround((i - 600) / 100);
      sum += ((next - x) / 6) * (density(x) + 4 * density((x + next) / 2) + density(next));
      x = next;
      expect(Math.abs(erf!.data[i]! - sum)).toBeLessThan(5e-7);
      expect(erf!.data[1200 - i]! + erf!.data[i]!).toBe(0);
    }
  });
});

describe.skipIf(!hasXla)('compiled executables', () => {
  it('are taken from disk in the next run, damaged ones are made anew', async () => {
    const executables = await mkdtemp(path.join(tmpdir(), 'xla-executables-'));
    const options: CompileOptions = { name: 'f', inputs: { x: { dtype: 'float32', shape: ['n'] } } };
    /** What a new engine computes for 3, and the file that is new since. */
    const run = async (fn: (x: tf.Tensor) => tf.Tensor) => {
      const before = await readdir(executables);
      const engine = new XlaEngine({ threads: 1, executables });
      const compiled = await engine.compile(({ inputs }) => ({ outputs: { y: fn(inputs.x!) } }), options);
      const { y } = await compiled.run({ x: float([1], () => 3) });
      await compiled.dispose();
      const [file] = (await readdir(executables)).filter((name) => !before.includes(name));
      return { y: y!.data[0], file: path.join(executables, file ?? 'none') };
    };
    const squared = await run((x) => tf.mul(x, x));
    const doubled = await run((x) => tf.add(x, x));
    expect([squared.y, doubled.y]).toEqual([9, 6]);
    const own = await readFile(squared.file);
    // The square's file with the double's contents: what comes out shows where it comes from.
    await copyFile(doubled.file, squared.file);
    expect((await run((x) => tf.mul(x, x))).y).toBe(6);
    for (const damaged of [own.subarray(0, own.length - 1), Buffer.alloc(40), Buffer.alloc(0)]) {
      await writeFile(squared.file, damaged);
      expect((await run((x) => tf.mul(x, x))).y).toBe(9);
      expect((await readFile(squared.file)).length).toBe(own.length);
    }
    expect(await readdir(executables)).toHaveLength(2);
    await rm(executables, { recursive: true });
  });
});

const config = parseDecoderConfig({
  model_type: 'qwen2',
  tie_word_embeddings: true,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 60,
});
const textsOfStep = (step: number) => {
  const random = new RandomGenerator(step);
  return texts(config, 3, 10, () => random.uniform());
};
const train = (step: TrainStep, state: State, from: number, to: number) =>
  runSteps(step, state, textsOfStep, { from, to, learningRate: 1e-2 });
const trainStep = (engine: Engine) => new TrainStep(engine, languageModelStep(config, 'training'));

describe.skipIf(!hasXla)('training', () => {
  it('has the losses of onnxruntime, and goes on bit for bit from what was read', async () => {
    const begin = initDecoderWeights(config, 1);
    const peer = await createEngine({ type: 'onnxruntime', threads: 1 });
    const expected = await train(trainStep(peer), createTrainState(peer, begin), 1, 6);
    expect(expected[5]).toBeLessThan(expected[0]!);

    const engine = await createEngine({ type: 'xla', threads: 2 });
    const step = trainStep(engine);
    const whole = createTrainState(engine, begin);
    const losses = await train(step, whole, 1, 6);
    losses.forEach((loss, i) => {
      expect(Math.abs(loss - expected[i]!), `step ${i + 1}`).toBeLessThan(1e-5);
    });

    const interrupted = createTrainState(engine, begin);
    await train(step, interrupted, 1, 3);
    const resumed = engine.createState(await interrupted.read());
    expect(await train(step, resumed, 4, 6)).toEqual(losses.slice(3));
    const [a, b] = [await whole.read(), await resumed.read()];
    for (const [name, { data }] of Object.entries(a)) {
      expect(Buffer.compare(Buffer.from(data.buffer), Buffer.from(b[name]!.data.buffer)), name).toBe(0);
    }
  });
});
