import { mkdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { fileError } from '../io/filesystem.ts';
import { fileBytes, placeInSnapshot, type RepositoryFolders, repositoryFolders, writeRef } from './cache.ts';
import { downloadBlob } from './download.ts';
import { listCommit, type RepositoryFile, resolveCommit } from './listing.ts';
import { partialBytes } from './partial.ts';
import type { ModelReference } from './reference.ts';
import type { HubConnection } from './request.ts';
import { selectFiles } from './selection.ts';

/** What is to be done for one model, as far as the hub's listing and the cache tell. */
export interface PullPlan {
  readonly reference: ModelReference;
  readonly commit: string;
  /** Folder of the model, whole after `runPull`. */
  readonly snapshot: string;
  /** Files that the model is to have here. */
  readonly selected: readonly RepositoryFile[];
  /** Those that are not in the snapshot yet. */
  readonly missing: readonly RepositoryFile[];
  /** Bytes that have to come, those of earlier attempts left out. */
  readonly bytesToCome: number;
}

/** Told how far a file is: called for every piece that arrives. */
export type PullProgress = (file: RepositoryFile, bytes: number) => void;

/** Whether the blob of a file is in the cache with the size it has to have. */
const hasBlob = (folders: RepositoryFolders, file: RepositoryFile): boolean =>
  fileBytes(path.join(folders.blobs, file.hash)) === file.bytes;

/**
 * Finds out what a pull would do. Asks the hub for the commit and its files; nothing for a commit hash whose files
 * were listed before. Downloads nothing.
 *
 * @param include patterns of file names; without any, all that opening a model needs
 * @throws InputError those of `resolveCommit`, `listCommit` and `selectFiles`
 */
export async function planPull(
  connection: HubConnection,
  reference: ModelReference,
  include: readonly string[] = [],
): Promise<PullPlan> {
  const folders = repositoryFolders(connection.settings.cacheFolder, reference.id);
  const commit = await resolveCommit(connection, reference);
  const files = await listCommit(connection, reference, commit, folders.trees);
  const byName = new Map(files.map((file) => [file.name, file]));
  const selected = selectFiles(reference, [...byName.keys()], include).map((name) => byName.get(name)!);
  const snapshot = path.join(folders.snapshots, commit);
  const missing = selected.filter(({ name, bytes }) => fileBytes(path.join(snapshot, name)) !== bytes);
  const toCome = new Map(missing.filter((file) => !hasBlob(folders, file)).map((file) => [file.hash, file]));
  let bytesToCome = 0;
  for (const { hash, bytes } of toCome.values()) {
    bytesToCome += Math.max(0, bytes - (await partialBytes(path.join(folders.blobs, hash))));
  }
  return { reference, commit, snapshot, selected, missing, bytesToCome };
}

/**
 * Checks that the cache's disk has room for what is to come.
 * @param freeBytes of the disk that holds a folder; the operating system's figure unless given
 * @throws InputError `DISK_FULL` with what is needed, what there is, and where
 */
export async function checkSpace(
  { settings }: HubConnection,
  plans: readonly PullPlan[],
  freeBytes: (folder: string) => Promise<number> = freeBytesOf,
): Promise<void> {
  const needed = plans.reduce((sum, plan) => sum + plan.bytesToCome, 0);
  if (needed === 0) return;
  const { cacheFolder } = settings;
  await mkdir(cacheFolder, { recursive: true }).catch((error) => {
    throw fileError(error, cacheFolder, 'write');
  });
  const free = await freeBytes(cacheFolder);
  if (free >= needed) return;
  throw new InputError(
    'DISK_FULL',
    `${needed} bytes are to come, but the disk of ${cacheFolder} has room for ${free} only. Free some space, or name a folder on another disk with HF_HUB_CACHE. Nothing was downloaded.`,
  );
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/**
 * Downloads what a plan lacks. Every file is verified before it appears in the snapshot, and the branch or tag points
 * to the snapshot only when all are there: until then, what was pulled before stays in use.
 *
 * @throws InputError those of `downloadBlob`; what came is kept for the next attempt
 */
export async function runPull(
  connection: HubConnection,
  plan: PullPlan,
  progress: PullProgress = () => {},
): Promise<void> {
  const { reference, commit, snapshot, missing } = plan;
  const { symlinks } = connection.settings;
  const folders = repositoryFolders(connection.settings.cacheFolder, reference.id);
  await mkdir(folders.blobs, { recursive: true }).catch((error) => {
    throw fileError(error, folders.blobs, 'write');
  });
  for (const file of missing) {
    const blob = path.join(folders.blobs, file.hash);
    const target = path.join(snapshot, file.name);
    const isNew = !hasBlob(folders, file);
    if (isNew) {
      const onBytes = (bytes: number) => progress(file, bytes);
      await downloadBlob(connection, { reference, commit, file, blob, onBytes });
    }
    // Without links two processes may both have moved the blob there.
    if (fileBytes(blob) === undefined && fileBytes(target) === file.bytes) continue;
    await placeInSnapshot(blob, target, { symlinks, isNew });
  }
  await writeRef(folders, reference.revision, commit).catch((error) => {
    throw fileError(error, folders.refs, 'write');
  });
}
