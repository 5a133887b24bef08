import { describe, expect, it } from 'vitest';
import { judge, type ValidatedStep } from '../../train/validation/judge.ts';

const steps = (losses: readonly number[]): ValidatedStep[] =>
  losses.map((loss, i) => ({ step: 10 * (i + 1), loss, metrics: { emotionF: loss } }));
const policy = { metric: 'loss', patience: null, minDelta: 0 } as const;

describe('judging validations', () => {
  it('has nothing to say before the first', () => {
    expect(judge([], { ...policy, patience: 1 })).toEqual({
      best: undefined,
      withoutImprovement: 0,
      isExhausted: false,
    });
  });

  it('takes the lowest loss, and the highest of any metric of answers, the first of equals', () => {
    const values = steps([3, 1, 2, 1, 3]);
    expect(judge(values, policy).best).toEqual({ step: 20, value: 1 });
    expect(judge(values, { ...policy, metric: 'emotionF' }).best).toEqual({ step: 10, value: 3 });
  });

  it.each<[readonly number[], number, number, number, boolean]>([
    // losses, patience, minDelta, without improvement, exhausted
    [[3, 2, 2, 2], 3, 0, 2, false],
    [[3, 2, 2, 2, 2], 3, 0, 3, true],
    [[3, 4, 4, 2.9], 3, 0, 0, false],
    // Each is better than the one before by less than what counts, all together by more.
    [[3, 2.9, 2.8, 2.4], 3, 0.5, 0, false],
    [[3, 2.9, 2.8], 2, 0.5, 2, true],
    [[3, 2.5], 1, 0.5, 1, true],
  ])('%j with patience %i and minDelta %d', (losses, patience, minDelta, withoutImprovement, isExhausted) => {
    expect(judge(steps(losses), { ...policy, patience, minDelta })).toMatchObject({
      withoutImprovement,
      isExhausted,
    });
  });

  it('keeps the best by any difference, whatever counts as improvement', () => {
    expect(judge(steps([3, 2.9]), { ...policy, minDelta: 0.5 })).toMatchObject({
      best: { step: 20 },
      withoutImprovement: 1,
    });
  });

  it('refuses a metric that was not measured', () => {
    expect(() => judge(steps([1]), { ...policy, metric: 'exactMatch' })).toThrow(
      expect.objectContaining({
        code: 'VALIDATION_METRIC_UNDEFINED',
        message: expect.stringMatching(/"exactMatch".*loss, emotionF/),
      }),
    );
  });
});
