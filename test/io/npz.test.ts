import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ParsedArray, parseNpy } from '../../src/io/npy-array.ts';
import { dictionaryIn, withNpz } from '../../src/io/npz.ts';
import { numpyKind, unpickle } from '../../src/io/pickle.ts';
import { fixturePath } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { npyOf, type ZipMember, zipOf } from './zip-writer.ts';

const fixture = (name: string) => fixturePath(`npz/${name}`);

async function readAll(path: string): Promise<Record<string, ParsedArray>> {
  return withNpz(path, async (archive) => {
    const arrays: Record<string, ParsedArray> = {};
    for (const name of archive.names) arrays[name] = await archive.read(name);
    return arrays;
  });
}

const dict = (entries: Record<string, unknown>) => new Map(Object.entries(entries));

describe('npz archives', () => {
  it('are read as NumPy writes them', async () => {
    const arrays = await readAll(fixture('arrays.npz'));
    const text = (shape: number[], ...data: string[]) => ({ kind: 'text', shape, data });
    const numbers = (dtype: string, shape: number[], data: unknown) => ({
      kind: 'numbers',
      dtype,
      shape,
      data,
    });
    expect(arrays).toEqual({
      text: text([4], 'plain', 'é €', 'a😀b', ''),
      text_matrix: text([2, 3], 'a', 'b', 'c', 'd', 'e', 'f'),
      text_scalar: text([], 'alone'),
      text_big_endian: text([2], 'big', 'end'),
      text_none: text([0]),
      bytes: text([2], 'one', 'zwölf'),
      bool: numbers('bool', [2], Uint8Array.of(1, 0)),
      int8: numbers('int8', [2], Int8Array.of(-128, 127)),
      uint8: numbers('uint8', [2], Uint8Array.of(0, 255)),
      int16: numbers('int16', [1], Int16Array.of(-32768)),
      uint16: numbers('uint16', [1], Uint16Array.of(65535)),
      int32: numbers('int32', [1], Int32Array.of(-(2 ** 31))),
      uint32: numbers('uint32', [1], Uint32Array.of(2 ** 32 - 1)),
      int64: numbers('int64', [1], BigInt64Array.of(-(2n ** 63n))),
      uint64: numbers('uint64', [1], BigUint64Array.of(2n ** 64n - 1n)),
      float16: numbers('float16', [2], Float32Array.of(1.5, -2)),
      float32: numbers('float32', [1], Float32Array.of(0.1)),
      float64: numbers('float64', [2], Float64Array.of(0.1, Number.NaN)),
      float64_big_endian: numbers('float64', [2, 2], Float64Array.of(1, 2, 3, 4)),
      fortran: numbers(
        'int16',
        [2, 3, 4],
        Int16Array.from({ length: 24 }, (_, i) => i),
      ),
      scalar: numbers('float64', [], Float64Array.of(2.5)),
      empty: numbers('float64', [0, 3], new Float64Array(0)),
      objects: { kind: 'objects', shape: [4], data: ['text', null, Number.NaN, ['a', 1, 2.5, true]] },
      objects_fortran: { kind: 'objects', shape: [2, 3], data: [1, 'b', null, 4.5, 'e', [6]] },
      dictionary: { kind: 'objects', shape: [], data: [dict({ a: 1.5, b: dict({ c: [7, 'x'] }) })] },
      inner: {
        ...{ kind: 'objects', shape: [] },
        data: [dict({ matrix: expect.objectContaining({ shape: [2, 2], values: [0, 1, 2, 3] }) })],
      },
    });
  });

  it('are the same when they are not compressed', async () => {
    const [stored, deflated] = [
      await readAll(fixture('arrays-stored.npz')),
      await readAll(fixture('arrays.npz')),
    ];
    const { text, fortran, dictionary } = deflated;
    expect(stored).toEqual({ text, fortran, dictionary });
  });

  it('give the dictionary that an array holds', async () => {
    const { dictionary, objects, text_scalar } = await readAll(fixture('arrays.npz'));
    expect(dictionaryIn(dictionary!, 'x').get('a')).toBe(1.5);
    expect(() => dictionaryIn(objects!, 'x.npz, array "objects"')).toThrow(
      /^x\.npz, array "objects" holds an array of objects of shape \(4\); expected is a dictionary/,
    );
    expect(() => dictionaryIn(text_scalar!, 'x')).toThrow(/an array of text of shape \(\)/);
  });

  it('say what they have where something else is asked for', async () => {
    const asked = withNpz(fixture('arrays-stored.npz'), (archive) => archive.read('name2reason'));
    await expect(asked).rejects.toMatchObject({
      code: 'NPZ_NO_SUCH_ARRAY',
      message: expect.stringContaining('"text", "fortran", "dictionary"'),
    });
  });

  it.each([
    ['complex', 'NPY_UNKNOWN_DTYPE'],
    ['records', 'NPY_STRUCTURED_DTYPE'],
    ['date', 'NPY_UNKNOWN_DTYPE'],
  ])('refuse %s', async (name, code) => {
    const path = fixture('refused.npz');
    const read = withNpz(path, (archive) => archive.read(name));
    await expect(read).rejects.toMatchObject({
      ...{ name: 'InputError', code },
      message: expect.stringContaining(`${path}, array "${name}": `),
    });
  });

  it('refuse objects of classes, and run nothing', async () => {
    const path = fixture('evil.npz');
    await expect(readAll(path)).rejects.toMatchObject({
      code: 'PICKLE_FORBIDDEN',
      message: expect.stringMatching(/evil\.npz, array "name2reason", byte \d+: it refers to posix\.system/),
    });
  });

  it('refuse what is no archive', async () => {
    const path = join(await temporaryFolder(), 'x.npz');
    await writeFile(path, 'name,text\n');
    await expect(readAll(path)).rejects.toMatchObject({ code: 'ZIP_INVALID' });
    await expect(readAll(`${path}.npz`)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('a damaged npz archive', () => {
  const floats = npyOf("'<f8'", '(2,)', new Uint8Array(16));
  const pathOf = async (...members: ZipMember[]) => {
    const path = join(await temporaryFolder(), 'x.npz');
    await writeFile(path, zipOf(members));
    return path;
  };

  it.each<[string, Partial<ZipMember>, string]>([
    ['a checksum that differs', { crc32: 1 }, 'NPZ_CHECKSUM'],
    ['more bytes than it says', { size: 20 }, 'ZIP_INVALID'],
    ['fewer bytes than it says', { size: 1000 }, 'ZIP_INVALID'],
    ['a size of 4 GiB', { size: 0xfffffffe }, 'ZIP_TOO_LARGE'],
    ['compressed bytes beyond its end', { compressedSize: 0x7fffffff }, 'ZIP_'],
  ])('with %s is refused', async (_, lie, code) => {
    const path = await pathOf({ name: 'a.npy', content: floats, deflate: true, ...lie });
    await expect(readAll(path)).rejects.toMatchObject({ code: expect.stringMatching(`^${code}`) });
  });

  it('cannot be larger than allowed, whatever it says', async () => {
    const bomb = npyOf("'|u1'", '(10000000,)', new Uint8Array(1e7));
    const path = await pathOf({ name: 'a.npy', content: bomb, deflate: true, size: 100 });
    await expect(readAll(path)).rejects.toMatchObject({ code: 'ZIP_INVALID' });
    const honest = await pathOf({ name: 'a.npy', content: bomb, deflate: true });
    const read = withNpz(honest, (archive) => archive.read('a'), 1e6);
    await expect(read).rejects.toMatchObject({ code: 'ZIP_TOO_LARGE' });
  });

  it.each<[string, Buffer, string, RegExp]>([
    ['no npy file', Buffer.from('hello world'), 'NPY_NOT_NPY', /begin/],
    ['a header that is cut off', floats.subarray(0, 20), 'NPY_TRUNCATED', /header/],
    [
      'a start that is cut off',
      Buffer.from('\x93NUMPY\x02\x00\x00\x00', 'latin1'),
      'NPY_TRUNCATED',
      /ends after 10/,
    ],
    ['data that are cut off', floats.subarray(0, -1), 'NPY_TRUNCATED', /byte 128: .*16 bytes, and 15/],
    ['bytes behind the data', Buffer.concat([floats, floats]), 'NPY_TRAILING_BYTES', /16 bytes, and/],
    [
      'a shape beyond all memory',
      npyOf("'<f8'", '(99999999, 99999999)', Buffer.alloc(16)),
      'NPY_TRUNCATED',
      /takes/,
    ],
    ['too many axes', npyOf("'<f8'", `(${'1,'.repeat(65)})`, Buffer.alloc(8)), 'NPY_BAD_HEADER', /header/],
    ['text without width', npyOf("'<U0'", '(99999999999,)', Buffer.alloc(0)), 'NPY_UNKNOWN_DTYPE', /<U0/],
    ['huge text', npyOf("'<U999999999'", '(1,)', Buffer.alloc(4)), 'NPY_TRUNCATED', /takes 3999999996/],
    [
      'text beyond Unicode',
      npyOf("'<U1'", '(2,)', Buffer.from('a\0\0\0\0\0\x11\0')),
      'NPY_BAD_TEXT',
      /byte 132: element 1/,
    ],
    ['a lone surrogate', npyOf("'<U1'", '(1,)', Buffer.from([0, 0xd8, 0, 0])), 'NPY_BAD_TEXT', /element 0/],
    ['bytes that are no UTF-8', npyOf("'|S1'", '(1,)', Buffer.from([0xff])), 'NPY_BAD_TEXT', /UTF-8/],
    ['objects that are none', npyOf("'|O'", '()', Buffer.from('K\x01.')), 'NPY_BAD_OBJECTS', /byte 128/],
    ['no objects', npyOf("'|O'", '()', Buffer.alloc(0)), 'PICKLE_TRUNCATED', /byte 0/],
  ])('that holds %s is refused', async (_, content, code, message) => {
    const path = await pathOf({ name: 'a.npy', content, deflate: false });
    const error = await readAll(path).catch((caught: Error) => caught);
    expect(error).toMatchObject({ name: 'InputError', code, message: expect.stringMatching(message) });
    expect((error as Error).message).toContain(`${path}, array "a"`);
  });

  it('that holds objects of another shape, or bytes behind them, is refused', async () => {
    const pickle = await readFile(fixture('dictionary-protocol4.pkl'));
    expect(parseNpy(npyOf("'|O'", '()', pickle), 'x').data[0]).toBeInstanceOf(Map);
    expect(() => parseNpy(npyOf("'|O'", '(1,)', pickle), 'x')).toThrow(/no array of shape \(1\)/);
    const longer = Buffer.concat([pickle, Buffer.alloc(3)]);
    expect(() => parseNpy(npyOf("'|O'", '()', longer), 'x')).toThrow(/3 bytes follow/);
  });
});

it('a pickle cannot fill the memory with arrays of the same bytes', () => {
  const size = 1 << 20;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  const int = length.toString('latin1');
  // An array's maker and arguments (memo 0, 1) and its state (memo 2): a million numbers. Then the same once more, often.
  const maker = 'cnumpy.core.multiarray\n_reconstruct\nq\x00(cnumpy\nndarray\nK\x00\x85C\x01btq\x01R';
  const dtype = 'cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R(K\x03X\x01\x00\x00\x00|NNNK\x00K\x00K\x00tb';
  const state = `(K\x01J${int}\x85${dtype}\x89B${int}${'a'.repeat(size)}tq\x02b`;
  const read = (again: number) => {
    const bytes = Buffer.from(`\x80\x03]${maker}${state}a${'h\x00h\x01Rh\x02ba'.repeat(again)}.`, 'latin1');
    return unpickle(bytes, { kind: numpyKind, where: 'x' }).value;
  };
  expect(read(2)).toHaveLength(3);
  expect(() => read(1000)).toThrow(/the same large values over and over/);
});
