import { readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { relative } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { train } from '../../train/loop.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyLineTask } from './tiny-tasks.ts';

/** Paths of what is fsynced from here to the end of the test, in this order, as they were named then. */
async function watchSyncs(): Promise<string[]> {
  const synced: string[] = [];
  const handle = await open(import.meta.filename);
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const original = prototype.sync;
  const sync = vi.spyOn(prototype, 'sync').mockImplementation(function (this: FileHandle) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`));
    return original.call(this);
  });
  onTestFinished(() => sync.mockRestore());
  return synced;
}

it.runIf(process.platform === 'linux')(
  'metrics are on the disk before the checkpoint that follows them, that before latest names it',
  async () => {
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    const folder = await temporaryFolder();
    const synced = await watchSyncs();
    await train(tinyLineTask(4), {
      ...{ engine, steps: 2, batchSize: 2, accumulation: 1, seed: 1 },
      schedule: { type: 'constant', lr: 0.01 },
      run: { folder, resume: 'auto', checkpoint: { every: 1, keep: 9 } },
    });
    const kinds = synced.map((path) =>
      relative(folder, path)
        .replace(/^checkpoints\/\.step-(\d+)\.[^/]*\.partial$/, 'folder of $1')
        .replace(/^checkpoints\/\.step-(\d+)\..*\/.*$/, 'file of $1')
        .replace(/^checkpoints\/\.latest\..*\.partial$/, 'latest'),
    );
    let former = 0;
    for (const step of ['000001', '000002']) {
      const begin = kinds.indexOf(`file of ${step}`);
      const end = kinds.lastIndexOf(`folder of ${step}`) + 1;
      expect(kinds.slice(former, begin), `before the checkpoint of step ${step}`).toContain('metrics.jsonl');
      // The folder gets its name, then latest is written, then that gets its name.
      expect(kinds.slice(end, end + 3)).toEqual(['checkpoints', 'latest', 'checkpoints']);
      former = end;
    }
  },
);
