import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { gelu, layerNorm, quickGelu } from '../../encoders/transformer.ts';
import { rotate } from '../../model/attention.ts';
import { rmsNorm, swiGlu } from '../../model/decoder.ts';
import { crossEntropy } from '../../model/loss.ts';
import { splice } from '../../model/splice.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, TensorFunction } from '../../src/engine/types.ts';
import { compilingEngines } from '../support/compiling-engines.ts';

/** What is differentiated: a function of one or two tensors of the given shapes. */
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly run: (...x: tf.Tensor[]) => tf.Tensor;
  /** Inputs are kept above this (for logarithms and roots). */
  readonly above?: number;
}

const one = (run: (x: tf.Tensor) => tf.Tensor, above?: number): Case => ({
  shapes: [[3, 4]],
  run: (x) => run(x!),
  ...(above === undefined ? {} : { above }),
});
const two = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, above?: number): Case => ({
  shapes: [[3, 4], [4]],
  run: (a, b) => run(a!, b!),
  ...(above === undefined ? {} : { above }),
});
const ids = (values: number[]) => tf.tensor1d(values, 'int32');
const norm = (weight: tf.Tensor) => new Parameters({ weight, bias: tf.zerosLike(weight) });

/** Every operation that a loss of this project goes through, tfjs's own gradients and ours. */
const cases: Record<string, Case> = {
  add: two(tf.add),
  sub: two(tf.sub),
  mul: two(tf.mul),
  div: two(tf.div, 0.5),
  neg: one(tf.neg),
  exp: one(tf.exp),
  log: one(tf.log, 0.5),
  sqrt: one(tf.sqrt, 0.5),
  rsqrt: one(tf.rsqrt, 0.5),
  square: one(tf.square),
  sigmoid: one(tf.sigmoid),
  tanh: one(tf.tanh),
  erf: one(tf.erf),
  relu: one(tf.relu, 0.5),
  softmax: one((x) => tf.softmax(x)),
  sum: one((x) => tf.sum(x, 0)),
  mean: one((x) => tf.mean(x, -1, true)),
  max: one((x) => tf.max(tf.mul(x, ids([1, 2, 3, 9])), -1), 0.5),
  reshape: one((x) => tf.reshape(x, [2, 6])),
  transpose: one((x) => tf.transpose(x)),
  slice: one((x) => tf.slice(x, [1, 0], [2, 3])),
  split: one((x) => tf.mul(...(tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor]))),
  pad: one((x) =>
    tf.pad(x, [
      [1, 0],
      [0, 2],
    ]),
  ),
  tile: one((x) => tf.tile(x, [1, 2])),
  concat: {
    shapes: [
      [3, 4],
      [3, 2],
    ],
    run: (a, b) => tf.concat([a!, b!], 1),
  },
  gather: one((x) => tf.gather(x, ids([2, 0, 2]))),
  where: one((x) => tf.where(tf.tensor2d([[true, false, true, false]]), x, tf.zerosLike(x))),
  matMul: {
    shapes: [
      [3, 4],
      [4, 2],
    ],
    run: (a, b) => tf.matMul(a!, b!),
  },
  'matMul, second transposed': {
    shapes: [
      [3, 4],
      [2, 4],
    ],
    run: (a, b) => tf.matMul(a!, b!, false, true),
  },
  'matMul, batches': {
    shapes: [
      [2, 3, 4],
      [2, 5, 4],
    ],
    run: (a, b) => tf.matMul(a!, b!, false, true),
  },
  conv1d: {
    shapes: [
      [2, 11, 3],
      [4, 3, 2],
    ],
    run: (x, kernel) => tf.conv1d(x as tf.Tensor3D, kernel as tf.Tensor3D, 2, 'valid'),
  },
  gelu: one(gelu),
  quickGelu: one(quickGelu),
  layerNorm: two((x, weight) => layerNorm(norm(weight), x, 1e-5)),
  rmsNorm: two((x, weight) => rmsNorm(norm(weight), x, 1e-6)),
  swiGlu: {
    shapes: [
      [3, 4],
      [3, 4],
    ],
    run: (gate, up) => swiGlu(gate!, up!),
  },
  rotate: {
    shapes: [[1, 2, 3, 4]],
    run: (x) => rotate(x!, tf.fill([1, 1, 3, 4], 0.6), tf.fill([1, 1, 3, 4], 0.8)),
  },
  splice: {
    shapes: [
      [3, 4],
      [2, 4],
    ],
    run: (embeds, vectors) => splice(embeds!, vectors!, ids([0, 1, 0]), tf.tensor2d([[0], [1], [1]])),
  },
  crossEntropy: one((x) => crossEntropy(x, ids([1, 3, 0]), tf.tensor1d([1, 0.5, 0])).lossSum),
};

/** A fixed cotangent: all entries of the result count, each differently. */
function weighted(y: tf.Tensor): tf.Scalar {
  const weights = Float32Array.from({ length: y.size }, (_, i) => Math.sin(1 + 2 * i));
  return tf.sum(tf.mul(y, tf.tensor(weights, y.shape))) as tf.Scalar;
}

describe.each(compilingEngines)('gradients equal finite differences, on %s', (type) => {
  it('of every operation that the models use', () => {
    expect(Object.keys(cases)).toHaveLength(39);
  });

  for (const [name, { shapes, run, above }] of Object.entries(cases)) {
    it(name, async () => {
      const random = new RandomGenerator(3).split(name);
      const names = shapes.map((_, i) => `x${i}`);
      const values = shapes.map((shape): HostTensor => {
        const count = shape.reduce((product, size) => product * size, 1);
        const drawn = random.uniformFloat32(count, -1, 1);
        const data = above === undefined ? drawn : drawn.map((value) => above + Math.abs(value));
        return { dtype: 'float32', shape, data };
      });
      const fn: TensorFunction = ({ inputs }) => {
        const x = names.map((input) => inputs[input]!);
        const gradients = tf.grads((...tensors: tf.Tensor[]) => weighted(run(...tensors)))(x);
        const outputs = Object.fromEntries(gradients.map((gradient, i) => [`grad${i}`, gradient]));
        return { outputs: { value: weighted(run(...x)), ...outputs } };
      };
      const engine = await createEngine({ type, threads: 1, precision: 'fp32' });
      const inputs = Object.fromEntries(
        names.map((input, i) => [input, { dtype: 'float32' as const, shape: shapes[i]! }]),
      );
      const compiled = await engine.compile(fn, { name, inputs });
      const at = (changed: readonly HostTensor[]) =>
        compiled.run(Object.fromEntries(names.map((input, i) => [input, changed[i]!])));
      const exact = await at(values);
      const step = 1e-2;
      for (const [which, value] of values.entries()) {
        for (let i = 0; i < value.data.length; i++) {
          const shifted = async (by: number) => {
            const data = Float32Array.from(value.data);
            data[i]! += by;
            const changed = values.map((other, k) => (k === which ? { ...other, data } : other));
            return (await at(changed)).value!.data[0]!;
          };
          // Four points: the error falls with the fourth power of the step, so float32 rounding is what is left.
          const near = (await shifted(step)) - (await shifted(-step));
          const far = (await shifted(2 * step)) - (await shifted(-2 * step));
          const slope = (8 * near - far) / (12 * step);
          const difference = Math.abs(exact[`grad${which}`]!.data[i]! - slope);
          expect(difference, `x${which}[${i}]`).toBeLessThan(2e-3);
        }
      }
      await compiled.dispose();
    });
  }
});
