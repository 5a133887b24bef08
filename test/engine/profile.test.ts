import { existsSync, readdirSync } from 'node:fs';
import os from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { parseProfile } from '../../src/engine/onnxruntime/profile.ts';

const node = (op: string, ts: number, dur: number, inputs: number[][], output: number[]) => ({
  cat: 'Node',
  name: `${op}_1_kernel_time`,
  ts,
  dur,
  args: {
    op_name: op,
    input_type_shape: inputs.map((shape) => ({ float: shape })),
    output_type_shape: [{ float: output }],
  },
});
const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur });

describe('a profile', () => {
  it('has means over the runs after the first, by time', () => {
    const trace = [
      { cat: 'Session', name: 'session_initialization', ts: 0, dur: 50 },
      run(100, 9000),
      node('Add', 150, 8000, [[2], [2]], [2]),
      run(10_000, 3000),
      node('Add', 10_100, 400, [[2], [2]], [2]),
      node('Add', 10_600, 600, [[2], [2]], [2]),
      node('Gemm', 11_500, 1000, [[3, 5]], [3, 7]),
      run(20_000, 5000),
      node('Gemm', 20_100, 4000, [[3, 5]], [3, 7]),
    ];
    expect(parseProfile(JSON.stringify(trace))).toEqual({
      runs: 2,
      milliseconds: 4,
      rows: [
        { op: 'Gemm', calls: 1, milliseconds: 2.5, flops: 2 * 3 * 5 * 7 },
        { op: 'Add', calls: 1, milliseconds: 0.5 },
      ],
    });
  });

  it('counts the same operations for a transposed product', () => {
    const trace = [run(0, 9), node('FusedMatMul', 1, 1, [[2, 5, 3]], [2, 3, 7])];
    expect(parseProfile(JSON.stringify(trace)).rows[0]!.flops).toBe(2 * 2 * 3 * 5 * 7);
  });

  it('of a function that did not run is empty', () => {
    expect(parseProfile('[]')).toEqual({ runs: 0, milliseconds: 0, rows: [] });
  });

  it('is recorded by the engine, and its files are removed', async () => {
    const folders = () => readdirSync(os.tmpdir()).filter((name) => name.startsWith('affectgpt-profile-'));
    const before = new Set(folders());
    const engine = new OnnxruntimeEngine({ threads: 1, profile: true });
    const compiled = await engine.compile(
      ({ inputs }) => ({ outputs: { y: tf.exp(tf.matMul(inputs.x!, inputs.x!)) } }),
      { name: 'product', inputs: { x: { dtype: 'float32', shape: [3, 3] } } },
    );
    const x = { dtype: 'float32' as const, shape: [3, 3], data: new Float32Array(9).fill(0.5) };
    for (let i = 0; i < 3; i++) await compiled.run({ x });
    const { product } = await engine.takeProfiles();
    expect(product!.runs).toBe(2);
    expect(product!.rows.map(({ op }) => op).toSorted()).toEqual(['Exp', 'MatMul']);
    expect(product!.rows.find(({ op }) => op === 'MatMul')).toMatchObject({ calls: 1, flops: 54 });
    expect(await engine.takeProfiles()).toEqual({});
    await compiled.dispose();
    const left = folders().filter((name) => !before.has(name) && existsSync(`${os.tmpdir()}/${name}/trace`));
    expect(left).toEqual([]);
  });
});
