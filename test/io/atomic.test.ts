import { chmod, mkdir, open, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { isUnfinishedName, writeFileAtomic, writeFolderAtomic } from '../../src/io/atomic.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('writeFileAtomic', () => {
  it('writes text, bytes and pieces, and replaces what was there', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'ä');
    expect(await readFile(path, 'utf8')).toBe('ä');
    await writeFileAtomic(path, Uint8Array.of(1, 2));
    expect([...(await readFile(path))]).toEqual([1, 2]);
    await writeFileAtomic(path, [Uint8Array.of(3), Uint8Array.of(4, 5)]);
    expect([...(await readFile(path))]).toEqual([3, 4, 5]);
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('leaves the former content and nothing else when the pieces fail half-way', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'former');
    let unfinished: string[] = [];
    async function* failing() {
      yield Buffer.from('half');
      unfinished = (await readdir(folder)).filter(isUnfinishedName);
      throw new TypeError('no more');
    }
    await expect(writeFileAtomic(path, failing())).rejects.toThrow(new TypeError('no more'));
    expect(unfinished).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['file']);
    expect(await readFile(path, 'utf8')).toBe('former');
  });

  it('copes with the longest file names', async () => {
    const folder = await temporaryFolder();
    const name = 'ü'.repeat(127);
    await writeFileAtomic(join(folder, name), 'x');
    expect(await readdir(folder)).toEqual([name]);
  });

  it('names a missing folder and a folder in the way', async () => {
    const folder = await temporaryFolder();
    await expect(writeFileAtomic(join(folder, 'none/file'), '')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
    await mkdir(join(folder, 'taken'));
    await expect(writeFileAtomic(join(folder, 'taken'), '')).rejects.toMatchObject({
      code: 'FILE_IS_A_FOLDER',
    });
    expect(await readdir(folder)).toEqual(['taken']);
  });
});

describe('writeFolderAtomic', () => {
  it('shows nothing before all is there, creates parents and gives back the result', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'a/b/run');
    const result = await writeFolderAtomic(target, async (temporary) => {
      await mkdir(join(temporary, 'inner'));
      await writeFile(join(temporary, 'inner/file'), 'x');
      await chmod(join(temporary, 'inner/file'), 0o400);
      await symlink('inner/file', join(temporary, 'link'));
      const there = await readdir(join(folder, 'a/b'));
      expect(there).toHaveLength(1);
      expect(isUnfinishedName(there[0]!)).toBe(true);
      return 7;
    });
    expect(result).toBe(7);
    expect(await readdir(join(folder, 'a/b'))).toEqual(['run']);
    expect(await readFile(join(target, 'link'), 'utf8')).toBe('x');
  });

  it('removes the temporary folder when filling fails, and keeps the former one', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'run');
    await writeFolderAtomic(target, (temporary) => writeFile(join(temporary, 'file'), 'former'));
    const failing = async (temporary: string) => {
      await writeFile(join(temporary, 'file'), 'new');
      throw new TypeError('no more');
    };
    await expect(writeFolderAtomic(target, failing, { existing: 'replace' })).rejects.toThrow('no more');
    expect(await readdir(folder)).toEqual(['run']);
    expect(await readFile(join(target, 'file'), 'utf8')).toBe('former');
  });

  it('passes on a file error of the filling itself', async () => {
    const target = join(await temporaryFolder(), 'run');
    const failing = async () => void (await readFile('/none'));
    await expect(writeFolderAtomic(target, failing)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('refuses an existing folder without filling anything, or replaces it', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'run');
    await writeFolderAtomic(target, (temporary) => writeFile(join(temporary, 'old'), ''));
    let filled = false;
    const fill = async (temporary: string) => {
      filled = true;
      await writeFile(join(temporary, 'new'), '');
    };
    await expect(writeFolderAtomic(target, fill)).rejects.toMatchObject({
      code: 'FOLDER_EXISTS',
      exitCode: 2,
    });
    expect(filled).toBe(false);
    await writeFolderAtomic(target, fill, { existing: 'replace' });
    expect(await readdir(target)).toEqual(['new']);
    expect(await readdir(folder)).toEqual(['run']);
  });

  it('refuses when another process was faster', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'run');
    const fill = () => writeFolderAtomic(target, (temporary) => writeFile(join(temporary, 'theirs'), ''));
    await expect(writeFolderAtomic(target, fill)).rejects.toMatchObject({ code: 'FOLDER_EXISTS' });
    expect(await readdir(folder)).toEqual(['run']);
    expect(await readdir(target)).toEqual(['theirs']);
  });

  it('never replaces a file by a folder', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'file'), 'x');
    const written = writeFolderAtomic(join(folder, 'file'), async () => undefined, { existing: 'replace' });
    await expect(written).rejects.toMatchObject({ code: 'NOT_A_FOLDER' });
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('x');
  });
});

describe('fsync', () => {
  /** Counts the calls of `FileHandle.sync` from here to the end of the test. */
  async function countSyncs() {
    const handle = await open(import.meta.filename);
    const sync = vi.spyOn(Object.getPrototypeOf(handle), 'sync');
    await handle.close();
    onTestFinished(() => sync.mockRestore());
    return sync;
  }

  it.skipIf(process.platform === 'win32')(
    'reaches files and folders before they are given their names',
    async () => {
      const folder = await temporaryFolder();
      const sync = await countSyncs();
      await writeFileAtomic(join(folder, 'file'), 'x');
      // The file, then its folder.
      expect(sync).toHaveBeenCalledTimes(2);
      sync.mockClear();
      await writeFolderAtomic(join(folder, 'run'), async (temporary) => {
        await mkdir(join(temporary, 'inner'));
        await writeFile(join(temporary, 'inner/file'), 'x');
        await writeFile(join(temporary, 'file'), 'x');
      });
      // Two files, the inner folder, the folder itself, the parent.
      expect(sync).toHaveBeenCalledTimes(5);
    },
  );
});

describe('isUnfinishedName', () => {
  it('knows the names of this module only', () => {
    expect(isUnfinishedName('.step-000100.4711-0123456789ab.partial')).toBe(true);
    expect(isUnfinishedName('.step-000100.4711-0123456789ab.replaced')).toBe(true);
    expect(isUnfinishedName('step-000100')).toBe(false);
    expect(isUnfinishedName('.partial')).toBe(false);
  });
});
