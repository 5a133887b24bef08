import { z } from 'zod';
import { InputError } from '../../../errors.ts';
import { readText } from '../../../io/filesystem.ts';

export const mmlaReportFormat = 'affectgpt-mmla-report';
export const mmlaReportVersion = 1;

/** Fractions, unrounded. */
const metrics = z.strictObject({
  ACC: z.number(),
  F1: z.number(),
  P: z.number(),
  R: z.number(),
  WF1: z.number(),
  WP: z.number(),
});
const interval = z.strictObject({
  low: z.number(),
  high: z.number(),
  confidence: z.number(),
  resamples: z.number(),
  seed: z.number(),
});
const invalid = z.strictObject({ unknown: z.number(), multi: z.number() });

const seed = z.strictObject({
  /** File of the predictions, or what else they came from. */
  predictions: z.string(),
  metrics,
  invalid,
});

const task = z.strictObject({
  /** Key of the task, such as `MELD-DA`. */
  task: z.string(),
  mode: z.enum(['compat', 'strict']),
  split: z.enum(['train', 'dev', 'test']),
  /** File of the gold labels; null where the predictions carry them. */
  gold: z.string().nullable(),
  /** Samples, of each seed. */
  n: z.number(),
  /** Means over the seeds. */
  metrics,
  /** Sample standard deviation over the seeds (divided by their number less one); null where there is one seed. */
  deviation: metrics.nullable(),
  /** Invalid answers, a mean over the seeds. */
  invalid,
  /** Means over the seeds; under `compat` of the labels and whatever else counts as a class. */
  perClass: z.array(
    z.strictObject({
      label: z.string(),
      precision: z.number(),
      recall: z.number(),
      f1: z.number(),
      support: z.number(),
    }),
  ),
  /** `counts[row][column]` by gold label and answer; sums over the seeds. The last two columns are `unknown` and `multi`. */
  confusion: z.strictObject({
    rows: z.array(z.string()),
    columns: z.array(z.string()),
    counts: z.array(z.array(z.number())),
  }),
  /** By percentile bootstrap over the samples, of the means over the seeds; null under `compat`. */
  intervals: z
    .strictObject({ ACC: interval, F1: interval, P: interval, R: interval, WF1: interval, WP: interval })
    .nullable(),
  seeds: z.array(seed).min(1),
});

/** How a model came to its answers. */
export const mmlaMethods = ['zero-shot', 'sft', 'it'] as const;
/** What a model is given of a sample besides its text: nothing, the sound, or pictures. */
export const mmlaModalities = ['text', 'audio', 'video'] as const;

/** What a leaderboard has to know of a model; absent is what cannot be told. */
const facts = {
  /** `sft`: trained on the one task that is scored, `it`: on several at once, those that are scored among them. */
  method: z.enum(mmlaMethods).optional(),
  modality: z.enum(mmlaModalities).optional(),
  /** Of the language model, in billions. */
  parameters: z.number().positive().optional(),
};

/** `report.json` of `eval mmla`: all figures of one model. */
export const mmlaReportSchema = z.strictObject({
  format: z.literal(mmlaReportFormat),
  version: z.literal(mmlaReportVersion),
  benchmark: z.literal('mmla'),
  /** Version of affectgpt that wrote it. */
  program: z.string(),
  model: z.strictObject({
    name: z.string(),
    /** Where its answers come from, in words. */
    provenance: z.string(),
    ...facts,
  }),
  /** In the order of the paper's Table 1, each once. */
  tasks: z.array(task).min(1),
});

export type MmlaReport = z.infer<typeof mmlaReportSchema>;
export type MmlaTaskReport = z.infer<typeof task>;
export type MmlaModelFacts = Pick<MmlaReport['model'], keyof typeof facts>;

/**
 * Reads a `report.json` of `eval mmla`.
 *
 * @throws InputError `MMLA_REPORT_INVALID`, and those of `readText`
 */
export async function readMmlaReport(path: string): Promise<MmlaReport> {
  const text = await readText(path);
  try {
    return mmlaReportSchema.parse(JSON.parse(text));
  } catch (error) {
    const reason =
      error instanceof z.ZodError
        ? error.issues
            .slice(0, 10)
            .map(({ path: keys, message }) => `${keys.join('.') || 'as a whole'}: ${message}`)
            .join('; ')
        : String(error);
    throw new InputError(
      'MMLA_REPORT_INVALID',
      `${path} is no report.json of "affectgpt eval mmla" (format ${mmlaReportFormat}, version ${mmlaReportVersion}): ${reason}. Score the predictions again with --output.`,
      { cause: error },
    );
  }
}
