import { describe, expect, it } from 'vitest';
import type { HostTensor } from '../../src/engine/types.ts';
import { stepResult } from '../../train/step-result.ts';

const numbers = (...values: number[]): HostTensor => ({
  dtype: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
});
const names = ['first', 'second'];
const outputs = (gradNorm: number, ...sums: number[]) => ({
  gradNorm: numbers(gradNorm),
  squareSums: numbers(...sums),
});

describe('the result of a step', () => {
  it('has no fault where everything is finite', () => {
    expect(stepResult(2, outputs(5, 9, 16), names)).toEqual({ loss: 2, gradNorm: 5 });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'names the loss where it is %d, whatever the gradients are',
    (loss) => {
      const fault = { tensor: 'loss', value: loss };
      expect(stepResult(loss, outputs(5, 9, 16), names).fault).toEqual(fault);
      expect(stepResult(loss, outputs(Number.NaN, 9, Number.NaN), names).fault).toEqual(fault);
    },
  );

  it('names the first gradient that is not finite, or the norm where only the sum of all overflows', () => {
    expect(stepResult(2, outputs(Number.NaN, 9, Number.NaN), names).fault).toEqual({
      tensor: 'gradient of second',
      value: Number.NaN,
    });
    expect(stepResult(2, outputs(Number.POSITIVE_INFINITY, 3e38, 3e38), names).fault).toEqual({
      tensor: 'norm of all gradients',
      value: Number.POSITIVE_INFINITY,
    });
  });
});
