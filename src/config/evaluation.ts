import { z } from 'zod';
import { count, text } from './values.ts';

/** What a training scores besides its loss, and `affectgpt eval choices` by default. */
export const evaluationSchema = z.strictObject({
  split: text().default('test').describe('Samples with this `split` are scored.'),
  limit: count().nullable().default(null).describe('Only the first so many of them. `null` takes all.'),
  choices: z
    .array(text())
    .min(2)
    .refine((choices) => new Set(choices).size === choices.length, 'a choice is named twice')
    .nullable()
    .default(null)
    .describe(
      'Labels to choose from. `null` takes those of the samples that are trained on, the most frequent first.',
    ),
  before: z
    .boolean()
    .default(false)
    .describe('Whether the untrained model is scored too, before the first step.'),
});
