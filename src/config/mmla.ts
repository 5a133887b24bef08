import { z } from 'zod';
import { mmlaTaskKeys, paperTaskKeys } from './mmla-tasks.ts';
import { text } from './values.ts';

const anyTask = z.enum(mmlaTaskKeys);

/** Wordings of question and answer. */
export const MMLA_PROMPTS = ['fixed', 'paper', 'mmla-train', 'mmla-infer', 'mmla-text'] as const;

/** What is taken of the data set `mmla`, and how it is asked. */
export const mmlaSchema = z.strictObject({
  tasks: z
    .array(anyTask)
    .min(1)
    .refine((tasks) => new Set(tasks).size === tasks.length, 'a task is named twice')
    .default([...paperTaskKeys])
    .describe('Tasks whose samples are taken. Several are one training (instruction tuning).'),
  prompt: z
    .enum(MMLA_PROMPTS)
    .default('fixed')
    .describe(
      'Wording of question and answer: `fixed` (one for training and inference), `paper` (Appendix D), or what the released files and scripts hold: `mmla-train` (training with video), `mmla-infer` (inference), `mmla-text` (training of language models).',
    ),
  excludeSharedClips: z
    .boolean()
    .default(true)
    .describe(
      'Leaves out training samples whose clip is in the dev or test split of any of the tasks: MELD holds all test clips of MELD-DA under other labels, IEMOCAP many of IEMOCAP-DA. The published training keeps them.',
    ),
  mediaRoot: text()
    .nullable()
    .default(null)
    .describe(
      'Folder below which the videos lie, in the folders of the released data set or in those that its files name. Inputs with pictures or sound need it; with `null` samples have no videos.',
    ),
  weights: z
    .union([z.enum(['proportional', 'uniform']), z.partialRecord(anyTask, z.number().positive())])
    .default('proportional')
    .describe(
      'How often the samples of a task are seen: `proportional` (each once an epoch), `uniform` (all tasks as often as one another, an epoch being as long as before), or a map of weights by task, 1 where it names none. A sample of weight w occurs w times an epoch on average: as often as the whole part of w says, and for the fraction that share of the samples once more, drawn anew in each epoch by `train.seed`.',
    ),
});

/** The section `data.mmla` of a configuration. */
export type MmlaSettings = z.infer<typeof mmlaSchema>;
