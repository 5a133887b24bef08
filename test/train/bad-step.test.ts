import { describe, expect, it } from 'vitest';
import { type BadStep, skipOrStop } from '../../train/bad-step.ts';

const bad = (options: Partial<BadStep> = {}): BadStep => ({
  ...{ loss: Number.NaN, gradNorm: 1, fault: { tensor: 'loss', value: Number.NaN } },
  ...{ step: 7, epoch: 2, names: ['a', 'b'], badParameter: undefined, dump: undefined, skipped: 0 },
  ...options,
});
const skip = { action: 'skip', limit: 2 } as const;

describe('a step with bad numbers', () => {
  it('is skipped as often as the limit allows, and not once more', () => {
    expect(skipOrStop(bad(), skip)).toContain('Skipped (1 of at most 2)');
    expect(skipOrStop(bad({ skipped: 1 }), skip)).toContain('Skipped (2 of at most 2)');
    expect(() => skipOrStop(bad({ skipped: 2 }), skip)).toThrow(
      expect.objectContaining({
        code: 'LOSS_NOT_FINITE',
        exitCode: 3,
        message: expect.stringMatching(
          /^Step 7: the loss is NaN\. Epoch 2, samples of this step: a, b\. 2 steps/,
        ),
      }),
    );
  });

  it('is not skipped where it was not asked for, or where a weight was bad before it', () => {
    expect(() => skipOrStop(bad(), { action: 'stop', limit: 2 })).toThrow(/the loss is NaN/);
    expect(() => skipOrStop(bad({ badParameter: 'layer.weight' }), skip)).toThrow(
      /Before the step layer\.weight was not finite already/,
    );
  });
});
