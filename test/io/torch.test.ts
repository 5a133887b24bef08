import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSafetensors, readFloat32, readTensor } from '../../src/io/safetensors.ts';
import { openTorchCheckpoint, tensorsIn, topLevelTensors } from '../../src/io/torch.ts';
import { fixturePath } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import {
  RawOpcodes,
  TensorToWrite,
  torchMembers,
  type ValueToWrite,
  writeTorch,
  zipArchive,
} from '../support/torch-file.ts';

const fixture = (name: string) => fixturePath(`torch/${name}`);
const open = async (path: string) => topLevelTensors(await openTorchCheckpoint(path));
const refusal = (path: string) =>
  open(path).then(
    () => {
      throw new Error(`${path} was accepted`);
    },
    (error: Error & { code: string }) => error,
  );

const float = (shape: readonly number[], layout?: TensorToWrite['layout']) =>
  new TensorToWrite(
    'F32',
    shape,
    Float32Array.from({ length: 6 }, (_, i) => i + 1),
    layout,
  );

/** A file with this content. */
async function file(content: Uint8Array | ValueToWrite, name = 'weights.pth'): Promise<string> {
  const path = join(await temporaryFolder(), name);
  if (content instanceof Uint8Array) await writeFile(path, content);
  else await writeTorch(path, content as ValueToWrite);
  return path;
}

describe('a state dict of torch', () => {
  it.each(['state-dict.pth', 'state-dict-legacy.pth', 'state-dict-protocol4.pth'])(
    'is read bit for bit, whatever type, strides and sharing: %s',
    async (name) => {
      const entries = await open(fixture(name));
      const expected = (await openSafetensors(fixture('expected.safetensors'))).entries;
      expect([...entries.keys()].sort()).toEqual([...expected.keys()].sort());
      expect(entries.size).toBe(21);
      for (const [tensor, entry] of entries) {
        const other = expected.get(tensor)!;
        expect({ tensor, dtype: entry.dtype, shape: entry.shape }).toEqual({
          tensor,
          dtype: other.dtype,
          shape: other.shape,
        });
        expect(await readTensor(entry), tensor).toEqual(await readTensor(other));
        if (/^(F|BF)/.test(entry.dtype)) expect(await readFloat32(entry)).toEqual(await readFloat32(other));
      }
      // What can stay in its file does: only these have to be put in order.
      const strided = [...entries.values()].filter(({ strides }) => strides !== undefined);
      expect(strided.map((entry) => entry.name).sort()).toEqual([
        'block',
        'column',
        'transposed',
        'transposed_half',
        'weight',
      ]);
      expect(entries.get('tied')!.begin).toBe(entries.get('whole')!.begin);
      expect(entries.get('rows')!.begin).toBe(entries.get('whole')!.begin + 24);
    },
  );

  it('gives other values as they are', async () => {
    const { content, format } = await openTorchCheckpoint(fixture('values.pth'));
    expect(format).toBe('zip');
    const map = content as Map<string, unknown>;
    expect(map.get('size')).toEqual([2, 3]);
    expect(map.get('device')).toBe('cuda:1');
    expect(map.get('dtype')).toMatchObject({ description: 'torch.float16' });
    expect((map.get('values') as Map<string, unknown>).get('big')).toBe(2n ** 70n);
  });

  it('may lie deeper: the published checkpoint', async () => {
    const checkpoint = await openTorchCheckpoint(fixture('checkpoint_000060_loss_0.480.pth'));
    const content = checkpoint.content as Map<string, Map<string, never>>;
    expect([...content.keys()]).toEqual(['model', 'optimizer', 'config', 'scaler', 'epoch']);
    const tensors = tensorsIn(checkpoint, content.get('model')!);
    expect(tensors.get('affectgpt_proj.weight')).toMatchObject({ dtype: 'F32', shape: [12, 20] });
    const error = await refusal(checkpoint.path);
    expect(error.code).toBe('TORCH_NO_STATE_DICT');
    expect(error.message).toMatch(/below "model".*affectgpt import/);
  });
});

describe('a file that lies', () => {
  it.each([
    ['forbidden-system.pth', 'PICKLE_FORBIDDEN', /data\.pkl, byte \d+: it refers to posix\.system, /],
    ['forbidden-eval.pth', 'PICKLE_FORBIDDEN', /refers to __builtin__\.eval, /],
    ['forbidden-legacy.pth', 'PICKLE_FORBIDDEN', /refers to posix\.system, /],
    ['numpy-inside.pth', 'PICKLE_FORBIDDEN', /refers to numpy.*scalar, .*weights_only=False/],
    ['script.pth', 'TORCH_SCRIPT', /TorchScript.*state_dict\(\)/],
    ['unsigned.pth', 'TORCH_BAD_TENSOR', /"small" has elements of type torch\.uint16/],
    ['values-protocol2.pkl', 'TORCH_UNKNOWN_FORMAT', /not one of torch\.save/],
    ['values.pth', 'TORCH_NO_STATE_DICT', /no tensors by name/],
    ['make.py', 'TORCH_UNKNOWN_FORMAT', /neither a zip archive nor a pickle/],
  ])('is refused by name: %s', async (name, code, message) => {
    const error = await refusal(fixture(name));
    expect(error).toMatchObject({ name: 'InputError', code });
    expect(error.message).toContain(name);
    expect(error.message).toMatch(message);
  });

  it.each([
    [
      'reaches beyond its storage',
      { w: float([3, 3]) },
      'TORCH_BAD_TENSOR',
      /"w" .*beyond its storage of 24/,
    ],
    ['begins too late', { w: float([6], { offset: 1 }) }, 'TORCH_BAD_TENSOR', /beyond its storage/],
    ['begins before it', { w: float([2], { offset: -1 }) }, 'TORCH_BAD_TENSOR', /offset -1/],
    ['has a negative size', { w: float([-2, -3]) }, 'TORCH_BAD_TENSOR', /shape \[-2, -3\]/],
    ['is absurdly large', { w: float([2 ** 40, 2 ** 40]) }, 'TORCH_BAD_TENSOR', /impossible shape/],
    ['strides beyond', { w: float([2, 3], { strides: [1, 5] }) }, 'TORCH_BAD_TENSOR', /beyond its storage/],
    ['strides back', { w: float([2], { strides: [-1] }) }, 'TORCH_BAD_TENSOR', /strides \[-1\]/],
    ['has other axes than strides', { w: float([6], { strides: [1, 1] }) }, 'TORCH_BAD_TENSOR', /1 axes/],
    [
      'claims to repeat one element a million times',
      { w: float([1_000_000_000], { strides: [0] }) },
      'TORCH_BAD_TENSOR',
      /repeats its elements/,
    ],
    [
      'claims another storage size',
      { w: float([2], { elements: 7 }) },
      'TORCH_BAD_STORAGE',
      /"0" of 28 bytes/,
    ],
    ['has a negative storage', { w: float([0], { elements: -1 }) }, 'PICKLE_PERSISTENT_ID', /persistent id/],
    ['is a bare tensor', float([2]), 'TORCH_NO_STATE_DICT', /not a state dict/],
    [
      'calls in a persistent id',
      { w: new RawOpcodes('cos\nsystem\nX\x04\x00\x00\x00true\x85RQ') },
      'PICKLE_FORBIDDEN',
      /os\.system/,
    ],
  ] as [string, ValueToWrite, string, RegExp][])(
    'is refused, naming the tensor: it %s',
    async (_, content, code, message) => {
      const error = await refusal(await file(content));
      expect(error).toMatchObject({ name: 'InputError', code });
      expect(error.message).toMatch(message);
    },
  );

  it('has all its bad tensors named at once', async () => {
    const { message } = await refusal(await file({ a: float([9]), b: float([2]), c: float([-1]) }));
    expect(message).toMatch(/tensor "a" .*; tensor "c" /);
    expect(message).not.toContain('"b"');
  });

  const members = () => torchMembers({ w: float([6]) });
  it.each([
    ['is empty', () => Buffer.alloc(0), 'TORCH_UNKNOWN_FORMAT', /it is empty/],
    ['is text', () => Buffer.from('hello'), 'TORCH_UNKNOWN_FORMAT', /neither/],
    ['is a pointer of Git LFS', () => Buffer.from('version https://git-lfs'), 'TORCH_LFS_POINTER', /git lfs/],
    ['is cut off', () => zipArchive(members()).subarray(0, -30), 'ZIP_INVALID', /not a whole zip/],
    ['has only its head', () => zipArchive(members()).subarray(0, 300), 'ZIP_INVALID', /not a whole zip/],
    ['has no pickle', () => zipArchive(members().slice(1)), 'TORCH_UNKNOWN_FORMAT', /0 instead of one/],
    [
      'lacks a storage',
      () => zipArchive(members().filter(({ name }) => !name.endsWith('/0'))),
      'TORCH_BAD_STORAGE',
      /"0" of 24 bytes is not there/,
    ],
    [
      'holds a name twice',
      () => zipArchive([...members(), members()[0]!]),
      'ZIP_DUPLICATE',
      /"archive\/data\.pkl" twice/,
    ],
    [
      'was written big-endian',
      () =>
        zipArchive(members().map((m) => (/order/.test(m.name) ? { ...m, content: Buffer.from('big') } : m))),
      'TORCH_BYTE_ORDER',
      /big-endian/,
    ],
    [
      'is compressed',
      () => zipArchive(members().map((member) => ({ ...member, deflated: true }))),
      'ZIP_COMPRESSED',
      /data\/0" is compressed/,
    ],
    [
      'inflates to more than it says',
      () =>
        zipArchive([
          { name: 'a/data.pkl', content: Buffer.alloc(1e6, 'N'), deflated: true, claimedSize: 1000 },
        ]),
      'ZIP_INVALID',
      /not a whole zip/,
    ],
    [
      'is a zip bomb',
      () =>
        zipArchive([
          { name: 'a/data.pkl', content: Buffer.alloc(1000, 'N'), deflated: true, claimedSize: 4e9 },
        ]),
      'ZIP_TOO_LARGE',
      /4000000000 bytes; at most/,
    ],
  ])('is refused: it %s', async (_, content, code, message) => {
    const error = await refusal(await file(content()));
    expect(error).toMatchObject({ name: 'InputError', code });
    expect(error.message).toMatch(message);
  });

  it('may hold members with names of other folders: nothing is ever extracted', async () => {
    const more = ['../../escaped', '/etc/escaped', 'C:\\escaped'].map((name) => ({
      name,
      content: Buffer.from('x'),
    }));
    const path = await file(zipArchive([...members(), ...more]));
    expect([...(await open(path)).keys()]).toEqual(['w']);
    await expect(readFile(join(path, '../../../escaped'))).rejects.toThrow('ENOENT');
  });

  it('is read where only its pickle is compressed', async () => {
    const packed = members().map((m) => (m.name.endsWith('.pkl') ? { ...m, deflated: true } : m));
    const entries = await open(await file(zipArchive(packed, 1)));
    expect([...(await readFloat32(entries.get('w')!))]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('is refused in the old format too: cut off, or with another number of elements', async () => {
    const bytes = await readFile(fixture('state-dict-legacy.pth'));
    for (const length of [bytes.length - 1, bytes.length - 100, 1500, 40, 3]) {
      const { code } = await refusal(await file(bytes.subarray(0, length)));
      expect(code).toMatch(/^(TORCH_BAD_STORAGE|PICKLE_TRUNCATED)$/);
    }
  });
});
