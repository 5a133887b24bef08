import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import { isUnfinishedName, removeFolderAtomic, writeFileAtomic } from '../src/io/atomic.ts';
import { fileError, readText } from '../src/io/filesystem.ts';

/** Where the checkpoints of a run lie. */
export const checkpointsFolder = (runFolder: string): string => join(runFolder, 'checkpoints');

/** `step-000100` */
export const checkpointName = (step: number): string => `step-${String(step).padStart(6, '0')}`;

const latestName = 'latest';
const bestName = 'best';

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

/** Makes `best` name a checkpoint that is in place: the best by validation so far. */
export async function writeBest(runFolder: string, step: number): Promise<void> {
  await writeFileAtomic(join(checkpointsFolder(runFolder), bestName), `${checkpointName(step)}\n`);
}

/** Step of the checkpoint that `best` names; undefined where there is no such file, or it names none. */
export async function readBest(runFolder: string): Promise<number | undefined> {
  try {
    return stepOf((await readText(join(checkpointsFolder(runFolder), bestName))).trim());
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** For runs of which nothing is known to be the best any more. */
export async function removeBest(runFolder: string): Promise<void> {
  await rm(join(checkpointsFolder(runFolder), bestName), { force: true });
}

/** Which checkpoints stay on disk. */
export interface Keeping {
  /** Newest ones, at least 1. */
  readonly keep: number;
  /** Those of steps that this divides stay for good. */
  readonly keepEvery?: number | null;
}

/**
 * Deletes all but the newest `keep` checkpoints up to `step`, the one that `latest` names, the one that `best` names and
 * those of `keepEvery`. Later ones, which are left where a run was set back by hand, are replaced when the run reaches
 * them and are never deleted.
 */
export async function pruneCheckpoints(
  runFolder: string,
  step: number,
  { keep, keepEvery = null }: Keeping,
): Promise<void> {
  const best = await readBest(runFolder);
  const upToNow = (await listCheckpoints(runFolder)).filter((checkpoint) => checkpoint.step <= step);
  for (const old of upToNow.slice(0, Math.max(0, upToNow.length - keep))) {
    const stays =
      old.step === step || old.step === best || (keepEvery !== null && old.step % keepEvery === 0);
    if (!stays) await removeFolderAtomic(join(checkpointsFolder(runFolder), checkpointName(old.step)));
  }
}

/** Removes what a killed process had begun to write or to delete, in the run folder and among its checkpoints. */
export async function removeUnfinished(runFolder: string): Promise<void> {
  for (const folder of [runFolder, checkpointsFolder(runFolder)]) {
    for (const name of (await namesIn(folder)).filter(isUnfinishedName)) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}
