import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { createTrainState, expAvgName, expAvgSqName, TrainStep } from '../../train/step.ts';

const host = (values: readonly number[], shape: readonly number[]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

const betas = [0.9, 0.99] as const;
const [eps, weightDecay, learningRate] = [0.01, 0.1, 0.05];
const start = [1, -2, 0.5, 3];
/** Gradients of four steps: the loss is linear, so that they are what is fed. */
const steps = [
  [1, -2, 0.5, 0],
  [-0.5, 1, 2, 4],
  [0.25, 0.25, -3, 1],
  [2, -1, 0, -0.125],
];

/** AdamW (Loshchilov and Hutter 2019, algorithm 2) in float64, one number after the other. */
function adamw(): { parameter: number[]; expAvg: number[]; expAvgSq: number[] } {
  const [parameter, expAvg, expAvgSq] = [[...start], [0, 0, 0, 0], [0, 0, 0, 0]];
  for (const [t, gradients] of steps.entries()) {
    for (const [i, gradient] of gradients.entries()) {
      expAvg[i] = betas[0] * expAvg[i]! + (1 - betas[0]) * gradient;
      expAvgSq[i] = betas[1] * expAvgSq[i]! + (1 - betas[1]) * gradient ** 2;
      const mean = expAvg[i]! / (1 - betas[0] ** (t + 1));
      const square = expAvgSq[i]! / (1 - betas[1] ** (t + 1));
      parameter[i] = parameter[i]! * (1 - learningRate * weightDecay);
      parameter[i] = parameter[i]! - (learningRate * mean) / (Math.sqrt(square) + eps);
    }
  }
  return { parameter, expAvg, expAvgSq };
}

it.each([1, 2])(
  'four optimizer steps are those of AdamW, moments included, in %i micro-batches each',
  async (count) => {
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    const trainStep = new TrainStep(engine, {
      name: 'linear',
      lossSum: ({ inputs, parameters }) =>
        tf.sum(tf.mul(parameters['layer.weight']!, inputs.slope!)) as tf.Scalar,
      inputs: { slope: { dtype: 'float32', shape: [2, 2] } },
      trainable: { 'layer.weight': [2, 2] },
      weights: {},
      optimizer: { betas, eps, weightDecay },
      clipNorm: null,
      decayUnusedParameters: false,
    });
    const parameters = { 'layer.weight': host(start, [2, 2]) };
    const state = createTrainState(engine, parameters, { accumulation: count });
    for (const [i, gradients] of steps.entries()) {
      // Six supervised tokens a step, of whose loss sum each micro-batch has an equal part.
      const slope = host(
        gradients.map((gradient) => (gradient * 6) / count),
        [2, 2],
      );
      const microBatches = Array.from({ length: count }, () => ({ slope }));
      await trainStep.run(state, microBatches, { supervisedTokens: 6, learningRate, step: i + 1 });
    }
    const values = await state.read();
    const expected = adamw();
    const expectClose = (name: string, numbers: readonly number[]) =>
      numbers.forEach((number, i) => {
        expect(values[name]!.data[i], `${name}[${i}]`).toBeCloseTo(number, 5);
      });
    expectClose('layer.weight', expected.parameter);
    expectClose(expAvgName('layer.weight'), expected.expAvg);
    expectClose(expAvgSqName('layer.weight'), expected.expAvgSq);
    await trainStep.dispose();
    state.dispose();
  },
);
