import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { writeFolderAtomic } from '../../src/io/atomic.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Which rename fails, counted from 1. */
const disk = vi.hoisted(() => ({ renames: 0, failing: 0 }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs/promises')>();
  const rename: typeof original.rename = async (from, to) => {
    disk.renames++;
    if (disk.renames === disk.failing) {
      throw Object.assign(new Error('EIO: i/o error, rename'), { code: 'EIO', syscall: 'rename' });
    }
    return original.rename(from, to);
  };
  return { ...original, rename };
});

beforeEach(() => {
  disk.renames = 0;
});

/** Replaces a folder on a disk where one rename fails. @returns what is left */
async function replaceWith(failing: number): Promise<Record<string, string>> {
  const parent = await temporaryFolder();
  const target = join(parent, 'run');
  await mkdir(target);
  await writeFile(join(target, 'file'), 'former');
  disk.failing = failing;
  const replaced = writeFolderAtomic(target, (folder) => writeFile(join(folder, 'file'), 'new'), {
    existing: 'replace',
  });
  await expect(replaced).rejects.toMatchObject({ code: 'FILE_FAILED' });
  const names = await readdir(parent);
  const contents = names.map(async (name) => [name, await readFile(join(parent, name, 'file'), 'utf8')]);
  return Object.fromEntries(await Promise.all(contents));
}

it('a folder that cannot make way stays where it is', async () => {
  expect(await replaceWith(1)).toEqual({ run: 'former' });
});

it('a folder comes back where the new one cannot take its place', async () => {
  expect(await replaceWith(2)).toEqual({ run: 'former' });
});
