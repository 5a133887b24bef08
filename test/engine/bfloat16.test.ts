import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { applyBfloat16 } from '../../src/engine/ir/passes/bfloat16.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { type SymbolicGraph, traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import type { CompileOptions, InputSpec, TensorFunction } from '../../src/engine/types.ts';
import { adamwUpdate } from '../../train/adamw.ts';

const float = (...shape: (number | string)[]): InputSpec => ({ dtype: 'float32', shape });
const weight = (...shape: number[]) => ({
  ...{ storage: 'BF16' as const, shape, file: 'weights.bin' },
  ...{ begin: 0, end: 2 * shape.reduce((product, size) => product * size) },
});
const traced = (fn: TensorFunction, options: Omit<CompileOptions, 'name'>): SymbolicGraph =>
  optimize(traceSymbolic(fn, { name: 'hand', ...options }));

/** A line for each node, `name:type = op inputs`, bfloat16 values marked with a star; then the outputs. */
function listing(graph: SymbolicGraph): string[] {
  const names = new Map<number, string>();
  for (const [name, value] of [...graph.inputs, ...graph.weights]) names.set(value, name);
  const isNarrow = (value: number) => graph.values[value]!.dtype === 'bfloat16';
  const show = (value: number): string => `${names.get(value)}${isNarrow(value) ? '*' : ''}`;
  const lines = graph.nodes.map((node, i) => {
    names.set(node.output, `v${i}`);
    const given = node.op === 'Fill' ? [String(node.attributes.value)] : node.inputs.map(show);
    return `${show(node.output)} = ${[node.op, ...given].join(' ')}`;
  });
  return [...lines, ...[...graph.outputs].map(([name, value]) => `${name}: ${show(value)}`)];
}

const narrow = (fn: TensorFunction, options: Omit<CompileOptions, 'name'>): string[] =>
  listing(applyBfloat16(traced(fn, options)));
const product = (x: tf.Tensor, w: tf.Tensor): tf.Tensor =>
  tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true);

describe('bfloat16 in a graph', () => {
  it('is what products take, and what is between them; the result is float32', () => {
    const network: TensorFunction = ({ inputs, weights }) => ({
      outputs: { y: product(tf.relu(product(inputs.x!, weights.a!)), weights.b!) },
    });
    expect(
      narrow(network, { inputs: { x: float('rows', 4) }, weights: { a: weight(6, 4), b: weight(3, 6) } }),
    ).toEqual([
      'v0* = Cast x',
      'v1* = MatMul v0* a*',
      // Rounds alike in either type.
      'v2* = Relu v1*',
      'v3 = MatMul v2* b*',
      'y: v3',
    ]);
  });

  it('is rounded to once, at the end of a chain in float32', () => {
    const chain: TensorFunction = ({ inputs, weights }) => {
      const hidden = product(inputs.x!, weights.a!);
      const gated = tf.mul(tf.tanh(tf.add(hidden, weights.bias!)), inputs.scale!);
      return { outputs: { y: product(gated, weights.a!) } };
    };
    const inputs = { x: float('rows', 4), scale: float('rows', 4) };
    expect(narrow(chain, { inputs, weights: { a: weight(4, 4), bias: weight(4) } })).toEqual([
      'v0* = Cast x',
      'v1* = MatMul v0* a*',
      'v2 = Cast v1*',
      // A weight that no product takes is used as it is stored, in float32.
      'v3 = Add v2 bias',
      'v4 = Tanh v3',
      'v5 = Multiply v4 scale',
      'v6* = Cast v5',
      'v7 = MatMul v6* a*',
      'y: v7',
    ]);
  });

  it('carries the residual stream, and leaves the statistics of norms to float32', () => {
    const layer: TensorFunction = ({ inputs, weights }) => {
      const rows = tf.gather(weights.table!, inputs.ids as tf.Tensor1D);
      const hidden = tf.add(rows, product(rows, weights.a!));
      const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(hidden), -1, true), 0.25));
      const next = tf.add(hidden, product(tf.mul(tf.mul(hidden, inverse), weights.norm!), weights.a!));
      return { outputs: { y: product(next, weights.table!) } };
    };
    expect(
      narrow(layer, {
        inputs: { ids: { dtype: 'int32', shape: ['rows'] } },
        weights: { table: weight(9, 4), a: weight(4, 4), norm: weight(4) },
      }),
    ).toEqual([
      'v0* = Gather table* ids',
      'v1* = MatMul v0* a*',
      'v2* = Add v0* v1*',
      'v3 = Cast v2*',
      'v4 = Multiply v3 v3',
      'v5 = ReduceMean v4',
      'v6 = Fill 0.25',
      'v7 = Add v5 v6',
      'v8 = Sqrt v7',
      'v9 = Reciprocal v8',
      // Widened again, rather than kept in float32 for both.
      'v10 = Cast v2*',
      'v11 = Multiply v10 v9',
      'v12 = Multiply v11 norm',
      'v13* = Cast v12',
      'v14* = MatMul v13* a*',
      'v15* = Add v2* v14*',
      'v16 = MatMul v15* table*',
      'y: v16',
    ]);
  });

  it('carries the residual stream where one score is taken beside those of all, without a matrix product', () => {
    const network: TensorFunction = ({ inputs, weights }) => {
      const rows = tf.gather(weights.table!, inputs.ids as tf.Tensor1D);
      const hidden = tf.add(rows, product(rows, weights.a!));
      const next = tf.add(hidden, product(hidden, weights.a!));
      const last = tf.mul(next, weights.norm!);
      const sums = tf.sum(tf.exp(product(last, weights.table!)), -1);
      const chosen = tf.sum(tf.mul(last, tf.gather(weights.table!, inputs.targets as tf.Tensor1D)), -1);
      return { outputs: { loss: tf.sum(tf.sub(tf.log(sums), chosen)) } };
    };
    const ids: InputSpec = { dtype: 'int32', shape: ['rows'] };
    const lines = narrow(network, {
      inputs: { ids, targets: ids },
      weights: { table: weight(9, 4), a: weight(4, 4), norm: weight(4) },
    });
    expect(lines.slice(0, 3)).toEqual([
      'v0* = Gather table* ids',
      'v1* = MatMul v0* a*',
      'v2* = Add v0* v1*',
    ]);
    expect(lines.at(-1)).toMatch(/^loss: v\d+$/);
  });

  it('leaves scores to float32, and rounds the weights of a softmax', () => {
    const attention: TensorFunction = ({ inputs, weights }) => {
      const query = product(inputs.x!, weights.a!);
      const scores = tf.add(product(query, query), inputs.bias!);
      return { outputs: { y: tf.matMul(tf.softmax(scores) as tf.Tensor2D, query as tf.Tensor2D) } };
    };
    const inputs = { x: float('rows', 4), bias: float('rows', 'rows') };
    expect(narrow(attention, { inputs, weights: { a: weight(4, 4) } })).toEqual([
      'v0* = Cast x',
      'v1* = MatMul v0* a*',
      'v2 = MatMul v1* v1*',
      'v3 = Add v2 bias',
      'v4 = Softmax v3',
      'v5* = Cast v4',
      'v6 = MatMul v5* v1*',
      'y: v6',
    ]);
  });

  it('leaves loss, gradients of weights and optimizer to float32, also of a bias', () => {
    const step: TensorFunction = ({ inputs, state, weights }) => {
      const { value, gradients } = valueAndGradients(
        ({ b, bias }) => tf.sum(product(tf.relu(tf.add(product(inputs.x!, b!), bias!)), weights.a!)),
        { b: state.b!, bias: state.bias! },
      );
      const updated = (name: string) => tf.sub(state[name]!, tf.mul(gradients[name]!, inputs.rate!));
      return { outputs: { loss: value }, state: { b: updated('b'), bias: updated('bias') } };
    };
    expect(
      narrow(step, {
        inputs: { x: float('rows', 4), rate: float() },
        state: { b: float(6, 4), bias: float(6) },
        weights: { a: weight(3, 6) },
      }),
    ).toEqual([
      'v0* = Cast x',
      'v1* = Cast b',
      'v2* = MatMul v0* v1*',
      'v3 = Cast v2*',
      'v4 = Add v3 bias',
      // Needed by the next product and by the gradient.
      'v5* = Cast v4',
      'v6* = Relu v5*',
      'v7 = MatMul v6* a*',
      'v8 = ReduceSum v7',
      'v9 = Fill 1',
      'v10 = Fill 1',
      'v11* = Cast v10',
      'v12* = MatMul v11* a*',
      'v13 = Fill 0',
      'v14 = Cast v5*',
      'v15 = Greater v14 v13',
      'v16 = Select v15 v9 v13',
      'v17 = Cast v12*',
      'v18 = Multiply v17 v16',
      // The gradient of the bias is summed before that of the weight is rounded.
      'v19 = ReduceSum v18',
      'v20* = Cast v18',
      'v21 = MatMul v20* v0*',
      'v22 = Multiply v21 rate',
      'v23 = Subtract b v22',
      'v24 = Multiply v19 rate',
      'v25 = Subtract bias v24',
      'loss: v8',
      'state:b: v23',
      'state:bias: v25',
    ]);
  });

  it('has no place where there are no products', () => {
    const spec = float(6, 4);
    const graph = traced(
      ({ inputs, state }) => {
        const values = { parameter: state.p!, gradient: inputs.g!, expAvg: state.m!, expAvgSq: state.v! };
        const [learningRate, biasCorrection1, biasCorrection2Sqrt] = [inputs.rate!, inputs.c1!, inputs.c2!];
        const settings = { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 } as const;
        const next = adamwUpdate(values, { learningRate, biasCorrection1, biasCorrection2Sqrt }, settings);
        return { outputs: {}, state: { p: next.parameter, m: next.expAvg, v: next.expAvgSq } };
      },
      { inputs: { g: spec, rate: float(), c1: float(), c2: float() }, state: { p: spec, m: spec, v: spec } },
    );
    expect(applyBfloat16(graph)).toEqual(graph);
  });
});
