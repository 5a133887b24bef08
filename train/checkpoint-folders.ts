import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import { isUnfinishedName, writeFileAtomic } from '../src/io/atomic.ts';
import { fileError, readText } from '../src/io/filesystem.ts';

/** Where the checkpoints of a run lie. */
export const checkpointsFolder = (runFolder: string): string => join(runFolder, 'checkpoints');

/** `step-000100` */
export const checkpointName = (step: number): string => `step-${String(step).padStart(6, '0')}`;

const latestName = 'latest';

function stepOf(name: string): number | undefined {
  const digits = /^step-(\d{6,})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** A checkpoint on disk; complete, since folders get this name only when they are. */
export interface CheckpointFolder {
  readonly folder: string;
  readonly step: number;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw fileError(error, folder, 'read');
  }
}

/** All checkpoints of a run, oldest first. */
export async function listCheckpoints(runFolder: string): Promise<CheckpointFolder[]> {
  const folder = checkpointsFolder(runFolder);
  return (await namesIn(folder))
    .flatMap((name) => {
      const step = stepOf(name);
      return step === undefined ? [] : [{ folder: join(folder, name), step }];
    })
    .sort((a, b) => a.step - b.step);
}

/**
 * The checkpoint that a run continues from: the one that `latest` names, or the newest where a crash came before the
 * first `latest`. Undefined where the run has saved nothing yet.
 *
 * @throws InputError `CHECKPOINT_LATEST_INVALID` where `latest` names nothing that is there
 */
export async function findResumable(runFolder: string): Promise<CheckpointFolder | undefined> {
  const checkpoints = await listCheckpoints(runFolder);
  const file = join(checkpointsFolder(runFolder), latestName);
  let name: string;
  try {
    name = (await readText(file)).trim();
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return checkpoints.at(-1);
    throw error;
  }
  const step = stepOf(name);
  const named = checkpoints.find((checkpoint) => checkpoint.step === step);
  if (named === undefined) {
    const present = checkpoints.map((checkpoint) => checkpointName(checkpoint.step)).join(', ') || 'none';
    throw new InputError(
      'CHECKPOINT_LATEST_INVALID',
      `${file} names "${name.slice(0, 100)}", which is no checkpoint of this run. There are: ${present}. Write the name of one of them into the file.`,
    );
  }
  return named;
}

/** Makes `latest` name a checkpoint that is in place. */
export async function writeLatest(runFolder: string, step: number): Promise<void> {
  await writeFileAtomic(join(checkpointsFolder(runFolder), latestName), `${checkpointName(step)}\n`);
}

/** Takes a folder's name away first, so that no half-deleted folder looks like a checkpoint. */
async function removeFolder(parent: string, name: string): Promise<void> {
  const hidden = join(parent, `.${name}.${process.pid}-${randomBytes(6).toString('hex')}.partial`);
  await rename(join(parent, name), hidden);
  await rm(hidden, { recursive: true, force: true });
}

/**
 * Deletes all but the newest `keep` checkpoints up to `step`, the one that `latest` names. Later ones, which are left
 * where a run was set back by hand, are replaced when the run reaches them and are never deleted.
 *
 * @param keep at least 1
 */
export async function pruneCheckpoints(runFolder: string, step: number, keep: number): Promise<void> {
  const upToNow = (await listCheckpoints(runFolder)).filter((checkpoint) => checkpoint.step <= step);
  for (const old of upToNow.slice(0, Math.max(0, upToNow.length - keep))) {
    if (old.step !== step) await removeFolder(checkpointsFolder(runFolder), checkpointName(old.step));
  }
}

/** Removes what a killed process had begun to write or to delete. */
export async function removeUnfinished(runFolder: string): Promise<void> {
  const folder = checkpointsFolder(runFolder);
  for (const name of (await namesIn(folder)).filter(isUnfinishedName)) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
}
