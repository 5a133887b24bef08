import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { allReduceSum } from '../../src/engine/all-reduce.ts';
import { hashText } from '../../src/engine/dropout.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { tracedKernelNames } from '../../src/engine/trace/kernels.ts';
import type { HostTensor, HostTensorMap, TensorMap } from '../../src/engine/types.ts';
import { compilingEngines } from '../support/compiling-engines.ts';

/** One case a kernel: random inputs of random sizes and the tfjs call that reaches the kernel. */
interface Case {
  readonly shapes?: Record<string, (number | string)[]>;
  readonly integers?: Record<string, { shape: (number | string)[]; below: number }>;
  readonly positive?: boolean;
  readonly run: (x: TensorMap) => tf.Tensor | tf.Tensor[];
}

const square = { x: ['n', 'm'] };
const pair = { a: ['n', 'm'], b: ['m'] };
const unary = (run: (x: tf.Tensor) => tf.Tensor, positive = false): Case => ({
  shapes: square,
  positive,
  run: ({ x }) => run(x!),
});
const binary = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, positive = false): Case => ({
  shapes: pair,
  positive,
  run: ({ a, b }) => run(a!, b!),
});
const image = { x: ['n', 9, 8, 3], filter: [3, 2, 3, 4] };
const convolve = (x: tf.Tensor, filter: tf.Tensor) =>
  tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, [2, 1], 'valid');
const truth = (a: tf.Tensor) => tf.greater(a, 0);

const cases: Record<string, Case> = {
  Neg: unary(tf.neg),
  Exp: unary(tf.exp),
  Log: unary(tf.log, true),
  Sqrt: unary(tf.sqrt, true),
  Rsqrt: unary(tf.rsqrt, true),
  Reciprocal: unary(tf.reciprocal, true),
  Sigmoid: unary(tf.sigmoid),
  Tanh: unary(tf.tanh),
  Erf: unary(tf.erf),
  Abs: unary(tf.abs),
  Sign: unary(tf.sign),
  Floor: unary((x) => tf.floor(tf.mul(x, 3))),
  Relu: unary(tf.relu),
  Sin: unary(tf.sin),
  Cos: unary(tf.cos),
  Step: unary((x) => tf.step(x, 0.25)),
  Square: unary(tf.square),
  Identity: unary((x) => tf.clone(x)),
  AllReduceSum: unary(allReduceSum),
  ZerosLike: unary(tf.zerosLike),
  OnesLike: unary(tf.onesLike),
  ClipByValue: unary((x) => tf.clipByValue(x, -0.3, 0.4)),
  LogicalNot: unary((x) => tf.cast(tf.logicalNot(truth(x)), 'float32')),
  Cast: unary((x) => tf.cast(tf.mul(x, 5), 'int32')),
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Multiply: binary(tf.mul),
  RealDiv: binary(tf.div, true),
  Maximum: binary(tf.maximum),
  Minimum: binary(tf.minimum),
  Pow: binary(tf.pow, true),
  SquaredDifference: binary(tf.squaredDifference),
  Greater: binary(tf.greater),
  GreaterEqual: binary(tf.greaterEqual),
  Less: binary(tf.less),
  LessEqual: binary(tf.lessEqual),
  Equal: {
    integers: { a: { shape: ['n', 'm'], below: 3 }, b: { shape: ['m'], below: 3 } },
    run: ({ a, b }) => tf.equal(a!, b!),
  },
  NotEqual: {
    integers: { a: { shape: ['n', 'm'], below: 3 }, b: { shape: ['m'], below: 3 } },
    run: ({ a, b }) => tf.notEqual(a!, b!),
  },
  LogicalAnd: binary((a, b) => tf.logicalAnd(truth(a), truth(b))),
  LogicalOr: binary((a, b) => tf.logicalOr(truth(a), truth(b))),
  AddN: { shapes: { a: ['n', 4], b: ['n', 4], c: ['n', 4] }, run: ({ a, b, c }) => tf.addN([a!, b!, c!]) },
  Select: {
    shapes: { a: ['n', 'm'], b: ['n', 'm'] },
    run: ({ a, b }) => [tf.where(truth(a!), a!, b!), tf.where(truth(tf.slice(a!, [0, 0], [-1, 1])), a!, b!)],
  },
  Sum: unary((x) => tf.sum(x, 1, true)),
  Mean: { shapes: { x: ['n', 6] }, run: ({ x }) => tf.mean(x!, -1) },
  Max: unary((x) => tf.max(x, 0)),
  Min: unary((x) => tf.min(x, [0, 1])),
  Reshape: {
    shapes: { x: ['n', 'm', 6] },
    run: ({ x }) => tf.reshape(x!, [x!.shape[0]! * 2, x!.shape[1]! * 3]),
  },
  ExpandDims: unary((x) => tf.expandDims(x, -1)),
  Transpose: { shapes: { x: ['n', 'm', 6] }, run: ({ x }) => tf.transpose(x!, [2, 0, 1]) },
  Fill: unary((x) => tf.fill([x.shape[1]!, 2, x.shape[0]!], 2.5)),
  BroadcastTo: { shapes: { x: ['n', 1, 3] }, run: ({ x }) => tf.broadcastTo(x!, [x!.shape[0]!, 4, 3]) },
  Slice: {
    shapes: { x: ['n', 'm', 6] },
    run: ({ x }) => [tf.slice(x!, [0, 0, 2], [-1, -1, 3]), tf.slice(x!, [1, 0, 0], [2, -1, 6])],
  },
  SplitV: { shapes: { x: ['n', 6] }, run: ({ x }) => tf.split(x!, [1, 3, 2], 1) },
  Concat: {
    shapes: { a: ['n', 'm'], b: ['n', 3] },
    run: ({ a, b }) => [tf.concat([b!, b!], 1), tf.concat([a!, a!], 0)],
  },
  Pack: { shapes: { a: ['n', 'm'], b: ['n', 'm'] }, run: ({ a, b }) => tf.stack([a!, b!], 1) },
  Unpack: { shapes: { x: ['n', 3, 'm'] }, run: ({ x }) => tf.unstack(x!, 1) },
  PadV2: {
    shapes: { x: ['n', 4, 'm'] },
    run: ({ x }) =>
      tf.pad(
        x!,
        [
          [0, 0],
          [1, 2],
          [0, 0],
        ],
        0.5,
      ),
  },

  Tile: unary((x) => tf.tile(x, [2, 3])),
  GatherV2: {
    shapes: { x: [7, 3] },
    integers: { indices: { shape: ['n', 'm'], below: 7 } },
    run: ({ x, indices }) => tf.gather(x!, indices!),
  },
  UnsortedSegmentSum: {
    shapes: { x: ['n', 3] },
    integers: { ids: { shape: ['n'], below: 4 } },
    run: ({ x, ids }) => tf.unsortedSegmentSum(x!, ids as tf.Tensor1D, 4),
  },
  OneHot: {
    integers: { indices: { shape: ['n', 'm'], below: 5 } },
    run: ({ indices }) => tf.oneHot(indices!, 5),
  },
  BatchMatMul: {
    shapes: { a: ['n', 4], b: [5, 4], c: ['n', 2, 3, 4], d: ['n', 2, 3, 5] },
    run: ({ a, b, c, d }) => [
      tf.matMul(a!, b!, false, true),
      tf.matMul(a!, a!, true, false),
      tf.matMul(tf.transpose(b!), b!),
      tf.matMul(c!, d!, true, false),
      tf.matMul(d!, d!, false, true),
    ],
  },
  Softmax: unary((x) => tf.softmax(x)),
  LogSoftmax: unary((x) => tf.logSoftmax(x)),
  Conv2D: { shapes: image, run: ({ x, filter }) => convolve(x!, filter!) },
  Conv2DBackpropInput: {
    shapes: image,
    run: ({ x, filter }) => tf.grad((input: tf.Tensor) => tf.sum(tf.square(convolve(input, filter!))))(x!),
  },
  Conv2DBackpropFilter: {
    shapes: image,
    run: ({ x, filter }) =>
      tf.grad((weights: tf.Tensor) => tf.sum(tf.square(convolve(x!, weights))))(filter!),
  },
  DropoutMask: {
    integers: { keys: { shape: ['n'], below: -(2 ** 31) + 1 } },
    run: ({ keys }) =>
      tf
        .engine()
        .runKernel(
          'DropoutMask',
          { rowKeys: keys! },
          { columns: 33, rate: 0.3, moduleKey: hashText('layer') },
        ) as tf.Tensor,
  },
};

let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

function randomInputs(testCase: Case, sizes: Record<string, number>): HostTensorMap {
  const concrete = (shape: (number | string)[]) =>
    shape.map((size) => (typeof size === 'number' ? size : sizes[size]!));
  const inputs: Record<string, HostTensor> = {};
  for (const [name, spec] of Object.entries(testCase.shapes ?? {})) {
    const shape = concrete(spec);
    const data = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () =>
      testCase.positive ? random() + 0.5 : random() * 2 - 1,
    );
    inputs[name] = { dtype: 'float32', shape, data };
  }
  for (const [name, { shape: spec, below }] of Object.entries(testCase.integers ?? {})) {
    const shape = concrete(spec);
    const data = Int32Array.from({ length: tf.util.sizeFromShape(shape) }, () =>
      Math.floor(random() * below),
    );
    inputs[name] = { dtype: 'int32', shape, data };
  }
  return inputs;
}

it('there is a case for each kernel', () => {
  expect(Object.keys(cases).sort()).toEqual([...tracedKernelNames].sort());
  expect(tracedKernelNames.length).toBe(68);
});

describe.each(compilingEngines)('every traced kernel gives what eager tfjs gives, on %s', (type) => {
  for (const [kernel, testCase] of Object.entries(cases)) {
    it(kernel, async () => {
      const specs = {
        ...Object.fromEntries(
          Object.entries(testCase.shapes ?? {}).map(([name, shape]) => [
            name,
            { dtype: 'float32' as const, shape },
          ]),
        ),
        ...Object.fromEntries(
          Object.entries(testCase.integers ?? {}).map(([name, { shape }]) => [
            name,
            { dtype: 'int32' as const, shape },
          ]),
        ),
      };
      const options = { name: kernel, inputs: specs };
      const fn = ({ inputs }: { inputs: TensorMap }) => {
        const result = testCase.run(inputs);
        return {
          outputs: Object.fromEntries(
            (Array.isArray(result) ? result : [result]).map((t, i) => [`y${i}`, t]),
          ),
        };
      };
      const eager = await (await createEngine({ type: 'cpu' })).compile(fn, options);
      const compiling = (await createEngine({ type, threads: 1, precision: 'fp32' })).compile(fn, options);
      if (type === 'openvino' && kernel === 'Conv2DBackpropFilter') {
        // Its batch is not known when OpenVINO compiles.
        await expect(compiling).rejects.toMatchObject({ code: 'ENGINE_OPERATION' });
        return;
      }
      const compiled = await compiling;
      for (const sizes of [
        { n: 4, m: 6 },
        { n: 7, m: 5 },
        { n: 3, m: 1 },
      ]) {
        const inputs = randomInputs(testCase, sizes);
        const expected = await eager.run(inputs);
        const actual = await compiled.run(inputs);
        expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
        for (const [name, tensor] of Object.entries(expected)) {
          expect(actual[name]!.shape).toEqual(tensor.shape);
          expect(actual[name]!.dtype).toBe(tensor.dtype);
          tensor.data.forEach((value, i) => {
            const error = Math.abs(actual[name]!.data[i]! - value);
            expect(error).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
          });
        }
      }
      await compiled.dispose();
    });
  }
});
