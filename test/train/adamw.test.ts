import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { adamwUpdate, biasCorrections, clipScale, globalNorm, squareSums } from '../../train/adamw.ts';
import type { Fixture } from '../support/fixture.ts';
import { expectGolden, loadFixture, toTensor } from '../support/fixture.ts';

interface Group {
  readonly tensor: number;
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
}

let fixture: Fixture;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('adamw');
});

describe('adamwUpdate against torch.optim.AdamW', () => {
  it.each([0, 1, 2])('ten steps of tensor %i', (index) => {
    const group = (fixture.golden.made_with.groups as Group[])[index]!;
    const gradients = tf.unstack(toTensor(fixture.tensors[`grads.${index}`]!));
    const rates = fixture.tensors.lr!.data;
    let parameter = toTensor(fixture.tensors[`init.${index}`]!);
    let expAvg = tf.zerosLike(parameter);
    let expAvgSq = tf.zerosLike(parameter);
    const history: Record<'params' | 'exp_avg' | 'exp_avg_sq', tf.Tensor[]> = {
      params: [],
      exp_avg: [],
      exp_avg_sq: [],
    };
    gradients.forEach((gradient, step) => {
      const corrections = biasCorrections(step + 1, group.betas);
      ({ parameter, expAvg, expAvgSq } = adamwUpdate(
        { parameter, gradient, expAvg, expAvgSq },
        {
          learningRate: tf.scalar(rates[3 * step + index]!),
          biasCorrection1: tf.scalar(corrections.biasCorrection1),
          biasCorrection2Sqrt: tf.scalar(corrections.biasCorrection2Sqrt),
        },
        { betas: group.betas, eps: group.eps, weightDecay: group.weight_decay },
      ));
      history.params.push(parameter);
      history.exp_avg.push(expAvg);
      history.exp_avg_sq.push(expAvgSq);
    });
    for (const [name, states] of Object.entries(history)) {
      expectGolden(fixture, `${name}.${index}`, tf.stack(states));
    }
  });
});

describe('adamwUpdate', () => {
  it('adds eps after the bias correction, which decides where gradients are tiny', () => {
    const zero = tf.tensor1d([0]);
    const corrections = biasCorrections(1, [0.9, 0.999]);
    const { parameter } = adamwUpdate(
      { parameter: tf.tensor1d([1]), gradient: tf.tensor1d([1e-9]), expAvg: zero, expAvgSq: zero },
      {
        learningRate: tf.scalar(0.1),
        biasCorrection1: tf.scalar(corrections.biasCorrection1),
        biasCorrection2Sqrt: tf.scalar(corrections.biasCorrection2Sqrt),
      },
      { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
    );
    // The corrected moments are 1e-9 and (1e-9)^2.
    expect(parameter.dataSync()[0]).toBeCloseTo(1 - (0.1 * 1e-9) / (1e-9 + 1e-8), 6);
  });
});

describe('gradient clipping', () => {
  it('takes the norm of all gradients together', () => {
    const norm = globalNorm(
      squareSums([
        tf.tensor2d([
          [2, 0],
          [0, 1],
        ]),
        tf.tensor1d([4]),
        tf.scalar(2),
      ]),
    );
    expect(norm.dataSync()[0]).toBe(5);
  });

  it('scales down to the largest norm allowed and never up', () => {
    expect(clipScale(tf.scalar(5), 2).dataSync()[0]).toBeCloseTo(2 / (5 + 1e-6), 7);
    expect(clipScale(tf.scalar(5), 6).dataSync()[0]).toBe(1);
    expect(clipScale(tf.scalar(0), 1).dataSync()[0]).toBe(1);
  });
});
