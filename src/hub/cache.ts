import { existsSync, readFileSync, statSync } from 'node:fs';
import { copyFile, lstat, mkdir, realpath, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '../io/atomic.ts';
import { fileError } from '../io/filesystem.ts';
import { isCommitHash, type ModelReference } from './reference.ts';

/**
 * Where things lie in the hub's cache, which is shared with its Python client:
 *
 *     models--organisation--name/blobs/<sha256 or git hash>           the files, by content
 *     models--organisation--name/snapshots/<commit>/config.json       links to them: `../../blobs/...`
 *     models--organisation--name/refs/main                            the commit that a branch or tag stood at
 *     models--organisation--name/trees/<commit>.json                  which files a commit has
 */
export interface RepositoryFolders {
  readonly blobs: string;
  readonly snapshots: string;
  readonly refs: string;
  readonly trees: string;
}

export function repositoryFolders(cacheFolder: string, id: string): RepositoryFolders {
  const root = path.join(cacheFolder, `models--${id.replaceAll('/', '--')}`);
  const below = (name: string) => path.join(root, name);
  return { blobs: below('blobs'), snapshots: below('snapshots'), refs: below('refs'), trees: below('trees') };
}

/** Bytes of a file, links followed; undefined where there is none. */
export function fileBytes(file: string): number | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : undefined;
}

/** The snapshot that the cache holds of a model, whole or not; undefined where there is none. */
export function cachedSnapshot(cacheFolder: string, { id, revision }: ModelReference): string | undefined {
  const folders = repositoryFolders(cacheFolder, id);
  let commit = revision;
  if (!isCommitHash(revision)) {
    const reference = path.join(folders.refs, revision);
    if (fileBytes(reference) === undefined) return undefined;
    commit = readFileSync(reference, 'utf8').trim();
    if (!isCommitHash(commit)) return undefined;
  }
  const snapshot = path.join(folders.snapshots, commit);
  return existsSync(snapshot) ? snapshot : undefined;
}

/** The model whose snapshot a folder is, going by the layout of the cache; undefined for any other folder. */
export function referenceOfSnapshot(folder: string): ModelReference | undefined {
  const [repository = '', snapshots, revision = ''] = path.resolve(folder).split(path.sep).slice(-3);
  if (!repository.startsWith('models--') || snapshots !== 'snapshots') return undefined;
  return { id: repository.slice('models--'.length).replaceAll('--', '/'), revision };
}

/** Notes the commit that a branch or tag stands at; nothing for a commit hash. */
export async function writeRef(folders: RepositoryFolders, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const file = path.join(folders.refs, revision);
  if (fileBytes(file) === commit.length && readFileSync(file, 'utf8') === commit) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFileAtomic(file, commit);
}

/** Refusals of systems and disks that have no symbolic links. */
const noLinks = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'UNKNOWN'];

/**
 * Makes a verified blob visible in a snapshot, in one step: a relative link, as the Python client makes it. Where
 * there are no links the blob itself is moved there if it is new, else copied.
 *
 * @throws InputError those of `fileError`
 */
export async function placeInSnapshot(
  blob: string,
  target: string,
  { symlinks, isNew }: { readonly symlinks: boolean; readonly isNew: boolean },
): Promise<void> {
  const temporary = `${target}.${process.pid}-${Math.random().toString(36).slice(2)}.incomplete`;
  try {
    await mkdir(path.dirname(target), { recursive: true });
    // Where the cache is reached through a link, a relative one has to start from where it really lies.
    const from = await realpath(path.dirname(target));
    const to = path.join(await realpath(path.dirname(blob)), path.basename(blob));
    const linked = symlinks && (await isLinked(path.relative(from, to), temporary));
    if (!linked) await (isNew ? rename(blob, temporary) : copyFile(blob, temporary));
    // A folder in the way is not replaced by rename, anything else is.
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(error, target, 'write');
  }
}

async function isLinked(content: string, link: string): Promise<boolean> {
  try {
    await symlink(content, link);
    return (await lstat(link)).isSymbolicLink();
  } catch (error) {
    if (error instanceof Error && 'code' in error && noLinks.includes(String(error.code))) return false;
    throw error;
  }
}
