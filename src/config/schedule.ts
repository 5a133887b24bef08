import { z } from 'zod';
import { whole } from './values.ts';

const learningRate = () => z.number().min(0);

/** Learning rate over a run. */
export const scheduleSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('constant').describe('The learning rate of the optimizer, unchanged.'),
  }),
  z.strictObject({
    type: z
      .literal('warmup-cosine')
      .describe(
        'Linear rise from `warmupLr` to `optimizer.lr`, then half a cosine down to `minLr` at the last step.',
      ),
    warmupSteps: whole().min(0).default(0).describe('Optimizer steps of the rise.'),
    warmupRatio: z
      .number()
      .min(0)
      .lt(1)
      .nullable()
      .default(null)
      .describe(
        'Share of all steps that the rise takes, rounded up to whole steps: in place of `warmupSteps`, for runs in `train.epochs` above all. `null` takes `warmupSteps`; of the two the one given last replaces an inherited other.',
      ),
    minLr: learningRate().default(0).describe('Learning rate at the last step.'),
    warmupLr: learningRate().default(0).describe('Learning rate at the first step of the rise.'),
  }),
]);
