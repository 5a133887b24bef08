import { readdir } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as merge from '../../lora/merge.ts';
import type * as filesystem from '../../src/io/filesystem.ts';
import { makeWorkspace, run, set, succeed } from './workspace.ts';

/** What goes wrong in a test. */
const faults = vi.hoisted(() => ({ brokenWeight: false, diskCapacity: Number.POSITIVE_INFINITY }));

vi.mock('../../lora/merge.ts', async (importOriginal) => {
  const original = await importOriginal<typeof merge>();
  return {
    ...original,
    mergedWeight: (...given: Parameters<typeof merge.mergedWeight>) => {
      const merged = original.mergedWeight(...given);
      if (faults.brokenWeight) merged.data[7]! += 0.5;
      return merged;
    },
  };
});

vi.mock('../../src/io/filesystem.ts', async (importOriginal) => {
  const original = await importOriginal<typeof filesystem>();
  return {
    ...original,
    writeAll: async (...[handle, data]: Parameters<typeof filesystem.writeAll>) => {
      const position = (await handle.stat()).size;
      if (position + data.byteLength > faults.diskCapacity) {
        throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', syscall: 'write' });
      }
      await original.writeAll(handle, data);
    },
  };
});

const { path, config } = await makeWorkspace();
await succeed('train', '--config', config, ...set({ 'train.steps': 2, 'train.log.every': 2 }));
const exportOnnx = () =>
  run('export', 'onnx', '--checkpoint', path('run'), '--output', path('exported'), '--parity-samples', '2');

afterEach(() => {
  faults.brokenWeight = false;
  faults.diskCapacity = Number.POSITIVE_INFINITY;
});

describe('an export that goes wrong', () => {
  it('is noticed where one weight is broken, and leaves nothing', async () => {
    faults.brokenWeight = true;
    const before = await readdir(path());
    const { exitCode, out, err } = await exportOnnx();
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    expect(err).toMatch(/^error\[EXPORT_PARITY\]: [^\n]*differ by at most [^\n]*\(bound 1e-4\)[^\n]*\n$/);
    expect(await readdir(path())).toEqual(before);
  });

  it('says that the disk is full, and leaves nothing', async () => {
    faults.diskCapacity = 30_000;
    const before = await readdir(path());
    const { exitCode, out, err } = await exportOnnx();
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[DISK_FULL\]: [^\n]*\.onnx[^\n]*bytes are needed[^\n]*\n$/);
    expect(await readdir(path())).toEqual(before);
  });

  it('goes well otherwise', async () => {
    expect(await exportOnnx()).toMatchObject({ exitCode: 0, err: '' });
  });
});
