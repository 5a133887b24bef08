import { describe, expect, it } from 'vitest';
import { configuredSchedule, learningRateAt, type Schedule } from '../../train/schedule.ts';

const cosine: Schedule = {
  type: 'warmup-cosine',
  lr: 1e-3,
  warmupSteps: 4,
  warmupLr: 2e-4,
  minLr: 1e-4,
  steps: 13,
};

describe('learningRateAt', () => {
  it('constant', () => {
    expect([1, 2, 1000].map((step) => learningRateAt(step, { type: 'constant', lr: 3e-5 }))).toEqual([
      3e-5, 3e-5, 3e-5,
    ]);
  });

  it('warmup-cosine: a rise in equal parts, the peak, half a cosine down to the last step', () => {
    // The rise: 2e-4 + 8e-4 x (0, 1, 2, 3) / 4. The fall over 8 steps: 1e-4 + 9e-4 x (1 + cos(pi k / 8)) / 2.
    const half = Math.SQRT1_2;
    const expected: [number, number][] = [
      [1, 2e-4],
      [2, 4e-4],
      [3, 6e-4],
      [4, 8e-4],
      [5, 1e-3],
      [7, 1e-4 + 4.5e-4 * (1 + half)],
      [9, 5.5e-4],
      [11, 1e-4 + 4.5e-4 * (1 - half)],
      [13, 1e-4],
      [14, 1e-4],
      [100, 1e-4],
    ];
    for (const [step, rate] of expected)
      expect(learningRateAt(step, cosine), `step ${step}`).toBeCloseTo(rate, 15);
  });

  it('warmup-cosine without a rise begins at the peak and ends at the lowest', () => {
    const schedule: Schedule = { ...cosine, warmupSteps: 0, steps: 3 };
    expect(learningRateAt(1, schedule)).toBe(1e-3);
    expect(learningRateAt(2, schedule)).toBeCloseTo(5.5e-4, 15);
    expect(learningRateAt(3, schedule)).toBeCloseTo(1e-4, 15);
  });

  it('warmup-cosine in runs that are hardly longer than the rise stays finite', () => {
    expect(learningRateAt(1, { ...cosine, warmupSteps: 0, steps: 1 })).toBe(1e-3);
    expect(learningRateAt(5, { ...cosine, steps: 5 })).toBe(1e-3);
    expect(learningRateAt(4, { ...cosine, steps: 4 })).toBeCloseTo(8e-4, 15);
  });
});

describe('configuredSchedule', () => {
  it('takes peak and length from the other keys', () => {
    const keys = { steps: 13, optimizer: { lr: 1e-3 } };
    expect(configuredSchedule({ ...keys, schedule: { type: 'constant' } })).toEqual({
      type: 'constant',
      lr: 1e-3,
    });
    const { type, warmupSteps, warmupLr, minLr } = cosine;
    expect(configuredSchedule({ ...keys, schedule: { type, warmupSteps, warmupLr, minLr } })).toEqual(cosine);
  });
});
