import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import { type Checkpoint, loadCheckpoint, type TensorShapes } from './checkpoint.ts';
import { checkpointName, findResumable, listCheckpoints, removeUnfinished } from './checkpoint-folders.ts';
import { checkIdentity, type RunIdentity } from './identity.ts';
import { metricsName } from './metrics.ts';
import type { EpochSampler } from './sampler.ts';

/** What a run has to have in common with the one that it continues. */
export interface ResumeRequest {
  readonly runFolder: string;
  /** `auto` continues where there is a checkpoint; `never` insists on a folder without a run. */
  readonly resume: 'auto' | 'never';
  readonly shapes: TensorShapes;
  readonly identity: RunIdentity;
  readonly seed: number;
  /** Number of samples, and what stands for their names. */
  readonly samples: number;
  readonly sampler: Pick<EpochSampler, 'namesHash'>;
  readonly steps: number;
}

/** What a run continues from. */
export interface ResumedRun {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
}

/** For runs that insist on a fresh folder. @throws InputError `RUN_EXISTS` */
export async function checkUnused(runFolder: string): Promise<void> {
  const checkpoints = await listCheckpoints(runFolder);
  const metrics = await stat(join(runFolder, metricsName)).catch(() => undefined);
  if (checkpoints.length > 0 || (metrics?.size ?? 0) > 0) {
    const found =
      checkpoints.length > 0 ? `checkpoints up to ${checkpointName(checkpoints.at(-1)!.step)}` : metricsName;
    throw new InputError(
      'RUN_EXISTS',
      `${runFolder} holds a run already (${found}), which is not overwritten. Continue it with --resume auto, choose another output folder, or move this one away.`,
    );
  }
}

/** @throws InputError `RESUME_CONFIG_CHANGED`, `RESUME_SEED_CHANGED`, `RESUME_DATA_CHANGED` */
function checkSameRun({ state }: Checkpoint, folder: string, request: ResumeRequest): void {
  checkIdentity(state.config, request.identity, folder);
  if (state.rng.seed !== request.seed) {
    throw new InputError(
      'RESUME_SEED_CHANGED',
      `The run cannot be continued from ${folder}: its seed was ${state.rng.seed} and is now ${request.seed}. Set it as it was.`,
    );
  }
  const { samples, namesHash } = state.sampler;
  if (namesHash !== request.sampler.namesHash) {
    const difference =
      samples === request.samples
        ? `there are ${samples} samples as before, but their names or their order differ`
        : `there were ${samples} samples and are now ${request.samples}`;
    throw new InputError(
      'RESUME_DATA_CHANGED',
      `The run cannot be continued from ${folder}, because its data have changed: ${difference}. Restore the data, or start a new run in another output folder.`,
    );
  }
}

/**
 * What a run in a folder begins with: the checkpoint that it continues from, or undefined for a new one. Removes what a
 * killed process left unfinished.
 *
 * @throws InputError `RUN_EXISTS`; where there is a checkpoint those of `loadCheckpoint`, `RESUME_CONFIG_CHANGED`,
 *   `RESUME_SEED_CHANGED`, `RESUME_DATA_CHANGED`, and `RUN_COMPLETE` where no step remains
 */
export async function resumeRun(request: ResumeRequest): Promise<ResumedRun | undefined> {
  const { runFolder, resume, shapes, steps } = request;
  if (resume === 'never') await checkUnused(runFolder);
  const found = await findResumable(runFolder);
  await removeUnfinished(runFolder);
  if (found === undefined) return undefined;
  const checkpoint = await loadCheckpoint(found.folder, shapes);
  checkSameRun(checkpoint, found.folder, request);
  const { step } = checkpoint.state;
  if (step >= steps) {
    throw new InputError(
      'RUN_COMPLETE',
      `Nothing remains to be done: ${found.folder} is at step ${step} of ${steps}. Set train.steps higher to train on, or choose another output folder for a new run.`,
    );
  }
  return { folder: found.folder, checkpoint };
}
