import { mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/io/checkpoint-folder.ts';
import { readTensor, writeSafetensors } from '../../src/io/safetensors.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { RawOpcodes, TensorToWrite, writeTorch } from '../support/torch-file.ts';

const index = (weightMap: unknown) => JSON.stringify({ metadata: { total_size: 8 }, weight_map: weightMap });

/** The two formats that model folders come in. */
interface Format {
  readonly single: string;
  readonly ending: string;
  write(path: string, tensors: Record<string, number>): Promise<void>;
}

const formats: Format[] = [
  {
    single: 'model.safetensors',
    ending: 'safetensors',
    write: (path, tensors) =>
      writeSafetensors(
        path,
        Object.fromEntries(
          Object.entries(tensors).map(([name, value]) => [
            name,
            { dtype: 'F32', shape: [1], data: Float32Array.of(value) },
          ]),
        ),
      ),
  },
  {
    single: 'pytorch_model.bin',
    ending: 'bin',
    write: (path, tensors) =>
      writeTorch(
        path,
        Object.fromEntries(
          Object.entries(tensors).map(([name, value]) => [
            name,
            new TensorToWrite('F32', [1], Float32Array.of(value)),
          ]),
        ),
      ),
  },
];

describe.each(formats)('openCheckpoint with $single', ({ single, ending, write }) => {
  async function shardedFolder(weightMap: Record<string, unknown>): Promise<string> {
    const folder = await temporaryFolder();
    await write(join(folder, `one.${ending}`), { a: 1, extra: 3 });
    await write(join(folder, `two.${ending}`), { b: 2 });
    await writeFile(join(folder, `${single}.index.json`), index(weightMap));
    return folder;
  }

  it('reads a single file, also beside an index', async () => {
    const folder = await shardedFolder({ a: 'gone' });
    await write(join(folder, single), { whole: 7 });
    const entries = await openCheckpoint(folder);
    expect([...entries.keys()]).toEqual(['whole']);
    expect([...(await readTensor(entries.get('whole')!))]).toEqual([7]);
  });

  it('reads the shards of an index, and of a shard what the index places there', async () => {
    const folder = await shardedFolder({ a: `one.${ending}`, b: `two.${ending}` });
    const entries = await openCheckpoint(folder);
    expect([...entries.keys()]).toEqual(['a', 'b']);
    expect(entries.get('b')?.file).toBe(join(folder, `two.${ending}`));
    expect([...(await readTensor(entries.get('b')!))]).toEqual([2]);
  });

  it('follows links to files elsewhere, as download caches make them', async () => {
    const folder = await shardedFolder({ b: `two.${ending}` });
    const snapshot = join(folder, 'snapshot');
    await mkdir(snapshot);
    await symlink(`../two.${ending}`, join(snapshot, single));
    expect([...(await openCheckpoint(snapshot)).keys()]).toEqual(['b']);
  });

  it('lists all that is missing at once', async () => {
    const folder = await shardedFolder({
      a: `one.${ending}`,
      c: `one.${ending}`,
      d: `two.${ending}`,
      e: `three.${ending}`,
      f: `broken.${ending}`,
    });
    await writeFile(join(folder, `broken.${ending}`), 'abc');
    const fault = await openCheckpoint(folder).catch((error) => error);
    expect(fault).toMatchObject({ name: 'InputError', code: 'CHECKPOINT_INCOMPLETE' });
    expect(fault.message).toContain(`three.${ending} is missing`);
    expect(fault.message).toMatch(new RegExp(`broken\\.${ending} is not a`));
    expect(fault.message).toContain(`one.${ending} does not contain tensor "c"`);
    expect(fault.message).toContain(`two.${ending} does not contain tensor "d"`);
    expect(fault.message).not.toContain('"a"');
  });

  it('notices a shard that is cut off', async () => {
    const folder = await shardedFolder({ a: `one.${ending}`, b: `two.${ending}` });
    const shard = join(folder, `one.${ending}`);
    await truncate(shard, (await readFile(shard)).length - 3);
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INCOMPLETE',
      message: expect.stringMatching(new RegExp(`one\\.${ending} is not a .*download`, 's')),
    });
  });

  it.each(['../one', '/etc/passwd', 'sub/one', '..\\one', '..', 'C:one', ''])(
    'refuses the shard %j outside of the folder',
    async (shard) => {
      const folder = await shardedFolder({ a: shard });
      await expect(openCheckpoint(folder)).rejects.toMatchObject({
        code: shard === '' ? 'CHECKPOINT_BAD_INDEX' : 'CHECKPOINT_OUTSIDE_FOLDER',
      });
    },
  );

  it.each([
    ['not JSON', 'nope'],
    ['a list', '[]'],
    ['without weight_map', '{}'],
    ['with a number for a file', index({ a: 3 })],
  ])('refuses an index that is %s', async (_, text) => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, `${single}.index.json`), text);
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'CHECKPOINT_BAD_INDEX' });
  });
});

describe('openCheckpoint', () => {
  it('prefers safetensors, single files and what is complete by itself, in this order', async () => {
    const [safetensors, torch] = formats as [Format, Format];
    const folder = await temporaryFolder();
    await torch.write(join(folder, 'shard.bin'), { last: 4 });
    await writeFile(join(folder, 'pytorch_model.bin.index.json'), index({ last: 'shard.bin' }));
    await torch.write(join(folder, 'pytorch_model.bin'), { third: 3 });
    await safetensors.write(join(folder, 'shard.safetensors'), { second: 2 });
    await writeFile(join(folder, 'model.safetensors.index.json'), index({ second: 'shard.safetensors' }));
    await safetensors.write(join(folder, 'model.safetensors'), { first: 1 });
    for (const [tensor, file] of [
      ['first', 'model.safetensors'],
      ['second', 'model.safetensors.index.json'],
      ['third', 'pytorch_model.bin'],
      ['last', 'pytorch_model.bin.index.json'],
    ] as const) {
      expect([...(await openCheckpoint(folder)).keys()]).toEqual([tensor]);
      await rm(join(folder, file));
    }
  });

  it('says when there is nothing to read, and what is looked for', async () => {
    const folder = await temporaryFolder();
    await expect(openCheckpoint(join(folder, 'none'))).rejects.toMatchObject({
      code: 'CHECKPOINT_NOT_FOUND',
    });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_NOT_FOUND',
      message: expect.stringContaining('pytorch_model.bin.index.json'),
    });
  });

  it('runs nothing that weights of torch ask for', async () => {
    const folder = await temporaryFolder();
    const call = new RawOpcodes('cos\nsystem\nX\x04\x00\x00\x00true\x85R');
    await writeTorch(join(folder, 'pytorch_model.bin'), { w: call });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'PICKLE_FORBIDDEN',
      message: expect.stringContaining('os.system'),
    });
  });
});
