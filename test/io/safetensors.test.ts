import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SafetensorsTensor } from '../../src/io/safetensors.ts';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../../src/io/safetensors.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const fixtures = join(import.meta.dirname, '../fixtures');

async function entryOf(path: string, name: string) {
  const entry = (await openSafetensors(path)).entries.get(name);
  if (entry === undefined) {
    throw new Error(`${path} has no ${name}`);
  }
  return entry;
}

describe('files of the official writer', () => {
  it('reads F32, with absolute offsets and metadata', async () => {
    const path = join(fixtures, 'qwen2/model.safetensors');
    const { entries, metadata } = await openSafetensors(path);
    expect(entries.size).toBe(26);
    expect(metadata).toEqual({ format: 'pt' });
    const entry = entries.get('model.embed_tokens.weight')!;
    expect(entry).toMatchObject({
      dtype: 'F32',
      shape: [160, 64],
      file: path,
      end: entry.begin + 160 * 64 * 4,
    });
    const data = await readTensor(entry);
    expect(data).toBeInstanceOf(Float32Array);
    const bytes = await readFile(path);
    expect(Buffer.from(data.buffer).equals(bytes.subarray(entry.begin, entry.end))).toBe(true);
    expect(await readFloat32(entry)).toEqual(data);
  });

  it('reads F16 as bits and as float32', async () => {
    const path = join(fixtures, 'affectgpt_reference/llm.safetensors');
    const entry = await entryOf(path, 'llama_model.base_model.model.model.embed_tokens.weight');
    expect(entry).toMatchObject({ dtype: 'F16', shape: [151_680, 12] });
    expect(await readTensor(entry)).toBeInstanceOf(Uint16Array);
    const values = await readFloat32(entry);
    // From safetensors.numpy.
    expect([...values.subarray(0, 3), values.at(-1)]).toEqual([
      0.79296875, -0.79296875, 0.7353515625, -0.004352569580078125,
    ]);
    expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(-423.0787250995636, 6);
  });

  it('reads I64 as bigint and F64 as float32', async () => {
    const positions = await entryOf(
      join(fixtures, 'clip_vision/model.safetensors'),
      'vision_model.embeddings.position_ids',
    );
    const ids = await readTensor(positions);
    expect(ids).toBeInstanceOf(BigInt64Array);
    expect([...ids.subarray(0, 3)]).toEqual([0n, 1n, 2n]);
    await expect(readFloat32(positions)).rejects.toMatchObject({ code: 'SAFETENSORS_NOT_FLOAT' });

    const rates = await entryOf(join(fixtures, 'adamw/golden.safetensors'), 'lr');
    const exact = await readTensor(rates);
    expect(exact).toBeInstanceOf(Float64Array);
    expect(await readFloat32(rates)).toEqual(Float32Array.from(exact as Float64Array));
  });

  it.each([
    'qwen2/model.safetensors',
    'qwen2_lora/adapter/adapter_model.safetensors',
    'clip_vision/model.safetensors',
    'affectgpt_reference/raw.safetensors',
    'adamw/golden.safetensors',
  ])('writes %s again byte for byte', async (name) => {
    const path = join(fixtures, name);
    const { entries, metadata } = await openSafetensors(path);
    const copy = join(await temporaryFolder(), 'copy.safetensors');
    const tensors: Record<string, SafetensorsTensor> = {};
    for (const entry of [...entries.values()].reverse()) {
      tensors[entry.name] = { dtype: entry.dtype, shape: entry.shape, data: () => readTensor(entry) };
    }
    await writeSafetensors(copy, tensors, Object.keys(metadata).length === 0 ? undefined : metadata);
    expect((await readFile(copy)).equals(await readFile(path))).toBe(true);
  });
});

describe('writeSafetensors', () => {
  it('keeps every dtype, scalars, empty tensors and odd names', async () => {
    const path = join(await temporaryFolder(), 'all.safetensors');
    const tensors: Record<string, SafetensorsTensor> = {
      '10': { dtype: 'F32', shape: [2, 1], data: Float32Array.of(1.5, -0) },
      f64: { dtype: 'F64', shape: [], data: Float64Array.of(Math.PI) },
      f16: { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) },
      bf16: { dtype: 'BF16', shape: [1], data: Uint16Array.of(0xc000) },
      i64: { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
      i32: { dtype: 'I32', shape: [1], data: Int32Array.of(-(2 ** 31)) },
      i16: { dtype: 'I16', shape: [1], data: Int16Array.of(-32768) },
      i8: { dtype: 'I8', shape: [3], data: Int8Array.of(-128, 0, 127) },
      u8: { dtype: 'U8', shape: [0, 4], data: new Uint8Array(0) },
      'ü "quoted"\n': { dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
    };
    await writeSafetensors(path, tensors, { note: 'ä' });
    const { entries, metadata } = await openSafetensors(path);
    expect(metadata).toEqual({ note: 'ä' });
    expect([...entries.keys()].sort()).toEqual(Object.keys(tensors).sort());
    for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
      const entry = entries.get(name)!;
      expect(entry).toMatchObject({ dtype, shape });
      expect(entry.begin % (await readTensor(entry)).BYTES_PER_ELEMENT).toBe(0);
      expect(await readTensor(entry)).toEqual(data);
    }
    expect(await readFloat32(entries.get('f16')!)).toEqual(Float32Array.of(1));
    expect(await readFloat32(entries.get('bf16')!)).toEqual(Float32Array.of(-2));
  });

  it('stores F32 as BF16, rounded to nearest even', async () => {
    const path = join(await temporaryFolder(), 'bf16.safetensors');
    // Exact, tie down to even, tie up to even, above a tie, largest float32, infinities, NaN, -0, smallest subnormals.
    const bits = Uint32Array.of(
      0x3f800000,
      0x3f808000,
      0x3f818000,
      0x3f808001,
      0x7f7fffff,
      0x7f800000,
      0xff800000,
      0x7f800001,
      0x80000000,
      0x00008000,
      0x00018000,
      0xbf808001,
    );
    await writeSafetensors(path, {
      x: { dtype: 'F32', shape: [12], data: new Float32Array(bits.buffer), storage: 'BF16' },
    });
    const entry = await entryOf(path, 'x');
    expect(entry.dtype).toBe('BF16');
    expect([...(await readTensor(entry))]).toEqual([
      0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7f80, 0xff80, 0x7fc0, 0x8000, 0x0000, 0x0002, 0xbf81,
    ]);
  });

  it('converts across its pieces', async () => {
    const path = join(await temporaryFolder(), 'long.safetensors');
    const length = 4 * 1024 * 1024 + 3;
    const data = new Float32Array(length);
    data.set([1, 2, 3], length - 3);
    data[4 * 1024 * 1024 - 1] = 0.5;
    await writeSafetensors(path, { x: { dtype: 'F32', shape: [length], data, storage: 'BF16' } });
    const back = await readFloat32(await entryOf(path, 'x'));
    expect(back.length).toBe(length);
    expect([...back.subarray(length - 5)]).toEqual([0, 0.5, 1, 2, 3]);
  });

  it('writes a view into a larger buffer', async () => {
    const path = join(await temporaryFolder(), 'view.safetensors');
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    await writeSafetensors(path, { x: { dtype: 'F32', shape: [2], data } });
    expect([...(await readTensor(await entryOf(path, 'x')))]).toEqual([1, 2]);
  });

  it.each<[string, string, SafetensorsTensor]>([
    [
      'too few elements',
      'SAFETENSORS_SIZE_MISMATCH',
      { dtype: 'F32', shape: [3], data: new Float32Array(2) },
    ],
    [
      'too few elements late',
      'SAFETENSORS_SIZE_MISMATCH',
      { dtype: 'F32', shape: [3], data: () => new Float32Array(2) },
    ],
    [
      'another array type',
      'SAFETENSORS_SIZE_MISMATCH',
      { dtype: 'F32', shape: [2], data: new Int32Array(2) },
    ],
    [
      'BF16 from I32',
      'SAFETENSORS_BAD_STORAGE',
      { dtype: 'I32', shape: [2], data: new Int32Array(2), storage: 'BF16' },
    ],
    ['a broken shape', 'SAFETENSORS_BAD_SHAPE', { dtype: 'F32', shape: [-1, -2], data: new Float32Array(2) }],
  ])('refuses %s', async (_, code, tensor) => {
    const path = join(await temporaryFolder(), 'bad.safetensors');
    await expect(writeSafetensors(path, { x: tensor })).rejects.toMatchObject({ code, exitCode: 2 });
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('faults of a file', () => {
  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });

  function fileOf(header: unknown, dataBytes: number): Buffer {
    const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.byteLength));
    return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
  }

  it('accepts the sound file that the faults are made from', async () => {
    const path = join(await temporaryFolder(), 'good.safetensors');
    await writeFile(path, fileOf({ b: f32(8, 16), a: f32(0, 8), none: f32(8, 8) }, 16));
    expect([...(await openSafetensors(path)).entries.keys()]).toEqual(['a', 'none', 'b']);
  });

  it.each<[string, string, Buffer]>([
    ['shorter than its length field', 'TRUNCATED', Buffer.from('abc')],
    ['an empty file', 'TRUNCATED', Buffer.alloc(0)],
    ['a header longer than the file', 'HEADER_TOO_LARGE', fileOf({ a: f32(0, 8) }, 8).subarray(0, 20)],
    ['a file of another format', 'HEADER_TOO_LARGE', Buffer.from('PK\x03\x04 and so on, a zip archive')],
    [
      'a Git LFS pointer',
      'LFS_POINTER',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00'),
    ],
    ['a header that is not JSON', 'NOT_JSON', fileOf('{"a": ', 0)],
    ['a header that is not an object', 'NOT_JSON', fileOf('[1, 2]', 0)],
    ['a header that is not UTF-8', 'NOT_JSON', Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28])],
    ['metadata that are not strings', 'BAD_METADATA', fileOf({ __metadata__: { epoch: 3 } }, 0)],
    ['an entry that is not an object', 'BAD_ENTRY', fileOf({ a: 3 }, 0)],
    ['a shape that is not a list', 'BAD_ENTRY', fileOf({ a: { ...f32(0, 8), shape: 2 } }, 8)],
    ['a negative size', 'BAD_ENTRY', fileOf({ a: f32(0, 8, [-1, -2]) }, 8)],
    ['a fractional offset', 'BAD_ENTRY', fileOf({ a: f32(0, 8.5, [2]) }, 8)],
    ['a dtype that does not exist', 'UNKNOWN_DTYPE', fileOf({ a: { ...f32(0, 8), dtype: 'F31' } }, 8)],
    ['a dtype named as a property', 'UNKNOWN_DTYPE', fileOf({ a: { ...f32(0, 8), dtype: 'toString' } }, 8)],
    [
      'a dtype of lists in lists',
      'UNKNOWN_DTYPE',
      fileOf(`{"a": {"dtype": ${'['.repeat(100_000)}${']'.repeat(100_000)}, "shape": [2]}}`, 8),
    ],
    ['a shape of lists in lists', 'BAD_ENTRY', fileOf({ a: { ...f32(0, 8), shape: [[[2]]] } }, 8)],
    ['a shape of very many sizes', 'SIZE_MISMATCH', fileOf({ a: f32(0, 8, Array(100_000).fill(2)) }, 8)],
    [
      'offsets beyond all numbers',
      'BAD_ENTRY',
      fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[9e99,1e100]}}', 8),
    ],
    ['a length beyond all numbers', 'HEADER_TOO_LARGE', Buffer.alloc(64, 0xff)],
    ['a size that is not the shape', 'SIZE_MISMATCH', fileOf({ a: f32(0, 8, [3]) }, 8)],
    ['a shape beyond all numbers', 'SIZE_MISMATCH', fileOf({ a: f32(0, 8, [2 ** 52, 2 ** 52]) }, 8)],
    ['an end before the begin', 'OUT_OF_BOUNDS', fileOf({ a: f32(8, 0, [2]) }, 8)],
    ['a tensor beyond the file', 'OUT_OF_BOUNDS', fileOf({ a: f32(0, 8), b: f32(100, 108) }, 16)],
    ['two tensors that overlap', 'OVERLAP', fileOf({ a: f32(0, 8), b: f32(4, 12) }, 12)],
    ['two tensors at one place', 'OVERLAP', fileOf({ a: f32(0, 8), b: f32(0, 8) }, 8)],
    ['a hole between tensors', 'HOLE', fileOf({ a: f32(0, 8), b: f32(12, 20) }, 20)],
    ['a hole at the beginning', 'HOLE', fileOf({ a: f32(4, 12) }, 12)],
    ['data that are cut off', 'TRUNCATED', fileOf({ a: f32(0, 8), b: f32(8, 16) }, 15)],
    ['bytes after the last tensor', 'TRAILING_BYTES', fileOf({ a: f32(0, 8) }, 9)],
    [
      'a name that occurs twice',
      'DUPLICATE_NAME',
      fileOf(`{"a": ${JSON.stringify(f32(0, 8))}, "\\u0061": ${JSON.stringify(f32(8, 16))}}`, 16),
    ],
  ])('names %s', async (_, code, bytes) => {
    const path = join(await temporaryFolder(), 'bad.safetensors');
    await writeFile(path, bytes);
    await expect(openSafetensors(path)).rejects.toMatchObject({
      name: 'InputError',
      code: `SAFETENSORS_${code}`,
      message: expect.stringContaining(path),
    });
  });

  it('refuses a header of 1 GB before reading it', async () => {
    const path = join(await temporaryFolder(), 'large.safetensors');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(2n ** 30n);
    await writeFile(path, length);
    await truncate(path, 2 ** 31);
    await expect(openSafetensors(path)).rejects.toMatchObject({ code: 'SAFETENSORS_HEADER_TOO_LARGE' });
  });

  it('keeps messages short, whatever names and types are', async () => {
    const path = join(await temporaryFolder(), 'long.safetensors');
    const long = 'x'.repeat(1_000_000);
    for (const header of [
      { [long]: 3 },
      { a: { ...f32(0, 8), dtype: long } },
      { a: f32(0, 8, Array(1e5).fill(2)) },
    ]) {
      await writeFile(path, fileOf(header, 8));
      const error = await openSafetensors(path).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: 'InputError' });
      expect((error as Error).message.length).toBeLessThan(1000);
    }
  });

  it('names a missing file and a folder', async () => {
    const folder = await temporaryFolder();
    await expect(openSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(openSafetensors(folder)).rejects.toMatchObject({ code: 'FILE_IS_A_FOLDER' });
  });

  it('notices that a file became shorter after it was opened', async () => {
    const path = join(await temporaryFolder(), 'a.safetensors');
    const bytes = fileOf({ a: f32(0, 8) }, 8);
    await writeFile(path, bytes);
    const entry = await entryOf(path, 'a');
    await writeFile(path, bytes.subarray(0, -1));
    await expect(readTensor(entry)).rejects.toMatchObject({ code: 'SAFETENSORS_TRUNCATED' });
  });

  it('takes a tensor named __proto__ as a name like any other', async () => {
    const path = join(await temporaryFolder(), 'proto.safetensors');
    await writeFile(path, fileOf(`{"__proto__": ${JSON.stringify(f32(0, 8))}}`, 8));
    expect([...(await openSafetensors(path)).entries.keys()]).toEqual(['__proto__']);
  });
});
