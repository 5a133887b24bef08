import { join } from 'node:path';
import { inputMode } from '../../../../model/modes.ts';
import type { Config } from '../../../config/schema.ts';
import { clipTables } from '../../../data/datasets.ts';
import { type MmlaTaskKey, mmlaTaskKeys } from '../../../data/mmla/tasks.ts';
import { InputError } from '../../../errors.ts';
import { agreedFacts } from '../leaderboard/about.ts';
import { type MmlaModelFacts, type MmlaReport, readMmlaReport } from '../report/schema.ts';

/**
 * The tasks of MMLA that a configuration trains on: none with the data sets of AffectGPT.
 * @returns undefined where it does not tell, as with samples of a manifest
 */
export function trainedTasks({ data }: Config): readonly MmlaTaskKey[] | undefined {
  if (data.dataset === 'mmla') return data.mmla?.tasks ?? mmlaTaskKeys;
  return data.dataset !== null && Object.hasOwn(clipTables, data.dataset) ? [] : undefined;
}

/**
 * How a run came to its answers about tasks.
 * @returns undefined where that is not told, and of a run that was trained on other tasks than these
 */
export function methodOfRun(config: Config, tasks: readonly MmlaTaskKey[]): MmlaModelFacts['method'] {
  const trained = trainedTasks(config);
  if (trained?.length === 0) return 'zero-shot';
  if (trained === undefined || !tasks.every((task) => trained.includes(task))) return undefined;
  return trained.length === 1 ? 'sft' : 'it';
}

/** What inputs of a run (`model.inputs`) give it of a sample. */
export function modalityOfInputs(inputs: string): NonNullable<MmlaModelFacts['modality']> {
  const { needs } = inputMode(inputs);
  if (needs.length === 0) return 'text';
  return needs.every((feature) => feature === 'audio') ? 'audio' : 'video';
}

/**
 * What the reports beside stored answers tell of their model, as `eval mmla --output` leaves them there.
 *
 * @param folders with answers, of one model each
 * @param tasks whose answers are taken; of those that a report is not about it does not tell how they came to be
 * @returns what all of them tell alike; nothing where one has no report
 */
export async function storedFacts(
  folders: readonly string[],
  tasks: readonly MmlaTaskKey[],
): Promise<MmlaModelFacts> {
  const reports = await Promise.all(folders.map(reportBeside));
  return agreedFacts(
    reports.map((report) => {
      if (report === undefined) return {};
      const { method: _, ...others } = report.model;
      const isOfAll = tasks.every((key) => report.tasks.some(({ task }) => task === key));
      return isOfAll ? report.model : others;
    }),
  );
}

async function reportBeside(folder: string): Promise<MmlaReport | undefined> {
  return readMmlaReport(join(folder, 'report.json')).catch((error: unknown) => {
    if (error instanceof InputError) return undefined;
    throw error;
  });
}
