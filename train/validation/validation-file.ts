import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../src/errors.ts';
import { writeFileAtomic } from '../../src/io/atomic.ts';
import { readText } from '../../src/io/filesystem.ts';
import { dropTornLine, jsonLines, readJsonl } from '../../src/io/jsonl.ts';
import type { ValidationResult } from './validator.ts';

/** The validations of a run, one a line. */
export const validationName = 'validation.jsonl';

/** A line of `validation.jsonl`. */
export interface ValidationLine extends ValidationResult {
  /** Optimizer steps done before it. */
  readonly step: number;
  /** Stands for what it was measured on: `set` of the validator. */
  readonly set: string;
  readonly seconds: number;
}

const count = z.number().int().min(0);
const lineSchema = z.object({
  step: count,
  loss: z.number(),
  samples: count,
  supervisedTokens: count,
  metrics: z.record(z.string(), z.number()),
  answers: z.array(
    z.object({
      name: z.string(),
      question: z.string(),
      text: z.string(),
      finish: z.enum(['stop', 'length']),
      expected: z.string(),
    }),
  ),
  seconds: z.number().min(0),
  set: z.string(),
});

/**
 * The validations of a run in the order of their steps; none where there is no file. A last line that a killed process
 * left torn is taken away.
 *
 * @throws InputError `VALIDATION_FILE_INVALID`, and those of `readJsonl`
 */
export async function readValidations(runFolder: string): Promise<ValidationLine[]> {
  const path = join(runFolder, validationName);
  await dropTornLine(path);
  const lines: ValidationLine[] = [];
  try {
    for await (const { row, value } of readJsonl(path)) {
      const parsed = lineSchema.safeParse(value);
      if (!parsed.success) {
        const faults = parsed.error.issues.map(({ path: key, message }) => `${key.join('.')}: ${message}`);
        throw new InputError(
          'VALIDATION_FILE_INVALID',
          `${path}, row ${row} is not a line of validations (${faults.slice(0, 5).join('; ')}). Remove the line, or move the file away.`,
        );
      }
      lines.push(parsed.data);
    }
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return [];
    throw error;
  }
  return lines;
}

/**
 * What a validation of so many samples took on average in a run; undefined where there was none. Looks only: nothing in the
 * folder changes, whatever state its file is in.
 */
export async function secondsOfValidation(runFolder: string, samples: number): Promise<number | undefined> {
  const text = await readText(join(runFolder, validationName)).catch(() => '');
  const seconds = text.split('\n').flatMap((line) => {
    try {
      const parsed = lineSchema.safeParse(JSON.parse(line));
      return parsed.success && parsed.data.samples === samples ? [parsed.data.seconds] : [];
    } catch {
      return [];
    }
  });
  return seconds.length === 0 ? undefined : seconds.reduce((sum, one) => sum + one, 0) / seconds.length;
}

/**
 * Takes the validations after a step out of the file of a run, atomically, so that a run that goes on from there writes
 * none twice.
 *
 * @returns those that stay
 * @throws InputError those of `readValidations`
 */
export async function cutValidations(runFolder: string, step: number): Promise<ValidationLine[]> {
  const lines = await readValidations(runFolder);
  const kept = lines.filter((line) => line.step <= step);
  if (kept.length < lines.length) {
    const text = jsonLines(kept);
    await writeFileAtomic(join(runFolder, validationName), text);
  }
  return kept;
}
