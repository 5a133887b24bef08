import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../errors.ts';
import { fileError, isDiskFull, writeAll } from './filesystem.ts';

/** What a file is to hold: all at once, or pieces that are written one after another. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A hidden name beside `path`, so that the final rename stays within one file system. */
function siblingName(path: string, ending: 'partial' | 'replaced'): string {
  // File names end at 255 bytes on common file systems; the name is for people, the random part makes it unique.
  const name = Buffer.from(basename(path)).subarray(0, 120).toString('utf8').replaceAll('\ufffd', '');
  return join(dirname(path), `.${name}.${process.pid}-${randomBytes(6).toString('hex')}.${ending}`);
}

/**
 * Whether a file or folder name was made by this module: a `.partial` one holds what a killed process had not
 * finished, a `.replaced` one is the complete former content of a folder. Listings should leave both out.
 */
export function isUnfinishedName(name: string): boolean {
  return /^\..*\.\d+-[0-9a-f]{12}\.(partial|replaced)$/s.test(name);
}

/** Makes renames and new names in a folder durable. Windows and some network file systems have no such operation. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') {
    return;
  }
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && ['EINVAL', 'ENOTSUP'].includes(String(error.code)))) {
      throw error;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Creates a folder, with the parents that it lacks, so that a power cut does not take it and all that is put into it
 * later. Nothing happens where it is there.
 *
 * @throws as the file system does
 */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) {
    return;
  }
  const outermost = resolve(first);
  for (let made = resolve(path); ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === outermost) {
      return;
    }
  }
}

async function syncFile(path: string): Promise<void> {
  // Windows flushes only what is open for writing; elsewhere a read-only file must do.
  const handle = await open(path, process.platform === 'win32' ? 'r+' : 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncTree(path);
    } else if (entry.isFile()) {
      await syncFile(path);
    }
  }
  await syncFolder(folder);
}

/** Size of the content where it is known without producing it. */
function contentBytes(data: FileContent): number | undefined {
  if (typeof data === 'string') {
    return Buffer.byteLength(data);
  }
  return data instanceof Uint8Array ? data.byteLength : undefined;
}

function asPieces(data: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof data === 'string') {
    return [Buffer.from(data)];
  }
  return data instanceof Uint8Array ? [data] : data;
}

/**
 * Writes a file so that its path holds either the former content or all of the new one, also after a crash or a
 * power cut: a hidden temporary file in the same folder, fsync, rename, fsync of the folder. The folder must
 * exist. A symbolic link at `path` is replaced by the file. When writing fails the temporary file is removed.
 *
 * @param bytes total size when `data` comes in pieces, for the message when the disk is full
 * @throws InputError as in `fileError` (`DISK_FULL`, `FILE_NOT_FOUND`, ...); errors of `data` itself unchanged
 */
export async function writeFileAtomic(path: string, data: FileContent, bytes?: number): Promise<void> {
  const temporary = siblingName(path, 'partial');
  const total = bytes ?? contentBytes(data);
  const named = (error: unknown): never => {
    throw fileError(error, path, 'write', total);
  };
  // Exclusive: the name is random, so an existing file would be somebody else's.
  const handle = await open(temporary, 'wx').catch(named);
  try {
    try {
      for await (const piece of asPieces(data)) {
        await writeAll(handle, piece).catch(named);
      }
      await handle.sync().catch(named);
    } finally {
      await handle.close();
    }
    await rename(temporary, path).catch(named);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

function existsError(target: string, cause?: unknown): InputError {
  return new InputError(
    'FOLDER_EXISTS',
    `${target} exists already, and is not overwritten. Choose another name or remove it.`,
    { cause },
  );
}

/**
 * Puts a filled folder in place in one step: `fill` writes into a hidden sibling, every file and folder in it is
 * fsynced, then it is renamed to `target`. `target` is never half written. If `fill` throws, the temporary
 * folder is removed and the error passed on. Missing parent folders are created.
 *
 * Replacing takes two renames (no portable call exchanges folders): a power cut exactly between them leaves the
 * former folder complete under its `.replaced` name and the new one complete under its `.partial` name.
 *
 * @param options.existing `refuse` (default): an existing `target` is an error, before `fill` is called;
 *   `replace`: an existing folder makes way
 * @returns what `fill` returned
 * @throws InputError `FOLDER_EXISTS`, `NOT_A_FOLDER` (a file is in the way), and as in `fileError`
 */
export async function writeFolderAtomic<T>(
  target: string,
  fill: (temporaryFolder: string) => Promise<T>,
  options: { readonly existing?: 'refuse' | 'replace' } = {},
): Promise<T> {
  const path = resolve(target);
  const existing = options.existing ?? 'refuse';
  const temporary = siblingName(path, 'partial');
  const named = (error: unknown): never => {
    throw fileError(error, target, 'write');
  };
  const former = await lstat(path).catch(() => undefined);
  if (former !== undefined && existing === 'refuse') {
    throw existsError(target);
  }
  if (former !== undefined && !former.isDirectory()) {
    throw new InputError(
      'NOT_A_FOLDER',
      `${target} is not a folder, so no folder can take its place. Move it away or choose another name.`,
    );
  }
  await makeFolder(dirname(path)).catch(named);
  await mkdir(temporary).catch(named);
  try {
    const result = await fill(temporary).catch((error) => {
      throw isDiskFull(error) ? fileError(error, target, 'write') : error;
    });
    await syncTree(temporary).catch(named);
    await moveIntoPlace(temporary, path, existing).catch(named);
    await syncFolder(dirname(path));
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function moveIntoPlace(temporary: string, path: string, existing: 'refuse' | 'replace'): Promise<void> {
  if (existing === 'refuse' || !(await isThere(path))) {
    try {
      await rename(temporary, path);
    } catch (error) {
      // Another process was faster: a non-empty folder is never overwritten by rename.
      throw (await isThere(path)) ? existsError(path, error) : error;
    }
    return;
  }
  const replaced = siblingName(path, 'replaced');
  await rename(path, replaced);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rename(replaced, path);
    throw error;
  }
  // Else a power cut could undo the renames and leave the former folder with half its content.
  await syncFolder(dirname(path));
  await rm(replaced, { recursive: true, force: true });
}

/**
 * Removes a folder with all that is in it, in such a way that its name never stands for a part of it, also after a
 * crash or a power cut: it is renamed to a hidden name first.
 *
 * @throws as the file system does
 */
export async function removeFolderAtomic(path: string): Promise<void> {
  const hidden = siblingName(resolve(path), 'partial');
  await rename(path, hidden);
  await syncFolder(dirname(hidden));
  await rm(hidden, { recursive: true, force: true });
}

/**
 * Removes what processes that were killed while they wrote a file left beside it. A process that is writing that very
 * file now fails with `FILE_NOT_FOUND`.
 */
export async function removePartials(path: string): Promise<void> {
  const beginning = `.${basename(path)}.`;
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names.filter((one) => one.startsWith(beginning) && isUnfinishedName(one))) {
    // On some systems a file that is open cannot be removed; it is no worse than before.
    await rm(join(dirname(path), name), { force: true }).catch(() => undefined);
  }
}
