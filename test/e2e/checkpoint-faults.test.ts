import { cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SafetensorsTensor } from '../../src/io/safetensors.ts';
import { openSafetensors, readFloat32, writeSafetensors } from '../../src/io/safetensors.ts';
import { writeChecksums } from '../../train/checkpoint-checksums.ts';
import { makeWorkspace, run, set, succeed } from './workspace.ts';

const { path, config, rows } = await makeWorkspace();
await succeed('train', '--config', config, ...set({ 'train.steps': 2 }));
const clip = path('clips', 'videos', `${rows[0]!.name}.mp4`);
const latest = ['checkpoints', 'step-000002'];

/** A copy of the trained run, to be spoilt. */
async function copyRun(name: string) {
  const folder = path(name);
  await cp(path('run'), folder, { recursive: true });
  return {
    folder,
    checkpoint: join(folder, ...latest),
    file: (file: string) => join(folder, ...latest, file),
  };
}

/** Runs a command that has to be refused with this code; gives the message. */
async function refused(code: string, ...argv: string[]): Promise<string> {
  const { exitCode, out, err } = await run(...argv);
  const message = err.slice(Math.max(err.indexOf('error['), 0));
  expect(message).toMatch(new RegExp(`^error\\[${code}\\]: .+\n$`, 's'));
  expect(message).not.toMatch(/\n\n|\n {4}at |undefined/);
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  return message;
}
const predicting = (folder: string) => ['predict', '--checkpoint', folder, clip];
const resuming = (folder: string) => [
  ...['train', '--config', config],
  ...set({ output: folder, 'train.steps': 4 }),
];

/** Changes the tensors of a file, and makes the checkpoint's list of checksums agree. */
async function edit(
  checkpoint: string,
  name: string,
  change: (tensors: Record<string, SafetensorsTensor>) => void,
): Promise<void> {
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const entry of (await openSafetensors(join(checkpoint, name))).entries.values()) {
    tensors[entry.name] = { dtype: 'F32', shape: entry.shape, data: await readFloat32(entry) };
  }
  change(tensors);
  await writeSafetensors(join(checkpoint, name), tensors);
  const { files } = JSON.parse(await readFile(join(checkpoint, 'checksums.json'), 'utf8')) as {
    files: object;
  };
  await writeChecksums(checkpoint, Object.keys(files));
}

describe('a checkpoint', () => {
  it('with other tensors than the model is refused, naming all of them', async () => {
    const { folder, checkpoint } = await copyRun('shapes');
    await edit(checkpoint, 'affectgpt.safetensors', (tensors) => {
      tensors['affectgpt_proj.weight'] = { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) };
      delete tensors['fc_att.bias'];
      tensors.surplus = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
    });
    for (const argv of [predicting(folder), predicting(checkpoint), resuming(folder)]) {
      const message = await refused('CHECKPOINT_MISMATCH', ...argv);
      expect(message).toContain(checkpoint);
      expect(message).toContain('wrong shape: affectgpt_proj.weight is [2, 3], the model has [32, 12]');
      expect(message).toContain('missing: fc_att.bias [2]');
      expect(message).toContain('unexpected: surplus');
    }
  });

  it('that is damaged, cut off or not whole is refused, naming the file', async () => {
    const damaged = await copyRun('damaged');
    const bytes = await readFile(damaged.file('adapter_model.safetensors'));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(damaged.file('adapter_model.safetensors'), bytes);
    const message = await refused('CHECKPOINT_DAMAGED', ...predicting(damaged.folder));
    expect(message).toMatch(/adapter_model\.safetensors.*checksum differs/);
    const cut = await copyRun('cut');
    await truncate(cut.file('affectgpt.safetensors'), 100);
    expect(await refused('CHECKPOINT_TRUNCATED', ...predicting(cut.folder))).toContain(
      'affectgpt.safetensors',
    );
    await truncate(cut.file('optimizer.safetensors'), 100);
    expect(await refused('CHECKPOINT_TRUNCATED', ...resuming(cut.folder))).toMatch(
      /affectgpt\.safetensors is cut off.*optimizer\.safetensors is cut off/,
    );
    const partly = await copyRun('partly');
    await rm(partly.file('adapter_model.safetensors'));
    expect(await refused('CHECKPOINT_FILE_MISSING', ...predicting(partly.folder))).toContain(
      'adapter_model.safetensors is missing',
    );
  });

  it('that is damaged is refused before features are computed for it', async () => {
    const spoilt = async (name: string, spoil: (file: (name: string) => string) => Promise<void>) => {
      const { folder, file } = await copyRun(name);
      await spoil(file);
      const { exitCode, err } = await run(...resuming(folder), ...set({ 'data.featureCache': null }));
      expect(exitCode).toBe(2);
      expect(err).not.toContain('Features:');
      // The line before says which engine it is.
      return err.slice(err.indexOf('error['));
    };
    const state = await spoilt('state', async (file) => {
      const text = await readFile(file('state.json'), 'utf8');
      await writeFile(file('state.json'), text.replace('"samplesSeen": 4', '"samplesSeen": 5'));
    });
    expect(state).toMatch(/^error\[CHECKPOINT_DAMAGED\]: .*state\.json is not what was saved/);
    expect(await spoilt('no-json', (file) => writeFile(file('state.json'), '{'))).toMatch(
      /^error\[CHECKPOINT_TRUNCATED\]: .*state\.json is cut off/,
    );
    expect(await spoilt('no-tensors', (file) => rm(file('affectgpt.safetensors')))).toMatch(
      /^error\[CHECKPOINT_FILE_MISSING\]: .*affectgpt\.safetensors is missing/,
    );
    expect(await spoilt('cut-moments', (file) => truncate(file('optimizer.safetensors'), 9))).toMatch(
      /^error\[CHECKPOINT_TRUNCATED\]: .*optimizer\.safetensors is cut off: 9 of \d+ bytes/,
    );
    expect(await spoilt('no-sums', (file) => rm(file('checksums.json')))).toMatch(
      /^error\[CHECKPOINT_FILE_MISSING\]: .*checksums\.json is missing/,
    );
  });

  it('answers without the optimizer', async () => {
    const { folder, file } = await copyRun('small');
    await rm(file('optimizer.safetensors'));
    const { out } = await succeed(...predicting(folder));
    expect(out).toBe((await succeed(...predicting(path('run')))).out);
    expect(await refused('CHECKPOINT_FILE_MISSING', ...resuming(folder))).toContain('optimizer.safetensors');
  });
});

describe('a run', () => {
  it('is told from other folders', async () => {
    await mkdir(path('empty'));
    for (const folder of [path('nowhere'), path('empty'), path('clips'), path('run', 'checkpoints'), clip]) {
      expect(await refused('RUN_NOT_FOUND', ...predicting(folder))).toContain(folder);
    }
    const unsaved = await copyRun('unsaved');
    await rm(join(unsaved.folder, 'checkpoints'), { recursive: true });
    expect(await refused('RUN_NOT_FOUND', ...predicting(unsaved.folder))).toContain(
      'no checkpoint was saved yet',
    );
    const misled = await copyRun('misled');
    await writeFile(join(misled.folder, 'checkpoints', 'latest'), 'step-000007\n');
    expect(await refused('RUN_NOT_FOUND', ...predicting(misled.folder))).toContain('names "step-000007"');
    expect(await refused('CHECKPOINT_LATEST_INVALID', ...resuming(misled.folder))).toContain('step-000002');
  });

  it('whose models are gone says which', async () => {
    const { folder } = await copyRun('moved');
    const gone = [
      '--set',
      `model.llm=${path('models', 'gone')}`,
      '--set',
      'model.visualEncoder.model=some/clip',
    ];
    const message = await refused('MODEL_NOT_FOUND', ...predicting(folder), ...gone);
    expect(message).toMatch(
      /model\.llm ".*gone"[\s\S]*model\.visualEncoder\.model "some\/clip": affectgpt pull/,
    );
  });

  it('asked about bad clips names them, and leaves nothing behind', async () => {
    const bad = path('bad.jsonl');
    await writeFile(bad, `{"name":"a","video":"${clip}"}\n{"name":"b","video":"lost.mp4"}\n`);
    const argv = [
      'predict',
      '--checkpoint',
      path('run'),
      '--data',
      bad,
      '--output',
      path('bad-answers.jsonl'),
    ];
    expect(await refused('SAMPLES_UNUSABLE', ...argv)).toMatch(/bad\.jsonl, row 2: sample "b".*lost\.mp4/);
    await expect(readFile(path('bad-answers.jsonl.part'))).rejects.toThrow('ENOENT');
    await writeFile(path('text.mp4'), 'This is not a film.');
    const two = `{"name":"a","video":"text.mp4"}\n{"name":"b","video":"${clip}"}\n{"name":"c","video":"text.mp4"}\n`;
    await writeFile(bad, two);
    const message = await refused('SAMPLES_UNUSABLE', ...argv);
    expect(message).toMatch(/2 of 3 .*row 1, sample "a": .*text\.mp4.*row 3, sample "c"/);
    const skipping = await succeed(...argv, '--set', 'data.onBadSample=skip');
    expect(skipping.err).toMatch(/^Skipped: .*row 1, sample "a".*text\.mp4/m);
    expect(skipping.out).toMatch(/^1 predictions in /);
    const single = ['predict', '--checkpoint', path('run'), path('text.mp4')];
    expect(await refused('MEDIA_UNREADABLE', ...single)).toContain('text.mp4');
  });
});
