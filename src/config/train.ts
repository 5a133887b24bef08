import { z } from 'zod';
import { badNumbersSchema } from './bad-numbers.ts';
import { checkpointSchema } from './checkpoint.ts';
import { scheduleSchema } from './schedule.ts';
import { validationSchema } from './validation.ts';
import { count, seed } from './values.ts';

const trainedOrFrozen = z.enum(['train', 'frozen']).default('train');

/** How it is learnt. */
export const trainSchema = z.strictObject({
  steps: count()
    .default(300000)
    .describe(
      'Optimizer steps of the whole run. Not used where `epochs` is given: the number then follows from the data.',
    ),
  epochs: z
    .number()
    .positive()
    .max(100_000)
    .nullable()
    .default(null)
    .describe(
      'Length of the run in passes over the samples that are trained on, in place of `steps`: the optimizer steps of so many epochs, of a part of one that part of its steps, rounded up. `null` takes `steps`; of the two the one given last replaces an inherited other.',
    ),
  batchSize: count().default(3).describe('Samples computed together. Memory grows in proportion.'),
  accumulation: count()
    .default(1)
    .describe(
      'Batches whose gradients make one optimizer step; every supervised token of them weighs the same. `batchSize` x `accumulation` samples a step.',
    ),
  lengthGrouping: count()
    .nullable()
    .default(null)
    .describe(
      'Lets samples of like length meet, so that less is computed on padding: in windows of so many optimizer steps of the shuffled epoch (50 is usual) samples are sorted by length and divided into steps; all steps are then shuffled. A sample has the same loss beside any others, and every epoch still visits each once; which samples share a step, and so the course of training, changes. `null` leaves it to chance.',
    ),
  optimizer: z
    .strictObject({
      type: z.enum(['adamw']).default('adamw').describe('AdamW with decoupled weight decay.'),
      lr: z.number().positive().default(1e-5).describe('Learning rate, the highest of the schedule.'),
      betas: z
        .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
        .default([0.9, 0.999])
        .describe('Decay per step of the running means of gradient and squared gradient.'),
      eps: z.number().positive().default(1e-8).describe('Added to the root of the squared mean.'),
      weightDecay: z
        .number()
        .min(0)
        .default(0.05)
        .describe('Decay of tensors of two or more dimensions, times the learning rate, per step.'),
    })
    .prefault({})
    .describe('What turns gradients into new weights.'),
  schedule: scheduleSchema
    .default({ type: 'constant' })
    .describe('Learning rate over the run. A different `type` replaces an inherited schedule as a whole.'),
  clipNorm: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'Largest norm of the gradient over all trained tensors; a longer one is scaled down. `null` clips nothing.',
    ),
  parts: z
    .strictObject({
      decoder: z
        .enum(['frozen', 'lora', 'full'])
        .default('lora')
        .describe('The language model: `frozen`, adapters only (`lora`), or all of its weights (`full`).'),
      fusion: trainedOrFrozen.describe('Pre-fusion and pooling.'),
      projectors: trainedOrFrozen.describe('Linear maps into the language model.'),
    })
    .prefault({})
    .describe('What is trained. The encoders are always frozen.'),
  seed: seed().default(42).describe('Decides initial weights, sample order, label draws and dropout.'),
  onBadNumbers: badNumbersSchema.prefault({}).describe('NaN and infinity in loss or gradient.'),
  checkpoint: checkpointSchema.prefault({}).describe('Checkpoints of the run.'),
  validation: validationSchema
    .nullable()
    .default(null)
    .describe(
      'Loss and answers on held-out samples while training, the best checkpoint and when to stop early. `null` validates nothing.',
    ),
  log: z
    .strictObject({
      every: count()
        .default(10)
        .describe('Optimizer steps between two lines of `metrics.jsonl` and of progress.'),
    })
    .prefault({})
    .describe('Progress of the run.'),
});
