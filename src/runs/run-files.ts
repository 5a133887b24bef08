import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checkpointsFolder, listCheckpoints } from '../../train/checkpoint-folders.ts';
import { metricsName, type ReadMetrics, readMetrics } from '../../train/metrics.ts';
import {
  type DescribedState,
  describeState,
  type RunStatus,
  readRunStatus,
  statusName,
} from '../../train/run-status.ts';
import { isLowerBetter } from '../config/validation.ts';
import { InputError } from '../errors.ts';
import { fileError } from '../io/filesystem.ts';
import { readJsonl } from '../io/jsonl.ts';

/** Whether there is anything at a path. */
export const isThere = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined)) !== undefined;

/** A folder that a training has begun to fill; one of published checkpoints too. */
export async function isRunFolder(folder: string): Promise<boolean> {
  if (await isThere(join(folder, statusName))) return true;
  if (await isThere(join(folder, metricsName))) return true;
  return (await listCheckpoints(folder).catch(() => [])).length > 0;
}

/** @throws InputError `RUN_NOT_FOUND`, `NOT_A_RUN` */
export async function checkRunFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: unknown) => {
    const known = fileError(error, folder, 'read');
    if (known instanceof InputError && known.code === 'FILE_NOT_FOUND') {
      throw new InputError(
        'RUN_NOT_FOUND',
        `There is no folder ${folder}. Give the folder of a run, the "output" of its configuration; affectgpt runs lists those below a folder.`,
      );
    }
    throw known;
  });
  if (found.isDirectory() && (await isRunFolder(folder))) return;
  const isCheckpoint = found.isDirectory() && (await isThere(join(folder, 'state.json')));
  throw new InputError(
    'NOT_A_RUN',
    `${folder} is not the folder of a run: it has no ${statusName}, no ${metricsName} and no checkpoints. ` +
      (isCheckpoint
        ? 'It is a checkpoint; give the run folder two levels above it.'
        : 'Give the "output" of a training\'s configuration; affectgpt runs lists runs below a folder.'),
  );
}

/** How a run stands: as `describeState` says, or `unknown` where it has no status, or `unreadable`. */
export interface RunState {
  readonly state: DescribedState['state'] | 'unknown' | 'unreadable';
  readonly text: string;
}

/** The status of a run and how it stands by it; never an error. */
export async function readState(
  folder: string,
): Promise<RunState & { readonly status: RunStatus | undefined }> {
  try {
    const status = await readRunStatus(folder);
    if (status !== undefined) return { ...describeState(status), status };
    return { state: 'unknown', text: `unknown: there is no ${statusName}`, status };
  } catch (error) {
    return { state: 'unreadable', text: messageOf(error), status: undefined };
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const readRunMetrics = (folder: string): Promise<ReadMetrics> =>
  readMetrics(join(folder, metricsName));

const validationSchema = z.object({
  step: z.number(),
  loss: z.number().nullish(),
  samples: z.number().nullish(),
  metrics: z.record(z.string(), z.number().nullable()).default({}),
  answers: z
    .array(
      z.object({
        name: z.string(),
        question: z.string().default(''),
        text: z.string(),
        finish: z.string().default(''),
        expected: z.string().default(''),
      }),
    )
    .default([]),
});

/** A line of `validation.jsonl`, as far as it is shown. */
export type Validation = z.output<typeof validationSchema>;

/** Objects of a JSON Lines file and what is wrong with lines that cannot be shown. */
export interface ReadLines<T> {
  readonly lines: readonly T[];
  readonly faults: readonly string[];
}

/**
 * Reads a JSON Lines file to show it; nothing is changed. None where there is no file.
 * @param parse undefined for a line that is something else
 */
export async function readLines<T>(
  path: string,
  parse: (value: Record<string, unknown>) => T | undefined,
): Promise<ReadLines<T>> {
  const lines: T[] = [];
  const faults: string[] = [];
  try {
    const options = { onBadRow: (_: number, error: InputError) => faults.push(error.message) };
    for await (const { row, value } of readJsonl(path, options)) {
      const line = parse(value);
      if (line === undefined) faults.push(`${path}, row ${row} lacks what such a line has.`);
      else lines.push(line);
    }
  } catch (error) {
    const isAbsent = error instanceof InputError && error.code === 'FILE_NOT_FOUND';
    if (!isAbsent) faults.push(messageOf(error));
  }
  return { lines, faults };
}

/** The validations of a run. */
export const readRunValidations = (folder: string): Promise<ReadLines<Validation>> =>
  readLines(join(folder, 'validation.jsonl'), (value) => validationSchema.safeParse(value).data);

/** The best validation of a run by the metric that it is judged by. */
export interface BestValidation {
  readonly step: number;
  readonly metric: string;
  readonly value: number;
}

/** @param metric `loss`, or one of the others */
export function bestValidation(
  validations: readonly Validation[],
  metric: string,
): BestValidation | undefined {
  let best: BestValidation | undefined;
  for (const { step, loss, metrics } of validations) {
    const value = metric === 'loss' ? loss : metrics[metric];
    if (typeof value !== 'number') continue;
    const isBetter = best === undefined || (isLowerBetter(metric) ? value < best.value : value > best.value);
    if (isBetter) best = { step, metric, value };
  }
  return best;
}

/** Bytes of all files below a folder; links are not followed, and what cannot be read counts as nothing. */
export async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const sizes = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sizeOf(path);
    return entry.isFile() ? ((await stat(path).catch(() => undefined))?.size ?? 0) : 0;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** A checkpoint of a run on disk. */
export interface StoredCheckpoint {
  readonly name: string;
  readonly step: number;
  readonly bytes: number;
}

export async function storedCheckpoints(folder: string): Promise<StoredCheckpoint[]> {
  const found = await listCheckpoints(folder).catch(() => []);
  return Promise.all(
    found.map(async ({ folder: path, step }) => ({
      name: path.slice(checkpointsFolder(folder).length + 1),
      step,
      bytes: await sizeOf(path),
    })),
  );
}
