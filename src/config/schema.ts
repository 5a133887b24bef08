import { z } from 'zod';
import { compatSchema } from './compat.ts';
import { dataSchema } from './data.ts';
import { engineSchema } from './engine.ts';
import { evaluationSchema } from './evaluation.ts';
import { fusionSchema, loraSchema, modelSchema } from './model.ts';
import { checkRules } from './rules.ts';
import { trainSchema } from './train.ts';
import { count, seed, text } from './values.ts';

const generation = z.strictObject({
  maxNewTokens: count().default(1200).describe('Longest answer in tokens.'),
  temperature: z
    .number()
    .min(0)
    .default(0)
    .describe(
      '0 always takes the most likely token (greedy); above 0 tokens are drawn, the more evenly the higher.',
    ),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(0.9)
    .describe('Where tokens are drawn: only the most likely ones that together reach this probability.'),
  topK: count()
    .nullable()
    .default(20)
    .describe('Where tokens are drawn: only this many of the most likely. `null` takes all.'),
  seed: seed().default(42).describe('Decides the draws.'),
});

/** The whole configuration of an experiment. Unknown keys are errors; defaults are the published ones. */
export const configSchema = z
  .strictObject({
    model: modelSchema.prefault({}).describe('What the model is made of and what it is given.'),
    fusion: fusionSchema.prefault({}).describe('How modalities become tokens.'),
    lora: loraSchema
      .prefault({})
      .describe('Low-rank adapters of the language model; used where `train.parts.decoder` is `lora`.'),
    data: dataSchema.prefault({}).describe('What is learnt from. Paths are relative to the working folder.'),
    train: trainSchema.prefault({}).describe('How it is learnt.'),
    engine: engineSchema.prefault({}).describe('What computes.'),
    compat: compatSchema
      .prefault('fixed')
      .describe(
        'Quirks of the published code that change numbers: `reference` (all as published; what the configurations of published rows set), `fixed` (all as one would want them), or a map of switches, which changes those named.',
      ),
    generation: generation
      .prefault({})
      .describe('How answers are generated, where the command line does not say.'),
    evaluation: evaluationSchema
      .nullable()
      .default(null)
      .describe(
        'What `affectgpt train` scores after the last step: of each sample the label whose answer is the most likely. `null` scores nothing; `affectgpt eval choices` does so later.',
      ),
    output: text().describe('Folder of the run: configuration, metrics, checkpoints, log. Has to be given.'),
  })
  .superRefine(checkRules, { when: () => true });

/** A validated configuration with every default filled in and `compat` resolved to its switches. */
export type Config = z.infer<typeof configSchema>;
