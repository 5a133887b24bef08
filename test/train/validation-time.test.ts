import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { RunValidation } from '../../train/validation/run-validation.ts';
import type { Validator } from '../../train/validation/validator.ts';

const validator: Validator = {
  set: 'a',
  validate: async () => ({ loss: 1, samples: 1, supervisedTokens: 1, metrics: {}, answers: [] }),
};

describe('the time of validations', () => {
  it('that are to come is told by those that were', async () => {
    const policy = { every: 3, metric: 'loss', patience: null, minDelta: 0 } as const;
    const validation = await RunValidation.open({ ...policy, validator }, null, 0);
    const state = (await createEngine({ type: 'cpu' })).createState({});
    expect(validation.secondsLeft(3, 18)).toBe(0);
    const { line } = (await validation.run(3, state, () => false))!;
    expect(line.seconds).toBeGreaterThan(0);
    // After steps 6, 9, 12, 15 and 18; that of step 6 is due after the step itself.
    for (const step of [3, 5, 6]) expect(validation.secondsLeft(step, 18) / line.seconds).toBeCloseTo(5, 9);
    expect(validation.secondsLeft(7, 17) / line.seconds).toBeCloseTo(3, 9);
    expect(validation.secondsLeft(19, 20)).toBe(0);
    state.dispose();
  });
});
