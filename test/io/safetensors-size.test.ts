import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A file with one tensor `[2]` of float32, which is given this many bytes. */
async function open(bytes: number) {
  const path = join(await temporaryFolder(), 'one.safetensors');
  const header = Buffer.from(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,${bytes}]}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  await writeFile(path, Buffer.concat([length, header, Buffer.alloc(bytes)]));
  return openSafetensors(path);
}

it('a tensor has the bytes of its shape, neither fewer nor more', async () => {
  expect((await open(8)).entries.size).toBe(1);
  for (const bytes of [4, 12, 16]) {
    await expect(open(bytes)).rejects.toMatchObject({
      code: 'SAFETENSORS_SIZE_MISMATCH',
      message: expect.stringContaining(`needs 8 bytes and is given ${bytes}`),
    });
  }
});
