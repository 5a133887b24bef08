import type * as tf from '@tensorflow/tfjs';
import { learningRateAt } from '../../train/schedule.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import type { Engine, HostTensorMap, InputSpec, TensorMap } from '../engine/types.ts';

/** Training of a whole small model from scratch, in memory: what comes before the frozen parts are frozen. */
export interface Pretraining {
  readonly name: string;
  readonly engine: Engine;
  readonly initial: HostTensorMap;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly lossSum: (tensors: { inputs: TensorMap; parameters: TensorMap }) => tf.Scalar;
  readonly steps: number;
  /** Highest learning rate, after a warm-up over the first twentieth; falls to a tenth by half a cosine. */
  readonly learningRate: number;
  readonly weightDecay: number;
  /** The batch of a step (from 1) and what its loss sum is divided by. */
  readonly batch: (step: number) => { readonly inputs: HostTensorMap; readonly count: number };
  readonly onStep?: (step: number, loss: number) => void;
}

/** Trains all tensors of `initial`. @returns their final values */
export async function pretrain(options: Pretraining): Promise<HostTensorMap> {
  const { name, engine, initial, inputs, lossSum, steps, learningRate, weightDecay, batch, onStep } = options;
  const step = new TrainStep(engine, {
    name,
    lossSum,
    inputs,
    trainable: Object.fromEntries(Object.entries(initial).map(([key, { shape }]) => [key, shape])),
    weights: {},
    optimizer: { betas: [0.9, 0.98], eps: 1e-8, weightDecay },
    clipNorm: 1,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, initial);
  const schedule = {
    type: 'warmup-cosine' as const,
    lr: learningRate,
    warmupSteps: Math.ceil(steps / 20),
    warmupLr: 0,
    minLr: learningRate / 10,
    steps,
  };
  for (let index = 1; index <= steps; index++) {
    const { inputs: values, count } = batch(index);
    const at = { supervisedTokens: count, learningRate: learningRateAt(index, schedule), step: index };
    const { loss } = await step.run(state, [values], at);
    onStep?.(index, loss);
  }
  const trained = await state.read(Object.keys(initial));
  await step.dispose();
  state.dispose();
  return trained;
}
