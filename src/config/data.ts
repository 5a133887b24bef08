import { z } from 'zod';
import { mmlaSchema } from './mmla.ts';
import { templateSchema } from './template.ts';
import { text } from './values.ts';

/** The published kinds of question and answer. */
export const ANSWER_TYPES = [
  'description',
  'ovlabel',
  'onehot_w_candidates',
  'onehot_wo_candidates',
  'sentiment',
  'valence',
] as const;
/** `hybird` (published spelling) draws one of those that a sample has; `own` takes what each sample brings itself. */
const LABEL_TYPES = ['hybird', ...ANSWER_TYPES, 'own'] as const;
/** A value of `data.labelType`. */
export type LabelType = (typeof LABEL_TYPES)[number];

/** What is learnt from. */
export const dataSchema = z.strictObject({
  dataset: text()
    .nullable()
    .default(null)
    .describe(
      'Key of a published data set in the registry, such as `mercaptionplus`. Give this or `manifest`; the one given last replaces an inherited other.',
    ),
  manifest: text()
    .nullable()
    .default(null)
    .describe(
      'Own clips: a `.jsonl` or `.csv` file with a row a sample, paths inside relative to it. Give this or `dataset`.',
    ),
  root: text()
    .default('./dataset')
    .describe('Folder that holds the folders of the published data sets; used with `dataset`.'),
  trainSplit: text()
    .nullable()
    .default('train')
    .describe(
      'Samples whose `split` is this word, or that have none, are trained on; all others are held out. `null` trains on every sample.',
    ),
  labelType: z
    .enum(LABEL_TYPES)
    .default('hybird')
    .describe(
      'What the model learns to answer. `hybird` (published spelling) draws a kind that the sample has, anew each time it is seen; `own` asks the question and teaches the answer that each sample brings (`question` and `answer` of a manifest).',
    ),
  template: templateSchema
    .nullable()
    .default(null)
    .describe(
      'Own wording of prompt and answer, for training, prediction and evaluation alike. `null` takes the published prompts.',
    ),
  mmla: mmlaSchema
    .nullable()
    .default(null)
    .describe(
      'What is taken of MMLA, with `dataset: mmla` alone. `null` takes all that the section would take without keys.',
    ),
  faces: z
    .strictObject({
      colorOrder: z
        .enum(['bgr', 'rgb'])
        .default('bgr')
        .describe('Colour order in the stored face crops (npy). The published crops are `bgr`.'),
    })
    .prefault({})
    .describe('Stored face crops.'),
  onBadSample: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe(
      'What a sample does that cannot be read or is too long: `fail` stops with its name and row, `skip` leaves it out and names every skipped sample. None is ever replaced by another.',
    ),
  badSampleLimit: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe(
      'Largest share of the training samples that `onBadSample: skip` may leave out, rounded up to whole samples; with more of them training does not start. 1 sets no limit.',
    ),
  decodeTimeout: z
    .number()
    .positive()
    .max(86_400)
    .default(120)
    .describe(
      'Seconds after which decoding one media file is given up; the file then is a bad sample (`onBadSample`).',
    ),
  featureCache: text()
    .nullable()
    .default('.cache/features')
    .describe(
      'Folder for the outputs of the frozen encoders, kept between runs under a key of all that determines them. `null` writes nothing and computes them again in every run.',
    ),
});
