import * as tf from '@tensorflow/tfjs';
import { EngineError } from '../errors.ts';
import { EagerEngine } from './eager/engine.ts';
import { RandomGenerator } from './random.ts';
import type { CompileOptions, Engine, HostTensorMap, TensorFunction } from './types.ts';

export interface SelfTestResult {
  /** Largest difference from plain JavaScript, relative to the largest value of its output. */
  readonly difference: number;
  /** Of tracing, compiling and running. */
  readonly milliseconds: number;
}

/** Rounding, in fp32 that of another order of sums, stays far below these; a wrong product or gradient is far above. */
const tolerances = { fp32: 1e-4, bf16: 0.05 } as const;

/** One step of a small network: products, a normalisation, a softmax, the loss and gradients for both weights. */
const step: TensorFunction = ({ inputs }) => {
  const { x, target, first, second } = inputs as Record<string, tf.Tensor2D>;
  const loss = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => {
    const hidden = tf.matMul(x!, a as tf.Tensor2D, false, true);
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(hidden), 1, true), 1e-6));
    const logits = tf.matMul(tf.tanh(tf.mul(hidden, scale)), b as tf.Tensor2D, false, true);
    return tf.neg(tf.sum(tf.mul(target!, tf.logSoftmax(logits))));
  };
  const [firstGradient, secondGradient] = tf.grads(loss)([first!, second!]);
  return {
    outputs: { loss: loss(first!, second!), first: firstGradient!, second: secondGradient! },
  };
};

const shapes = { x: [5, 16], target: [5, 12], first: [24, 16], second: [12, 24] } as const;
const options: CompileOptions = {
  name: 'self-test',
  inputs: Object.fromEntries(
    Object.entries(shapes).map(([name, [rows, columns]]) => [
      name,
      { dtype: 'float32', shape: [name === 'x' || name === 'target' ? 'rows' : rows, columns] },
    ]),
  ),
};

function drawInputs(): HostTensorMap {
  const random = new RandomGenerator(8);
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const data = random.split(name).uniformFloat32(shape[0] * shape[1], name === 'target' ? 0 : -1, 1);
      return [name, { dtype: 'float32', shape, data }];
    }),
  );
}

/**
 * Lets an engine compute the loss and gradients of a small network and compares them with plain JavaScript.
 *
 * @throws EngineError `ENGINE_WRONG` where they differ; whatever the engine throws
 */
export async function selfTest(engine: Engine): Promise<SelfTestResult> {
  const inputs = drawInputs();
  const start = performance.now();
  const compiled = await engine.compile(step, options);
  const outputs = await compiled.run(inputs);
  const milliseconds = performance.now() - start;
  await compiled.dispose();
  const reference = await (await new EagerEngine('cpu', 'cpu').compile(step, options)).run(inputs);
  const difference = Math.max(
    ...Object.keys(reference).map((name) => differenceOf(outputs, reference, name)),
  );
  const tolerance = tolerances[engine.precision ?? 'fp32'];
  if (!(difference <= tolerance)) {
    throw new EngineError(
      'ENGINE_WRONG',
      `${engine.name} computes something else than plain JavaScript: the largest relative difference is ${difference.toPrecision(2)}, and up to ${tolerance} would be rounding. Do not train with it.`,
    );
  }
  return { difference, milliseconds };
}

function differenceOf(outputs: HostTensorMap, reference: HostTensorMap, name: string): number {
  const expected = reference[name]!.data;
  const found = outputs[name]!.data;
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let most = 0;
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(found[i]! - value);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    most = Math.max(most, difference);
    largest = Math.max(largest, Math.abs(value));
  }
  return most / largest;
}
