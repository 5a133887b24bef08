import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, readTensor, writeSafetensors } from '../../src/io/safetensors.ts';
import { temporaryFolder } from './temporary-folder.ts';

const index = (weightMap: unknown) => JSON.stringify({ metadata: { total_size: 8 }, weight_map: weightMap });

async function shardedFolder(weightMap: Record<string, unknown>): Promise<string> {
  const folder = await temporaryFolder();
  await writeSafetensors(join(folder, 'one.safetensors'), {
    a: { dtype: 'F32', shape: [1], data: Float32Array.of(1) },
    extra: { dtype: 'F32', shape: [1], data: Float32Array.of(3) },
  });
  await writeSafetensors(join(folder, 'two.safetensors'), {
    b: { dtype: 'F32', shape: [1], data: Float32Array.of(2) },
  });
  await writeFile(join(folder, 'model.safetensors.index.json'), index(weightMap));
  return folder;
}

describe('openCheckpoint', () => {
  it('reads a single file', async () => {
    const entries = await openCheckpoint(join(import.meta.dirname, '../fixtures/qwen2'));
    expect(entries.get('model.norm.weight')?.shape).toEqual([64]);
  });

  it('reads the shards of an index, and of a shard what the index places there', async () => {
    const folder = await shardedFolder({ a: 'one.safetensors', b: 'two.safetensors' });
    const entries = await openCheckpoint(folder);
    expect([...entries.keys()]).toEqual(['a', 'b']);
    expect(entries.get('b')?.file).toBe(join(folder, 'two.safetensors'));
    expect([...(await readTensor(entries.get('b')!))]).toEqual([2]);
  });

  it('follows links to files elsewhere, as download caches make them', async () => {
    const folder = await shardedFolder({ b: 'two.safetensors' });
    const snapshot = join(folder, 'snapshot');
    await mkdir(snapshot);
    await symlink('../two.safetensors', join(snapshot, 'model.safetensors'));
    expect([...(await openCheckpoint(snapshot)).keys()]).toEqual(['b']);
  });

  it('lists all that is missing at once', async () => {
    const folder = await shardedFolder({
      a: 'one.safetensors',
      c: 'one.safetensors',
      d: 'two.safetensors',
      e: 'three.safetensors',
      f: 'broken.safetensors',
    });
    await writeFile(join(folder, 'broken.safetensors'), 'abc');
    const fault = await openCheckpoint(folder).catch((error) => error);
    expect(fault).toMatchObject({ name: 'InputError', code: 'CHECKPOINT_INCOMPLETE' });
    expect(fault.message).toContain('three.safetensors is missing');
    expect(fault.message).toContain('broken.safetensors is not a valid');
    expect(fault.message).toContain('one.safetensors does not contain tensor "c"');
    expect(fault.message).toContain('two.safetensors does not contain tensor "d"');
    expect(fault.message).not.toContain('"a"');
  });

  it.each(['../one.safetensors', '/etc/passwd', 'sub/one.safetensors', '..\\one.safetensors', '..', 'C:one'])(
    'refuses the shard %s outside of the folder',
    async (shard) => {
      const folder = await shardedFolder({ a: shard });
      await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'CHECKPOINT_OUTSIDE_FOLDER' });
    },
  );

  it.each([
    ['not JSON', 'nope'],
    ['a list', '[]'],
    ['without weight_map', '{}'],
    ['with a number for a file', index({ a: 3 })],
  ])('refuses an index that is %s', async (_, text) => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'model.safetensors.index.json'), text);
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'CHECKPOINT_BAD_INDEX' });
  });

  it('says when there is nothing to read, and names what there is instead', async () => {
    const folder = await temporaryFolder();
    await expect(openCheckpoint(join(folder, 'none'))).rejects.toMatchObject({
      code: 'CHECKPOINT_NOT_FOUND',
    });
    await writeFile(join(folder, 'pytorch_model.bin'), '');
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_NOT_FOUND',
      message: expect.stringContaining('pytorch_model.bin'),
    });
  });
});
