import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { type AffectGptConfig, adapterContext } from '../../model/affectgpt.ts';

const config = (dropout: number) => ({ lora: { rank: 4, alpha: 8, dropout } }) as AffectGptConfig;

it('adapters drop in training alone: where there are keys, and a rate', () => {
  const keys = tf.tensor2d([[1, 2, 3]], [1, 3], 'int32');
  expect(adapterContext(config(0.1))).toEqual({ scale: 2 });
  expect(adapterContext(config(0), keys)).toEqual({ scale: 2 });
  const training = adapterContext(config(0.1), keys);
  expect(training).toMatchObject({ scale: 2, dropout: { rate: 0.1 } });
  expect([...training!.dropout!.rowKeys.dataSync()]).toEqual([1, 2, 3]);
  expect(adapterContext({ ...config(0.1), lora: null }, keys)).toBeUndefined();
});
