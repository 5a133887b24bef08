import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { numpyKind, type PickleKind, unpickle } from '../../src/io/pickle.ts';
import { readTensor } from '../../src/io/safetensors.ts';
import { torchKind } from '../../src/io/torch/kind.ts';
import { openTorchCheckpoint, tensorsIn } from '../../src/io/torch.ts';
import { Random } from '../../src/quickstart/random.ts';
import { fixturePath } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Damaged copies of each file. */
const copies = 300;

const fixture = (name: string) => readFile(fixturePath(`torch/${name}`));

/** Cuts the file, or changes up to four bytes of it, more often near its ends, where the structure is. */
function damage(bytes: Buffer, random: Random): Buffer {
  if (random.integer(6) === 0) return bytes.subarray(0, random.integer(bytes.length));
  const changed = Buffer.from(bytes);
  for (let left = 1 + random.integer(4); left > 0; left--) {
    const where = [bytes.length, Math.min(1000, bytes.length)][random.integer(2)]!;
    const at = random.integer(where);
    changed[random.integer(3) === 0 ? bytes.length - 1 - at : at] =
      random.integer(2) === 0 ? random.integer(256) : [0x00, 0xff, 0x7f, 0x80][random.integer(4)]!;
  }
  return changed;
}

/** Whether something is read or refused; anything else than an error of input fails the test. */
async function isRead(use: () => unknown): Promise<boolean> {
  try {
    await use();
    return true;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

it.each(['state-dict.pth', 'state-dict-legacy.pth', 'state-dict-protocol4.pth'])(
  'damaged copies of %s are read or refused, never worse',
  async (name) => {
    const random = new Random(7, name);
    const bytes = await fixture(name);
    const path = join(await temporaryFolder(), name);
    let read = 0;
    for (let copy = 0; copy < copies; copy++) {
      const damaged = damage(bytes, random);
      await writeFile(path, damaged);
      const done = await isRead(async () => {
        const checkpoint = await openTorchCheckpoint(path);
        if (!(checkpoint.content instanceof Map)) return;
        for (const entry of tensorsIn(checkpoint, checkpoint.content).values()) {
          expect(entry.end).toBeLessThanOrEqual(damaged.length);
          expect((await readTensor(entry)).byteLength).toBeLessThanOrEqual(damaged.length);
        }
      });
      if (done) read++;
    }
    // Damage to the numbers themselves cannot be noticed, damage to the structure is.
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(copies * 0.8);
  },
);

it.each([
  ['values-protocol0.pkl', torchKind],
  ['values-protocol5.pkl', torchKind],
  ['numpy.pkl', numpyKind],
] as [string, PickleKind][])('damaged copies of %s are read or refused, never worse', async (name, kind) => {
  const random = new Random(8, name);
  const bytes = await fixture(name);
  let refused = 0;
  for (let copy = 0; copy < copies; copy++) {
    const damaged = damage(bytes, random);
    if (!(await isRead(() => unpickle(damaged, { kind, where: name })))) refused++;
  }
  expect(refused).toBeGreaterThan(copies * 0.2);
});
