import { copyFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentIdentity, sha256, sha256File } from '../../src/io/checksum.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('sha256', () => {
  it('is the published function, of text and of bytes', () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(sha256('abc')).toBe(abc);
    expect(sha256(Uint8Array.of(97, 98, 99))).toBe(abc);
  });

  it('is the same of a file as of its bytes, also across pieces', async () => {
    const path = join(await temporaryFolder(), 'file');
    for (const length of [0, 3, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1]) {
      const bytes = Buffer.alloc(length, 7);
      await writeFile(path, bytes);
      expect(await sha256File(path)).toBe(sha256(bytes));
    }
  });

  it('names a missing file', async () => {
    await expect(sha256File('/none')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('contentIdentity', () => {
  const mebibyte = 1024 * 1024;
  const time = new Date('2024-01-01T00:00:00Z');

  /** The identity of a file of `size` bytes with one byte changed, always with the same modification time. */
  async function identityWith(size: number, changed?: number, name = 'model.bin', header?: number) {
    const path = join(await temporaryFolder(), name);
    const bytes = Buffer.alloc(size);
    if (header !== undefined) {
      bytes.writeBigUInt64LE(BigInt(header));
    }
    if (changed !== undefined) {
      bytes[changed] = 1;
    }
    await writeFile(path, bytes);
    await utimes(path, time, time);
    return contentIdentity(path);
  }

  it('holds size and modification time in nanoseconds', async () => {
    const { size, mtime } = await identityWith(10);
    expect({ size, mtime }).toEqual({ size: 10, mtime: `${time.getTime()}000000` });
  });

  it('covers a small file completely', async () => {
    const size = mebibyte + 500_000;
    const same = await identityWith(size);
    expect(await identityWith(size)).toEqual(same);
    for (const changed of [0, 8, mebibyte - 1, mebibyte, mebibyte + 250_000, size - 1]) {
      expect((await identityWith(size, changed)).sha256).not.toBe(same.sha256);
    }
  });

  it('covers beginning, end and samples of a big file, and not more', async () => {
    const size = 8 * mebibyte;
    const same = await identityWith(size);
    const stride = (size - mebibyte - 64 * 1024) / 256;
    const covered = [0, mebibyte - 1, size - 64 * 1024, size - 1, mebibyte + Math.floor(stride * 100) + 4095];
    for (const changed of covered) {
      expect((await identityWith(size, changed)).sha256).not.toBe(same.sha256);
    }
    expect(await identityWith(size, mebibyte + Math.floor(stride * 100) + 5000)).toEqual(same);
  });

  it('covers the whole header of a safetensors file', async () => {
    const size = 8 * mebibyte;
    const changed = mebibyte + 5000;
    const plain = await identityWith(size, undefined, 'model.bin', 2 * mebibyte);
    expect(await identityWith(size, changed, 'model.bin', 2 * mebibyte)).toEqual(plain);
    const same = await identityWith(size, undefined, 'model.safetensors', 2 * mebibyte);
    expect(await identityWith(size, changed, 'model.safetensors', 2 * mebibyte)).not.toEqual(same);
  });

  it('takes a copy for another file, on the safe side', async () => {
    const folder = await temporaryFolder();
    const [first, second] = [join(folder, 'a'), join(folder, 'b')];
    await writeFile(first, 'x');
    await utimes(first, time, time);
    await copyFile(first, second);
    expect((await stat(second)).mtimeMs).not.toBe(time.getTime());
    const { mtime, ...rest } = await contentIdentity(second);
    expect(await contentIdentity(first)).toMatchObject(rest);
    expect((await contentIdentity(first)).mtime).not.toBe(mtime);
  });
});
