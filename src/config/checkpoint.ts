import { z } from 'zod';
import { count } from './values.ts';

/** Which states of a run are kept on disk. The best by `train.validation` always is. */
export const checkpointSchema = z.strictObject({
  every: count()
    .default(5000)
    .describe('Optimizer steps between checkpoints; the last step always makes one.'),
  keep: count()
    .default(3)
    .describe(
      'Newest checkpoints that stay on disk, besides the best one by `train.validation.metric` and those of `keepEvery`.',
    ),
  keepEvery: count()
    .nullable()
    .default(null)
    .describe(
      'Checkpoints of steps that this divides stay for good; a multiple of `every`. `null` keeps none of them longer.',
    ),
});
