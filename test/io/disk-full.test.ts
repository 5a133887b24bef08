import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { AppendFile } from '../../src/io/append-file.ts';
import { writeFileAtomic, writeFolderAtomic } from '../../src/io/atomic.ts';
import type * as filesystem from '../../src/io/filesystem.ts';
import { writeSafetensors } from '../../src/io/safetensors.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Bytes after which the disk counts as full. */
const capacity = 100;

function noSpace(code: 'ENOSPC' | 'EDQUOT' = 'ENOSPC'): Error {
  return Object.assign(new Error(`${code}: no space left on device, write`), { code, syscall: 'write' });
}

vi.mock('../../src/io/filesystem.ts', async (importOriginal) => {
  const original = await importOriginal<typeof filesystem>();
  return {
    ...original,
    writeAll: async (...[handle, data]: Parameters<typeof original.writeAll>) => {
      const free = Math.max(0, capacity - (await handle.stat()).size);
      await original.writeAll(handle, data.subarray(0, free));
      if (data.byteLength > free) {
        throw noSpace();
      }
    },
  };
});

describe('a full disk', () => {
  it('leaves the former file, removes the temporary one and names path and bytes', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'former');
    await expect(writeFileAtomic(path, 'x'.repeat(101))).rejects.toMatchObject({
      name: 'InputError',
      code: 'DISK_FULL',
      message: expect.stringMatching(/file: the disk is full\. 101 bytes/),
    });
    expect(await readdir(folder)).toEqual(['file']);
    expect(await readFile(path, 'utf8')).toBe('former');
  });

  it('names all the bytes that a safetensors file needs', async () => {
    const folder = await temporaryFolder();
    const written = writeSafetensors(join(folder, 'model.safetensors'), {
      x: { dtype: 'F32', shape: [1000], data: new Float32Array(1000) },
    });
    // 8 for the length, 56 for {"x":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}} and blanks, 4000 data.
    await expect(written).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining(' 4072 bytes'),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('removes a folder that could not be filled', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'run');
    const fill = async (temporary: string) => {
      await writeFile(join(temporary, 'file'), 'half');
      throw noSpace('EDQUOT');
    };
    await expect(writeFolderAtomic(target, fill)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining(target),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('cuts off an incomplete record, so that later ones stay readable', async () => {
    const path = join(await temporaryFolder(), 'records');
    const file = await AppendFile.open(path, 'a');
    const first = file.append(Buffer.from('a'.repeat(60)));
    const tooLong = file.append(Buffer.from('b'.repeat(60)));
    const last = file.append(Buffer.from('c'.repeat(40)));
    await expect(tooLong).rejects.toMatchObject({ code: 'DISK_FULL' });
    await Promise.all([first, last, file.close()]);
    expect(await readFile(path, 'utf8')).toBe('a'.repeat(60) + 'c'.repeat(40));
  });

  it.runIf(existsSync('/dev/full'))('is recognised as the operating system reports it', async () => {
    const original = await vi.importActual<typeof filesystem>('../../src/io/filesystem.ts');
    const path = '/dev/full';
    const error = await writeFile(path, 'x').catch((caught) => caught);
    expect(original.fileError(error, path, 'write', 1)).toMatchObject({ code: 'DISK_FULL' });
  });
});
