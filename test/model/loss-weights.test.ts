import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { crossEntropy } from '../../model/loss.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

it('the loss is the sum of weight times loss: a weight of 0 takes a token out', () => {
  const logits = tf.tensor2d([
    [0, 0],
    [Math.log(3), 0],
    [5, -5],
  ]);
  const targets = tf.tensor1d([0, 1, 1], 'int32');
  const { lossSum, tokenLoss } = crossEntropy(logits, targets, tf.tensor1d([1, 0.5, 0]));
  const [half, quarter] = [Math.log(2), Math.log(4)];
  expect(lossSum.dataSync()[0]).toBeCloseTo(half + 0.5 * quarter, 6);
  // Unweighted, as reports of single tokens want it.
  expect(tokenLoss.dataSync()[2]).toBeCloseTo(10, 3);
});
