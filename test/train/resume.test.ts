import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { dataRecord, writeDataRecord } from '../../train/data-record.ts';
import { train } from '../../train/loop.ts';
import { checkResumable, checkUnused, resumeRun } from '../../train/resume.ts';
import { EpochSampler } from '../../train/sampler.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyLineTask } from './tiny-tasks.ts';

/** Three samples of which the second answers as told. */
const recordOf = (description: string) =>
  dataRecord(
    ['point-0', 'point-1', 'point-2'].map((name, i) => ({
      name,
      video: `/data/clips/${name}.mp4`,
      description: i === 1 ? description : 'calm',
      origin: `/data/manifest.jsonl, row ${i + 1}`,
    })),
    { manifest: '/data/manifest.jsonl' },
  );

describe('a run whose data have changed', () => {
  it('is refused where a sample says something else, naming it', async () => {
    const folder = await temporaryFolder();
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    const data = recordOf('happy');
    const trained = (steps: number, told: typeof data) =>
      train(tinyLineTask(3), {
        ...{ engine, steps, batchSize: 2, accumulation: 1, seed: 1 },
        schedule: { type: 'constant', lr: 0.01 },
        run: { folder, resume: 'auto', checkpoint: { every: 1, keep: 9 }, data: told },
      });
    await trained(2, data);
    await writeDataRecord(folder, data);
    const refusal = {
      code: 'RESUME_DATA_CHANGED',
      message: expect.stringContaining('0 added, 0 removed, 1 changed (point-1)'),
    };
    await expect(trained(4, recordOf('sad'))).rejects.toMatchObject(refusal);
    const terms = { runFolder: folder, resume: 'auto', identity: {}, seed: 1, steps: 4 } as const;
    await expect(checkResumable({ ...terms, data: recordOf('sad') })).rejects.toMatchObject(refusal);
    await checkResumable({ ...terms, data: recordOf('happy') });
  });
});

describe('a folder', () => {
  it('is in use from the first line of metrics on', async () => {
    const folder = await temporaryFolder();
    await checkUnused(folder);
    await writeFile(join(folder, 'metrics.jsonl'), '');
    await checkUnused(folder);
    await writeFile(join(folder, 'metrics.jsonl'), '{"step":1}\n');
    await expect(checkUnused(folder)).rejects.toMatchObject({ code: 'RUN_EXISTS' });
  });

  it('loses what a killed process had not finished when its run goes on', async () => {
    const folder = await temporaryFolder();
    const checkpoints = join(folder, 'checkpoints');
    await mkdir(join(checkpoints, '.step-000010.123-0123456789ab.partial'), { recursive: true });
    const sampler = new EpochSampler({ names: ['a'], seed: 1, batchSize: 1, accumulation: 1 });
    const request = { runFolder: folder, resume: 'auto', identity: {}, seed: 1, steps: 4 } as const;
    expect(await resumeRun({ ...request, shapes: {}, samples: 1, sampler })).toBeUndefined();
    expect(await readdir(checkpoints)).toEqual([]);
  });
});
