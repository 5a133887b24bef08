import { basename, dirname, join, resolve } from 'node:path';
import { type MmlaTaskKey, mmlaTaskKeys } from '../data/mmla/tasks.ts';
import type { OpenedRun } from '../predict/open-run.ts';
import { answerKeys, checkSettingsRead, openGivenRun } from './run-options.ts';

type Notify = (message: string) => void;

/**
 * Opens a run that is to answer, and says where it has a better checkpoint than the one that is taken.
 * @throws InputError `USAGE` for settings that would change nothing, and those of `openRun`
 */
export async function openAskedRun(checkpoint: string, set: string[], notify: Notify): Promise<OpenedRun> {
  // How answers are generated is said by options of their own, and every sample counts.
  const read = answerKeys.filter((key) => key !== 'generation' && key !== 'data.onBadSample');
  await checkSettingsRead(set, read, 'the evaluation');
  const { bestCheckpointName } = await import('../predict/open-run.ts');
  const run = await openGivenRun({ checkpoint, set });
  const best = await bestCheckpointName(run.checkpoint);
  if (best !== undefined && best !== basename(run.checkpoint)) {
    const file = join(dirname(resolve(run.checkpoint)), 'best');
    notify(
      `The checkpoint is ${basename(run.checkpoint)}; the best one by validation (${run.config.train.validation?.metric ?? 'loss'}) is ${best}: --checkpoint ${file}.`,
    );
  }
  return run;
}

/** Tasks that are asked about where none is named: those that a run was trained on, else all. */
export async function tasksOf(run: OpenedRun | undefined, notify: Notify): Promise<readonly MmlaTaskKey[]> {
  const { trainedTasks } = await import('../eval/mmla/answer/model-facts.ts');
  const trained = (run && trainedTasks(run.config)) ?? [];
  if (trained.length === 0) return mmlaTaskKeys;
  if (trained.length < mmlaTaskKeys.length) {
    notify(`The tasks are those that the run was trained on: ${trained.join(', ')}. Others by --task.`);
  }
  return trained;
}
