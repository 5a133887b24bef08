import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { NpyArray } from '../../src/io/npy.ts';
import { openNpy, readNpy, readNpyRows, writeNpy } from '../../src/io/npy.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** An npy file with the given header text. */
function fileOf(header: string, data: Uint8Array, version = 1): Buffer {
  const text = Buffer.from(`${header}\n`, version === 3 ? 'utf8' : 'latin1');
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) {
    start.writeUInt16LE(text.byteLength, 8);
  } else {
    start.writeUInt32LE(text.byteLength, 8);
  }
  return Buffer.concat([start, text, data]);
}

const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

async function pathWith(bytes: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'array.npy');
  await writeFile(path, bytes);
  return path;
}

describe('npy files', () => {
  it.each<NpyArray>([
    { dtype: 'uint8', shape: [2, 2], data: Uint8Array.of(0, 1, 254, 255) },
    { dtype: 'int16', shape: [2], data: Int16Array.of(-32768, 32767) },
    { dtype: 'int32', shape: [1, 1, 1], data: Int32Array.of(-(2 ** 31)) },
    { dtype: 'int64', shape: [], data: BigInt64Array.of(-(2n ** 63n)) },
    { dtype: 'float32', shape: [3], data: Float32Array.of(1.5, Number.NaN, -0) },
    { dtype: 'float64', shape: [1], data: Float64Array.of(Math.PI) },
    { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
    { dtype: 'float32', shape: [0, 768], data: new Float32Array(0) },
  ])('come back as written: $dtype $shape', async (array) => {
    const path = join(await temporaryFolder(), 'array.npy');
    await writeNpy(path, array);
    expect(await readNpy(path)).toEqual(array);
    expect((await openNpy(path)).begin % 64).toBe(0);
  });

  it('are written as NumPy writes them', async () => {
    const path = join(await temporaryFolder(), 'array.npy');
    await writeNpy(path, { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6.5) });
    const bytes = await readFile(path);
    // numpy.save of the same array: 128 bytes of header and 24 of data.
    expect(bytes.toString('latin1', 0, 128)).toBe(
      `\x93NUMPY\x01\x00v\x00${header("'<f4'", '(2, 3)')}`.padEnd(127, ' ').concat('\n'),
    );
    expect(bytes.byteLength).toBe(152);
  });

  it.each([
    ['version 1', fileOf(header("'<i2'", '(2,)'), Uint8Array.of(1, 0, 2, 0))],
    ['version 2', fileOf(header("'<i2'", '(2,)'), Uint8Array.of(1, 0, 2, 0), 2)],
    ['version 3', fileOf(header("'<i2'", '(2,)'), Uint8Array.of(1, 0, 2, 0), 3)],
    ['Python 2', fileOf(header("'<i2'", '(2L,)'), Uint8Array.of(1, 0, 2, 0))],
    [
      'another order',
      fileOf(`{"shape": (2,), "fortran_order": False, "descr": "<i2"}`, Uint8Array.of(1, 0, 2, 0)),
    ],
  ])('are read from %s', async (_, bytes) => {
    expect(await readNpy(await pathWith(bytes))).toEqual({
      dtype: 'int16',
      shape: [2],
      data: Int16Array.of(1, 2),
    });
  });

  it('give single rows in any order', async () => {
    const path = join(await temporaryFolder(), 'frames.npy');
    await writeNpy(path, {
      dtype: 'uint8',
      shape: [4, 1, 2],
      data: Uint8Array.from({ length: 8 }, (_, i) => i),
    });
    const file = await openNpy(path);
    expect(await readNpyRows(file, [3, 0, 0])).toEqual({
      dtype: 'uint8',
      shape: [3, 1, 2],
      data: Uint8Array.of(6, 7, 0, 1, 0, 1),
    });
    await expect(readNpyRows(file, [4])).rejects.toMatchObject({ code: 'NPY_NO_SUCH_ROW' });
  });

  it.each<[string, string, Buffer]>([
    ['another format', 'NOT_NPY', Buffer.from('PK\x03\x04 and more of a zip archive')],
    ['an empty file', 'NOT_NPY', Buffer.alloc(0)],
    ['an unknown version', 'UNKNOWN_VERSION', fileOf(header("'<f4'", '()'), Buffer.alloc(4), 4)],
    ['a header that is cut off', 'TRUNCATED', fileOf(header("'<f4'", '()'), Buffer.alloc(4)).subarray(0, 30)],
    ['a header length of 4 GiB', 'TRUNCATED', Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff', 'latin1')],
    ['Fortran order', 'FORTRAN_ORDER', fileOf(header("'<f4'", '(1, 1)', 'True'), Buffer.alloc(4))],
    ['Python objects', 'OBJECT_DTYPE', fileOf(header("'|O'", '(1,)'), Buffer.from('\x80\x04K\x01.'))],
    ['records', 'STRUCTURED_DTYPE', fileOf(header("[('x', '<f4')]", '(1,)'), Buffer.alloc(4))],
    ['big-endian numbers', 'BIG_ENDIAN', fileOf(header("'>f4'", '(1,)'), Buffer.alloc(4))],
    ['a dtype that is not supported', 'UNKNOWN_DTYPE', fileOf(header("'<c8'", '(1,)'), Buffer.alloc(8))],
    ['data that are cut off', 'TRUNCATED', fileOf(header("'<f4'", '(2,)'), Buffer.alloc(7))],
    [
      'a shape far beyond the file',
      'TRUNCATED',
      fileOf(header("'<f4'", '(1000000, 1000000000)'), Buffer.alloc(4)),
    ],
    ['bytes after the data', 'TRAILING_BYTES', fileOf(header("'<f4'", '(2,)'), Buffer.alloc(9))],
    ['no shape', 'BAD_HEADER', fileOf(`{'descr': '<f4', 'fortran_order': False}`, Buffer.alloc(4))],
    ['a negative size', 'BAD_HEADER', fileOf(header("'<f4'", '(-1,)'), Buffer.alloc(4))],
    [
      'an unknown key',
      'BAD_HEADER',
      fileOf(`{'evil': True, ${header("'<f4'", '()').slice(1)}`, Buffer.alloc(4)),
    ],
    [
      'a key twice',
      'BAD_HEADER',
      fileOf(`{'shape': (1,), ${header("'<f4'", '()').slice(1)}`, Buffer.alloc(4)),
    ],
    ['code for a header', 'BAD_HEADER', fileOf('__import__("os").system("true")', Buffer.alloc(4))],
    ['code for a shape', 'BAD_HEADER', fileOf(header("'<f4'", '(2 ** 3,)'), Buffer.alloc(32))],
  ])('refuse %s', async (_, code, bytes) => {
    const path = await pathWith(bytes);
    await expect(readNpy(path)).rejects.toMatchObject({
      name: 'InputError',
      code: `NPY_${code}`,
      message: expect.stringContaining(path),
    });
  });

  it('refuse to be written with the wrong number of elements', async () => {
    const path = join(await temporaryFolder(), 'array.npy');
    const array: NpyArray = { dtype: 'uint8', shape: [3], data: new Uint8Array(2) };
    await expect(writeNpy(path, array)).rejects.toMatchObject({ code: 'NPY_SIZE_MISMATCH' });
  });
});
