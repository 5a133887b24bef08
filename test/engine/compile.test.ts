import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEngine, engineNames } from '../../src/engine/engines.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { evaluateSize, monomials, solveSize, traceAssignments } from '../../src/engine/ir/sizes.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { findTensorflow } from '../../src/engine/tensorflow/load.ts';
import type { CompileOptions, HostTensor, TensorFunction } from '../../src/engine/types.ts';
import { compilingEngines } from '../support/compiling-engines.ts';

const allEngines = [...compilingEngines, 'cpu', 'wasm'] as const;

const float = (shape: number[], value: (i: number) => number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});

const xSpec: CompileOptions = {
  name: 'probe',
  inputs: { x: { dtype: 'float32', shape: ['batch', 'tokens', 4] } },
};

const compileOn = async (type: (typeof engineNames)[number], fn: TensorFunction, options = xSpec) =>
  (await createEngine({ type, threads: 1, precision: 'fp32' })).compile(fn, options);

describe('sizes', () => {
  it('solves products of dimensions and verifies them by evaluation', () => {
    const [a, b, c] = traceAssignments(['batch', 'past', 'tokens'], {
      total: ({ past, tokens }) => past! + tokens!,
    });
    const candidates = monomials(Object.keys(a));
    const truths: ((d: Readonly<Record<string, number>>) => number)[] = [
      (d) => d.batch!,
      (d) => 14 * d.batch! * d.tokens!,
      (d) => d.total!,
      (d) => d.tokens! * d.total! * d.batch!,
      (d) => 3 * d.past! ** 2,
      () => 64,
    ];
    for (const truth of truths) {
      const solved = solveSize(truth(a), truth(b), [a, b], candidates);
      expect(solved && evaluateSize(solved, c)).toBe(truth(c));
    }
    expect(solveSize(a.batch! + 1, b.batch! + 1, [a, b], candidates)).toBeUndefined();
  });
});

describe('compile', () => {
  it.each(compilingEngines)('serves every size with one graph, as eager does, on %s', async (type) => {
    const fn: TensorFunction = ({ inputs }) => {
      const [batch, tokens, width] = inputs.x!.shape as [number, number, number];
      const rows = tf.reshape(inputs.x!, [batch * tokens, width]);
      const scores = tf.softmax(tf.matMul(inputs.x!, inputs.x!, false, true));
      const value = tf.sum(tf.square(rows), 0);
      return { outputs: { scores, value, tiled: tf.tile(rows, [2, 1]) } };
    };
    const compiled = await compileOn(type, fn);
    const eager = await compileOn('cpu', fn);
    for (const [batch, tokens] of [
      [1, 9],
      [2, 40],
      [5, 1],
    ] as const) {
      const x = float([batch, tokens, 4], (i) => Math.sin(i));
      const [actual, expected] = [await compiled.run({ x }), await eager.run({ x })];
      for (const name of ['scores', 'value', 'tiled']) {
        expect(actual[name]!.shape).toEqual(expected[name]!.shape);
        expected[name]!.data.forEach((value, i) => {
          expect(actual[name]!.data[i]).toBeCloseTo(value, 4);
        });
      }
    }
  });

  it('names the operation and the function of a constant that depends on a size', async () => {
    function scaleByLength(x: tf.Tensor) {
      return tf.mul(x, 1 / x.shape[1]!);
    }
    await expect(
      compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: scaleByLength(inputs.x!) } })),
    ).rejects.toThrow(
      /"probe" cannot be compiled for all sizes: a constant depends on a size .* in operation Fill, at scaleByLength \(test\/engine\/compile\.test\.ts:\d+\)/,
    );
    const positions: TensorFunction = ({ inputs }) => ({
      outputs: { y: tf.add(inputs.x!, tf.reshape(tf.range(0, inputs.x!.shape[1]!), [1, -1, 1])) },
    });
    await expect(compileOn('onnxruntime', positions)).rejects.toThrow(/probe/);
  });

  it('names the operation and the function of an unsolved size', async () => {
    function dropLast(x: tf.Tensor) {
      return tf.slice(x, [0, 0, 0], [-1, x.shape[1]! - 1, -1]);
    }
    await expect(
      compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: dropLast(inputs.x!) } })),
    ).rejects.toThrow(
      /no constant times powers of the dimensions in operation Slice, at dropLast \(test\/engine\/compile\.test\.ts/,
    );
  });

  it('names an operation that has no trace kernel and where it is called', async () => {
    function cumulative(x: tf.Tensor) {
      return tf.cumsum(x, 1);
    }
    await expect(
      compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: cumulative(inputs.x!) } })),
    ).rejects.toThrow(/"Cumsum" has no trace kernel, at cumulative \(test\/engine\/compile\.test\.ts/);
  });

  it('refuses to read values and to branch on them', async () => {
    const fn: TensorFunction = ({ inputs }) => ({
      outputs: { y: tf.mul(inputs.x!, inputs.x!.dataSync()[0]!) },
    });
    await expect(compileOn('onnxruntime', fn)).rejects.toThrow(/tried to read the value of a tensor/);
  });

  it('refuses code that runs differently at different sizes', async () => {
    const fn: TensorFunction = ({ inputs }) => ({
      outputs: { y: inputs.x!.shape[0]! > 7 ? tf.exp(inputs.x!) : tf.neg(inputs.x!) },
    });
    await expect(compileOn('onnxruntime', fn)).rejects.toThrow(
      /operations differ between sizes \(Negate or Exp\)/,
    );
  });

  it('names all wrong inputs of a call', async () => {
    const compiled = await compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: tf.exp(inputs.x!) } }));
    await expect(compiled.run({})).rejects.toThrow(/"x" \(float32 \[batch, tokens, 4\]\) is missing/);
    await expect(compiled.run({ x: float([2, 3, 5], () => 0) })).rejects.toThrow(
      /size 5 on axis 2, expected 4/,
    );
  });

  it('leaves the tfjs backend as it was, also after an error', async () => {
    await tf.setBackend('cpu');
    await compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: tf.exp(inputs.x!) } }));
    await compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: tf.cumsum(inputs.x!) } })).catch(
      () => {},
    );
    expect(tf.getBackend()).toBe('cpu');
    const before = tf.memory().numTensors;
    await compileOn('onnxruntime', ({ inputs }) => ({ outputs: { y: tf.exp(inputs.x!) } }));
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('graph passes', () => {
  it('remove what gradients leave behind', () => {
    const fn: TensorFunction = ({ inputs }) => {
      const gradient = tf.grad((x: tf.Tensor) => tf.sum(tf.transpose(tf.transpose(x, [1, 0, 2]), [1, 0, 2])))(
        inputs.x!,
      );
      return { outputs: { gradient } };
    };
    const raw = traceSymbolic(fn, xSpec);
    const slim = optimize(raw);
    expect(raw.nodes.length).toBeGreaterThan(6);
    expect(slim.nodes.map((node) => node.op)).toEqual(['Fill']);
  });

  it('share equal expressions and let products absorb transposes', () => {
    const fn: TensorFunction = ({ inputs }) => {
      const swapped = () => tf.transpose(inputs.x!, [0, 2, 1]);
      return { outputs: { y: tf.add(tf.matMul(inputs.x!, swapped()), tf.matMul(inputs.x!, swapped())) } };
    };
    expect(optimize(traceSymbolic(fn, xSpec)).nodes.map((node) => node.op)).toEqual(['MatMul', 'Add']);
  });
});

describe('state', () => {
  const fn: TensorFunction = ({ inputs, state }) => ({
    outputs: { before: tf.add(state.total!, 0) },
    state: { total: tf.add(state.total!, tf.sum(inputs.x!, 0)) },
  });
  const options: CompileOptions = {
    name: 'accumulate',
    inputs: { x: { dtype: 'float32', shape: ['n', 2] } },
    state: { total: { dtype: 'float32', shape: [2] }, other: { dtype: 'float32', shape: [1] } },
  };
  const values = { total: float([2], () => 1), other: float([1], () => 9) };

  for (const type of allEngines) {
    it(`carries values from call to call on ${type}`, async () => {
      const engine = await createEngine({ type, threads: 1, precision: 'fp32' });
      const compiled = await engine.compile(fn, options);
      const state = engine.createState(values);
      const x = float([3, 2], (i) => i);
      expect([...(await compiled.run({ x }, state)).before!.data]).toEqual([1, 1]);
      expect([...(await compiled.run({ x }, state)).before!.data]).toEqual([7, 10]);
      const read = await state.read();
      expect([...read.total!.data]).toEqual([13, 19]);
      expect([...read.other!.data]).toEqual([9]);
      await state.write({ total: float([2], () => 0) });
      expect([...(await compiled.run({ x }, state)).before!.data]).toEqual([0, 0]);
      expect([...read.total!.data]).toEqual([13, 19]);
      await expect(state.write({ total: float([3], () => 0) })).rejects.toThrow(/"total" has shape \[2\]/);
    });
  }
});

describe('frozen weights in files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weights-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('are read at any offset, as F32 and BF16, by every engine', async () => {
    const numbers = Float32Array.of(1, -2, 3.5, 0.25, 1024, -0.5);
    const bytes = Buffer.alloc(10 + 24 + 12);
    Buffer.from(numbers.buffer).copy(bytes, 10);
    const words = new Uint16Array(numbers.buffer);
    for (let i = 0; i < numbers.length; i++) bytes.writeUInt16LE(words[2 * i + 1]!, 34 + 2 * i);
    const file = path.join(folder, 'weights.bin');
    await writeFile(file, bytes);
    const weights: NonNullable<CompileOptions['weights']> = {
      exact: { storage: 'F32', shape: [3, 2], file, begin: 10, end: 34 },
      half: { storage: 'BF16', shape: [3, 2], file, begin: 34, end: 46 },
    };
    const fn: TensorFunction = ({ inputs, weights: w }) => ({
      outputs: { y: tf.matMul(inputs.x!, w.exact!), z: tf.matMul(inputs.x!, w.half!) },
    });
    const options = {
      name: 'weights',
      inputs: { x: { dtype: 'float32' as const, shape: ['n', 3] } },
      weights,
    };
    for (const type of allEngines) {
      const outputs = await (await compileOn(type, fn, options)).run({ x: float([1, 3], (i) => i + 1) });
      expect([...outputs.y!.data], type).toEqual([1 + 7 + 3072, -2 + 0.5 - 1.5]);
      expect([...outputs.z!.data], type).toEqual([...outputs.y!.data]);
    }
  });
});

describe('engines', () => {
  it('are named once; one that is missing says how to get it', async () => {
    expect(engineNames).toEqual(['onnxruntime', 'xla', 'openvino', 'wasm', 'cpu', 'tensorflow']);
    if (findTensorflow() === undefined) {
      await expect(createEngine({ type: 'tensorflow' })).rejects.toThrow(
        /affectgpt engine install tensorflow/,
      );
    }
  });
});
