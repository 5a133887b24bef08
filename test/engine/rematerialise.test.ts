import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { swiGlu } from '../../model/decoder.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { liveBytes } from '../../src/engine/ir/liveness.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { rematerialise } from '../../src/engine/ir/passes/rematerialise.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { leanShare, sharedWeightBytes } from '../../src/engine/onnxruntime/memory.ts';
import type { CompileOptions, HostTensor, TensorFunction } from '../../src/engine/types.ts';

const width = 72;
const inner = 320;
const layers = 5;

const random = (shape: number[], seed: number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    (_, i) => ((((i + 1) * 7919 + seed * 104729) % 1000) / 1000 - 0.5) * 0.1,
  ),
});

const names = Array.from({ length: layers }, (_, layer) => layer);
const weights = Object.fromEntries(
  names.flatMap((layer) => [
    [`gate.${layer}`, random([inner, width], 3 * layer)],
    [`up.${layer}`, random([inner, width], 3 * layer + 1)],
    [`down.${layer}`, random([width, inner], 3 * layer + 2)],
  ]),
);

/** Layers as a decoder's: a product that widens, twice, what is multiplied element by element, and a product back. */
const fn: TensorFunction = ({ inputs, state, weights: frozen }) => {
  const { value, gradients } = valueAndGradients(
    ({ bias }) => {
      let x = tf.add(inputs.x!, bias!);
      for (const layer of names) {
        const side = (name: string) => tf.matMul(x, frozen[`${name}.${layer}`]!, false, true);
        x = tf.add(x, tf.matMul(swiGlu(side('gate'), side('up')), frozen[`down.${layer}`]!, false, true));
      }
      return tf.sum(tf.square(x)) as tf.Scalar;
    },
    { bias: state.bias! },
  );
  return { outputs: { loss: value }, state: { bias: gradients.bias! } };
};

const options: CompileOptions = {
  name: 'layers',
  inputs: { x: { dtype: 'float32', shape: ['rows', width] } },
  state: { bias: { dtype: 'float32', shape: [width] } },
  weights,
};

const count = (graph: { nodes: readonly { op: string }[] }, op: string) =>
  graph.nodes.filter((node) => node.op === op).length;

describe('rematerialise', () => {
  const graph = optimize(traceSymbolic(fn, options));
  const lean = rematerialise(graph);

  it('lowers the bytes alive at the worst moment', () => {
    expect(Math.max(...liveBytes(lean))).toBeLessThan(0.85 * Math.max(...liveBytes(graph)));
  });

  it('repeats what is cheap, and no product of weights', () => {
    expect(count(lean, 'Sigmoid')).toBe(2 * count(graph, 'Sigmoid'));
    expect(count(lean, 'MatMul')).toBe(count(graph, 'MatMul'));
    expect(count(lean, 'ReduceSum')).toBe(count(graph, 'ReduceSum'));
  });

  it('repeats as many of the products that widen as a limit asks for', () => {
    const most = (of: typeof graph) => Math.max(...liveBytes(of));
    const repeated = (limit: number) => count(rematerialise(graph, limit), 'MatMul') - count(graph, 'MatMul');
    expect(repeated(most(lean))).toBe(0);
    expect(repeated(0)).toBeGreaterThan(2 * (layers - 2));
    const limit = 0.75 * most(lean);
    expect(repeated(limit)).toBeGreaterThan(0);
    expect(repeated(limit)).toBeLessThan(repeated(0));
    expect(most(rematerialise(graph, limit))).toBeLessThan(0.85 * most(lean));
    expect(most(rematerialise(graph, 0))).toBeLessThan(most(rematerialise(graph, limit)));
  });

  it('uses no value before it is computed', () => {
    const known = new Set([...lean.inputs.values(), ...lean.weights.values(), ...lean.constants.keys()]);
    for (const { inputs, output } of lean.nodes) {
      expect(inputs.filter((input) => !known.has(input))).toEqual([]);
      known.add(output);
    }
    for (const output of lean.outputs.values()) expect(known.has(output)).toBe(true);
  });

  it('keeps the results, for every number of rows', async () => {
    const run = async (leanBytes: number, rows: number) => {
      const engine = new OnnxruntimeEngine({ threads: 1, leanBytes });
      const compiled = await engine.compile(fn, options);
      const state = engine.createState({ bias: random([width], 50) });
      const { loss } = await compiled.run({ x: random([rows, width], 60) }, state);
      const { bias } = await state.read();
      await compiled.dispose();
      return [...loss!.data, ...bias!.data];
    };
    for (const rows of [1, 9]) {
      const fast = await run(Number.POSITIVE_INFINITY, rows);
      const saving = await run(0, rows);
      saving.forEach((value, i) => {
        expect(value).toBeCloseTo(fast[i]!, 4);
      });
    }
  });
});

it('a session that saves memory runs the products that its limit asks for', async () => {
  const products = async (leanBytes: number) => {
    const engine = new OnnxruntimeEngine({ threads: 1, leanBytes, profile: true });
    const compiled = await engine.compile(fn, options);
    await compiled.run({ x: random([9, width], 60) }, engine.createState({ bias: random([width], 50) }));
    const { rows } = (await engine.takeProfiles()).layers!;
    await compiled.dispose();
    return rows.filter(({ op }) => /MatMul|Gemm/.test(op)).reduce((sum, { calls }) => sum + calls, 0);
  };
  const graph = optimize(traceSymbolic(fn, options));
  const limit = leanShare * sharedWeightBytes(graph);
  expect(await products(Number.POSITIVE_INFINITY)).toBe(count(graph, 'MatMul'));
  expect(await products(0)).toBe(count(rematerialise(graph, limit), 'MatMul'));
  expect(await products(0)).toBeGreaterThan(count(graph, 'MatMul'));
});

describe('bytes alive', () => {
  it('are those between the node that makes a value and its last use', () => {
    const chain = optimize(
      traceSymbolic(
        ({ inputs }) => {
          const first = tf.exp(inputs.x!);
          const second = tf.sigmoid(first);
          return { outputs: { y: tf.sum(tf.add(tf.tanh(second), first)) } };
        },
        { name: 'chain', inputs: { x: { dtype: 'float32', shape: [10] } } },
      ),
    );
    expect(chain.nodes.map(({ op }) => op)).toEqual(['Exp', 'Sigmoid', 'Tanh', 'Add', 'ReduceSum']);
    expect([...liveBytes(chain)]).toEqual([40, 80, 120, 120, 44]);
  });
});

describe('the rule by which a session saves memory', () => {
  const product =
    (twice: boolean): TensorFunction =>
    ({ inputs, weights: frozen }) => {
      const y = tf.matMul(inputs.x!, frozen.w!, false, true);
      return { outputs: { y: twice ? tf.matMul(y, frozen.w!) : y } };
    };
  const bytes = (twice: boolean) =>
    sharedWeightBytes(
      optimize(
        traceSymbolic(product(twice), {
          name: 'product',
          inputs: { x: { dtype: 'float32', shape: ['rows', 5] } },
          weights: { w: random([3, 5], 1) },
        }),
      ),
    );

  it('counts float32 bytes of weights that are used more than once', () => {
    expect(bytes(true)).toBe(4 * 3 * 5);
  });

  it('does not count those that are used once: encoders and decoding keep the fast form', () => {
    expect(bytes(false)).toBe(0);
  });
});
