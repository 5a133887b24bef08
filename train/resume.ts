import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import {
  type Checkpoint,
  type CheckpointState,
  loadCheckpoint,
  readCheckpointState,
  type TensorShapes,
} from './checkpoint.ts';
import {
  checkpointName,
  findResumable,
  type Keeping,
  listCheckpoints,
  pruneCheckpoints,
  removeUnfinished,
} from './checkpoint-folders.ts';
import { checkData, type DataRecord } from './data-record.ts';
import { checkIdentity, type RunIdentity } from './identity.ts';
import { metricsName } from './metrics.ts';
import type { EpochSampler } from './sampler.ts';
import { validationStanding } from './validation/run-validation.ts';
import type { ValidationPolicy } from './validation/validator.ts';

/** What a run has to have in common with the one that it continues, known before its samples are. */
export interface ResumeTerms {
  readonly runFolder: string;
  /** `auto` continues where there is a checkpoint; `never` insists on a folder without a run. */
  readonly resume: 'auto' | 'never';
  readonly identity: RunIdentity;
  readonly seed: number;
  readonly steps: number;
  /** Processes that train together; one where absent. */
  readonly ranks?: number;
  /** What is told about the samples; not compared where absent. */
  readonly data?: DataRecord | undefined;
  /** Which checkpoints stay: what a kill after the last one kept from being removed goes; nothing does where absent. */
  readonly keeping?: Keeping;
  /** How it is validated, and on what; absent where it is not. */
  readonly validation?: (ValidationPolicy & { readonly set: string }) | undefined;
}

/** What a run has to have in common with the one that it continues. */
export interface ResumeRequest extends ResumeTerms {
  readonly shapes: TensorShapes;
  /** Number of samples, and what stands for their names. */
  readonly samples: number;
  readonly sampler: Pick<EpochSampler, 'namesHash'>;
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

/** @throws InputError `RESUME_CONFIG_CHANGED`, `RESUME_SEED_CHANGED`, `RESUME_DATA_CHANGED`, `RUN_COMPLETE` */
async function checkTerms(state: CheckpointState, folder: string, terms: ResumeTerms): Promise<void> {
  const { identity, seed, steps, data, runFolder, validation, ranks = 1 } = terms;
  checkIdentity(state.config, identity, folder, { saved: state.ranks ?? 1, current: ranks });
  if (state.rng.seed !== seed) {
    throw new InputError(
      'RESUME_SEED_CHANGED',
      `The run cannot be continued from ${folder}: its seed was ${state.rng.seed} and is now ${seed}. Set it as it was.`,
    );
  }
  if (data !== undefined) await checkData(state.dataDigest, data, { runFolder, checkpoint: folder });
  const standing = validation && (await validationStanding(runFolder, state.step, validation));
  // A signal or a kill may have come before the last validation, and what follows from it, was done.
  const isUnfinished = standing?.isUnfinished === true;
  if (standing?.earlyStop !== undefined && !isUnfinished) {
    throw new InputError(
      'RUN_COMPLETE',
      `Nothing remains to be done: the run was stopped early at step ${state.step} (${folder}), because ${standing.earlyStop}. Set train.validation.patience higher, or to null, to train on, or choose another output folder for a new run.`,
    );
  }
  if (state.step > steps || (state.step === steps && !isUnfinished)) {
    throw new InputError(
      'RUN_COMPLETE',
      `Nothing remains to be done: ${folder} is at step ${state.step} of ${steps}. Set train.steps higher to train on (or train.epochs), or choose another output folder for a new run.`,
    );
  }
}

/**
 * Whether a run may begin, or go on, in a folder, as far as can be told without its tensors: so that a refusal comes
 * before the features of a large data set are computed.
 *
 * @throws InputError `RUN_EXISTS`, `CHECKPOINT_LATEST_INVALID`, those of `readCheckpointState`, `RESUME_CONFIG_CHANGED`,
 *   `RESUME_SEED_CHANGED`, `RESUME_DATA_CHANGED`, `RUN_COMPLETE`
 */
export async function checkResumable(terms: ResumeTerms): Promise<void> {
  if (terms.resume === 'never') await checkUnused(terms.runFolder);
  const found = await findResumable(terms.runFolder);
  if (found === undefined) return;
  try {
    await checkTerms(await readCheckpointState(found.folder), found.folder, terms);
  } catch (error) {
    if (terms.keeping !== undefined && error instanceof InputError && error.code === 'RUN_COMPLETE') {
      await removeUnfinished(terms.runFolder);
      await pruneCheckpoints(terms.runFolder, found.step, terms.keeping);
    }
    throw error;
  }
}

/** @throws InputError `RESUME_DATA_CHANGED` */
function checkNames({ state }: Checkpoint, folder: string, request: ResumeRequest): void {
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
  const { runFolder, resume, shapes } = request;
  if (resume === 'never') await checkUnused(runFolder);
  const found = await findResumable(runFolder);
  await removeUnfinished(runFolder);
  if (found === undefined) return undefined;
  const checkpoint = await loadCheckpoint(found.folder, shapes);
  checkNames(checkpoint, found.folder, request);
  await checkTerms(checkpoint.state, found.folder, request);
  return { folder: found.folder, checkpoint };
}

const ranksText = (ranks: number): string => (ranks === 1 ? '1 process' : `${ranks} ranks`);

/** What is said where a run goes on. */
export function describeResumption(
  { folder, checkpoint: { state } }: ResumedRun,
  { steps, ranks, samples }: { readonly steps: number; readonly ranks: number; readonly samples: number },
): string {
  const { step, samplesSeen, sampler, epoch, ranks: before = 1 } = state;
  const change =
    ranks === before
      ? ''
      : ` It was trained by ${ranksText(before)} until now, and by ${ranksText(ranks)} from here: equal losses need equal train.batchSize x train.accumulation x ranks.`;
  return (
    `Resumed from ${folder}: ${step} of ${steps} steps done, ${samplesSeen} samples seen, ` +
    `sample ${sampler.index} of ${samples} in epoch ${epoch}; ${steps - step} steps remain.${change}`
  );
}
