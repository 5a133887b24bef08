import { z } from 'zod';
import { count, text, whole } from './values.ts';

/** What a validation can be judged by. */
export const VALIDATION_METRICS = [
  'loss',
  'exactMatch',
  'emotionF',
  'emotionPrecision',
  'emotionRecall',
  'sentimentAccuracy',
  'sentimentWeightedF1',
  'taskAccuracy',
  'taskWeightedF1',
  'taskInvalid',
  'teacherForcedExactMatch',
] as const;
export type ValidationMetric = (typeof VALIDATION_METRICS)[number];

/** Whether less of a metric is better. */
export const isLowerBetter = (metric: string): boolean => metric === 'loss' || metric === 'taskInvalid';

/** Whether a metric needs generated answers. */
export const isOfAnswers = (metric: ValidationMetric): boolean =>
  metric !== 'loss' && metric !== 'teacherForcedExactMatch';

/** How a training is measured on samples that it does not learn from. */
export const validationSchema = z.strictObject({
  every: count().default(1000).describe('Optimizer steps between validations.'),
  split: text()
    .nullable()
    .default(null)
    .describe('Held-out samples with this `split` are taken; `null` takes all that are held out.'),
  samples: count()
    .nullable()
    .default(null)
    .describe(
      'Only so many of them, always the same ones: `train.seed` and their names decide which. `null` takes all.',
    ),
  answers: whole()
    .min(0)
    .default(0)
    .describe(
      'How many of these samples the model also answers, with its most likely words, for the metrics of answers. 0 computes the loss alone. Generating holds one more copy of the frozen weights.',
    ),
  maxNewTokens: count().default(200).describe('Longest such answer in tokens.'),
  metric: z
    .enum(VALIDATION_METRICS)
    .default('loss')
    .describe(
      'What the best checkpoint is the best by: `loss`; of the answers `exactMatch` (share of those that are word for word as expected), `emotionF`, `emotionPrecision`, `emotionRecall` (emotion words found by rules, compared on the five emotion wheels; samples with labels), `sentimentAccuracy`, `sentimentWeightedF1` (samples asked for their sentiment), or `taskAccuracy`, `taskWeightedF1`, `taskInvalid` (samples of `data.dataset: mmla`; the labels that the published rule finds in answers: share of right ones, F1 weighted by support, and share of answers that name no label or several, of which less is better); of tasks together the mean over all samples, with `/MIntRec` and so on behind the name of each in the log. `teacherForcedExactMatch` needs no answers: the share of samples all of whose answer tokens are the most likely ones where the right ones stand before them, which the released training of MMLA selects by; it is measured where it is the metric, and with `data.labelType: own`. Of equal validations the first is the best.',
    ),
  patience: count()
    .nullable()
    .default(null)
    .describe(
      'Training stops after so many validations in a row without improvement. `null` never stops early.',
    ),
  minDelta: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'What counts as improvement for `patience`: the metric must be better by more than this. The best checkpoint is the best whatever the difference.',
    ),
});

/** The section `train.validation` of a configuration. */
export type ValidationSettings = z.infer<typeof validationSchema>;
