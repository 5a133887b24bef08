import { open } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { isSafePath } from '../hub/reference.ts';
import { makeFolder } from '../io/atomic.ts';
import { fileError, writeAll } from '../io/filesystem.ts';
import { withZip, type ZipArchive, type ZipEntry } from '../io/zip.ts';

/**
 * Takes members out of a wheel.
 *
 * @param place where a member goes, relative to `folder`; undefined for one that is not wanted
 * @returns the paths that were written, relative to `folder`
 * @throws InputError `WHEEL_UNSAFE` where a path would leave `folder`, before anything is written; those of `withZip`
 */
export async function unpackWheel(
  wheel: string,
  folder: string,
  place: (member: string) => string | undefined,
): Promise<string[]> {
  return withZip(wheel, async (archive) => {
    const wanted = [...archive.entries.values()].flatMap((entry) => {
      // Folders have entries of their own in some archives.
      const target = entry.name.endsWith('/') ? undefined : place(entry.name);
      return target === undefined ? [] : [{ entry, target }];
    });
    const unsafe = wanted.filter(({ target }) => !isSafePath(target));
    if (unsafe.length > 0) {
      const names = unsafe.map(({ entry }) => `"${entry.name.slice(0, 100)}"`).join(', ');
      throw new InputError(
        'WHEEL_UNSAFE',
        `${wheel} holds names that would be written elsewhere than into the engine's folder: ${names}. It is not a wheel to be trusted; nothing was unpacked.`,
      );
    }
    for (const { entry, target } of wanted) await writeMember(archive, entry, path.join(folder, target));
    return wanted.map(({ target }) => target);
  });
}

async function writeMember(archive: ZipArchive, entry: ZipEntry, file: string): Promise<void> {
  // Named here: around this the wheel is being read, and it would seem that it could not be written.
  const named = (error: unknown): never => {
    throw fileError(error, file, 'write', entry.size);
  };
  await makeFolder(path.dirname(file)).catch(named);
  const handle = await open(file, 'wx').catch(named);
  try {
    for await (const piece of archive.pieces(entry)) await writeAll(handle, piece).catch(named);
  } finally {
    await handle.close();
  }
}
