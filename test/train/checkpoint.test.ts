import { mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAdapterConfig } from '../../lora/config.ts';
import type { HostTensor, HostTensorMap, State } from '../../src/engine/types.ts';
import { sha256File } from '../../src/io/checksum.ts';
import {
  openSafetensors,
  readFloat32,
  type SafetensorsTensor,
  writeSafetensors,
} from '../../src/io/safetensors.ts';
import {
  type CheckpointState,
  loadCheckpoint,
  loadWeights,
  saveCheckpoint,
  type TensorShapes,
} from '../../train/checkpoint.ts';
import { findResumable, listCheckpoints, removeUnfinished } from '../../train/checkpoint-folders.ts';
import { readJson } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyAdapter } from './tiny-tasks.ts';

const shapes: TensorShapes = {
  'model.layers.0.self_attn.q_proj.lora_A.weight': [2, 3],
  'model.layers.0.self_attn.q_proj.lora_B.weight': [4, 2],
  'fc_att.weight': [2, 2],
  'fc_att.bias': [2],
};
const adapterNames = Object.keys(shapes).slice(0, 2);

/** Numbers that a text format would change: many digits, subnormal, negative zero, NaN. */
function values(shape: readonly number[], seed: number): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(Math.sin(i + seed));
  data.set([-0, 1e-42].slice(0, data.length));
  data[data.length - 1] = seed % 2 === 0 ? Number.NaN : 3;
  return { dtype: 'float32', shape, data };
}

function tensorsFor(seed: number): HostTensorMap {
  const entries = Object.entries(shapes).flatMap(([name, shape], i) =>
    [name, `exp_avg:${name}`, `exp_avg_sq:${name}`].map(
      (entry, kind) => [entry, values(shape, seed + 3 * i + kind)] as const,
    ),
  );
  return Object.fromEntries(entries);
}

const inMemory = (tensors: HostTensorMap): Pick<State, 'read'> => ({
  read: async (names = Object.keys(tensors)) =>
    Object.fromEntries(names.map((name) => [name, tensors[name]!])),
});

const stateAt = (step: number): CheckpointState => ({
  formatVersion: 1,
  step,
  epoch: 2,
  sampler: { index: 3, samples: 7, namesHash: 'abc' },
  rng: { seed: 42 },
  tokensSeen: 1000,
  samplesSeen: 40,
  seconds: 1.25,
  configHash: 'def',
  config: { 'train.seed': 42, 'lora.targets': ['q_proj'] },
});

const save = (
  runFolder: string,
  step: number,
  keep = 3,
  tensors: Pick<State, 'read'> = inMemory(tensorsFor(step)),
) => saveCheckpoint({ runFolder, state: stateAt(step), shapes, tensors, adapter: tinyAdapter, keep });

const bits = (tensors: HostTensorMap) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      [shape, Buffer.from(data.slice().buffer)],
    ]),
  );

const pick = (tensors: HostTensorMap, keep: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(tensors).filter(([name]) => keep(name)));

const refused = (code: string, ...texts: string[]) =>
  expect.objectContaining({
    code,
    exitCode: 2,
    message: expect.stringMatching(
      new RegExp(texts.map((text) => text.replace(/[[\]().]/g, '\\$&')).join('.*'), 's'),
    ),
  });

describe('a saved checkpoint', () => {
  it('comes back bit for bit', async () => {
    const run = await temporaryFolder();
    const tensors = tensorsFor(100);
    const folder = await save(run, 100);
    expect(folder).toBe(join(run, 'checkpoints', 'step-000100'));
    const { parameters, moments, state } = await loadCheckpoint(folder, shapes);
    expect(state).toEqual(stateAt(100));
    expect(bits(parameters)).toEqual(bits(pick(tensors, (name) => !name.includes(':'))));
    expect(bits(moments)).toEqual(bits(pick(tensors, (name) => name.includes(':'))));
    expect(Object.keys((await loadWeights(folder, shapes)).parameters).sort()).toEqual(
      Object.keys(shapes).sort(),
    );
  });

  it('has the adapter in the layout of PEFT and everything else under its own name', async () => {
    const folder = await save(await temporaryFolder(), 1);
    expect((await readdir(folder)).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'affectgpt.safetensors',
      'checksums.json',
      'optimizer.safetensors',
      'state.json',
    ]);
    const names = async (file: string) =>
      [...(await openSafetensors(join(folder, file))).entries.keys()].sort();
    expect(await names('adapter_model.safetensors')).toEqual(
      adapterNames.map((name) => `base_model.model.${name}`),
    );
    expect(await names('affectgpt.safetensors')).toEqual(['fc_att.bias', 'fc_att.weight']);
    const adapterConfig = await readJson(join(folder, 'adapter_config.json'));
    expect(parseAdapterConfig(adapterConfig)).toEqual(tinyAdapter.settings);
    const { files } = (await readJson(join(folder, 'checksums.json'))) as { files: Record<string, unknown> };
    expect(Object.keys(files)).toHaveLength(5);
    expect(files['state.json']).toEqual({
      bytes: (await stat(join(folder, 'state.json'))).size,
      sha256: await sha256File(join(folder, 'state.json')),
    });
  });

  it('is refused where adapters are trained and nobody said which', async () => {
    const unnamed = saveCheckpoint({
      runFolder: await temporaryFolder(),
      state: stateAt(1),
      shapes,
      tensors: inMemory(tensorsFor(1)),
      keep: 1,
    });
    await expect(unnamed).rejects.toEqual(refused('CHECKPOINT_ADAPTER_UNDESCRIBED'));
  });
});

describe('a damaged checkpoint', () => {
  const saved = async () => save(await temporaryFolder(), 10);
  const parts = ['adapter_model.safetensors', 'affectgpt.safetensors', 'optimizer.safetensors', 'state.json'];

  it.each([...parts, 'adapter_config.json'])('with one flipped bit in %s', async (file) => {
    const folder = await saved();
    const bytes = await readFile(join(folder, file));
    bytes[bytes.length - 3]! ^= 1;
    await writeFile(join(folder, file), bytes);
    await expect(loadCheckpoint(folder, shapes)).rejects.toEqual(refused('CHECKPOINT_DAMAGED', file));
  });

  it.each(parts)('with %s cut off', async (file) => {
    const folder = await saved();
    const { size } = await stat(join(folder, file));
    await truncate(join(folder, file), size - 1);
    const told = refused('CHECKPOINT_TRUNCATED', file, `${size - 1} of ${size} bytes`);
    await expect(loadCheckpoint(folder, shapes)).rejects.toEqual(told);
  });

  it.each([...parts, 'checksums.json'])('without %s', async (file) => {
    const folder = await saved();
    await rm(join(folder, file));
    const told = refused('CHECKPOINT_FILE_MISSING', `${file} is missing`);
    await expect(loadCheckpoint(folder, shapes)).rejects.toEqual(told);
  });

  it('with all its faults at once', async () => {
    const folder = await saved();
    await rm(join(folder, 'optimizer.safetensors'));
    await truncate(join(folder, 'affectgpt.safetensors'), 9);
    const told = refused(
      'CHECKPOINT_TRUNCATED',
      'affectgpt.safetensors is cut off',
      'optimizer.safetensors is missing',
    );
    await expect(loadCheckpoint(folder, shapes)).rejects.toEqual(told);
  });

  it('with a list of checksums that leaves a file out', async () => {
    const folder = await saved();
    const list = (await readJson(join(folder, 'checksums.json'))) as { files: Record<string, unknown> };
    delete list.files['optimizer.safetensors'];
    await writeFile(join(folder, 'checksums.json'), JSON.stringify(list));
    await expect(loadCheckpoint(folder, shapes)).rejects.toEqual(
      refused('CHECKPOINT_FILE_UNLISTED', 'optimizer.safetensors'),
    );
    expect((await loadWeights(folder, shapes)).state.step).toBe(10);
  });

  it('of a later version', async () => {
    const folder = await saved();
    await writeFile(join(folder, 'state.json'), JSON.stringify({ ...stateAt(10), formatVersion: 2 }));
    await expect(loadWeights(folder, shapes)).rejects.toEqual(refused('CHECKPOINT_VERSION', 'version 2'));
  });

  it('that is not there', async () => {
    const folder = join(await temporaryFolder(), 'nothing');
    await expect(loadWeights(folder, shapes)).rejects.toEqual(refused('CHECKPOINT_NOT_FOUND', folder));
  });
});

describe('a checkpoint of another model', () => {
  it('is refused with every missing, unexpected and wrongly shaped tensor, moments included', async () => {
    const folder = await save(await temporaryFolder(), 10);
    const { 'fc_att.weight': _, ...others } = shapes;
    const expected = { ...others, 'fc_att.bias': [3], 'attention_mlp.weight': [5, 4] };
    const problems = [
      'wrong shape: fc_att.bias is [2], the model has [3]',
      'missing: attention_mlp.weight [5, 4]',
      'unexpected: fc_att.weight',
    ];
    const message = await loadWeights(folder, expected).catch((error) => error);
    expect(message).toEqual(refused('CHECKPOINT_MISMATCH', ...problems));
    const moments = problems.map((text) => text.replace(': ', ': exp_avg_sq:'));
    await expect(loadCheckpoint(folder, expected)).rejects.toEqual(
      refused('CHECKPOINT_MISMATCH', ...problems, ...moments),
    );
  });

  it('is refused where a tensor has another type', async () => {
    const folder = await save(await temporaryFolder(), 10);
    const path = join(folder, 'affectgpt.safetensors');
    const tensors: Record<string, SafetensorsTensor> = {};
    for (const [name, entry] of (await openSafetensors(path)).entries) {
      tensors[name] = { dtype: 'F32', shape: entry.shape, data: await readFloat32(entry), storage: 'BF16' };
    }
    await writeSafetensors(path, tensors);
    const list = JSON.parse(await readFile(join(folder, 'checksums.json'), 'utf8'));
    list.files['affectgpt.safetensors'] = { bytes: (await stat(path)).size, sha256: await sha256File(path) };
    await writeFile(join(folder, 'checksums.json'), JSON.stringify(list));
    await expect(loadWeights(folder, shapes)).rejects.toEqual(
      refused('CHECKPOINT_MISMATCH', 'wrong type: fc_att.weight is BF16'),
    );
  });
});

describe('the checkpoints of a run', () => {
  const steps = async (run: string) => (await listCheckpoints(run)).map(({ step }) => step);
  const latest = async (run: string) => readFile(join(run, 'checkpoints', 'latest'), 'utf8');

  it('are the newest ones, of which latest names the last', async () => {
    const run = await temporaryFolder();
    for (const step of [5, 10, 15, 1_000_000]) await save(run, step, 2);
    expect(await steps(run)).toEqual([15, 1_000_000]);
    expect(await latest(run)).toBe('step-1000000\n');
    expect(await readdir(join(run, 'checkpoints'))).toHaveLength(3);
    expect(await findResumable(run)).toEqual({
      folder: join(run, 'checkpoints', 'step-1000000'),
      step: 1_000_000,
    });
  });

  it('never lose the one that latest names, though later ones were left by a run that was set back', async () => {
    const run = await temporaryFolder();
    for (const step of [5, 30, 40]) await save(run, step, 9);
    for (const step of [10, 15]) await save(run, step, 1);
    expect(await steps(run)).toEqual([15, 30, 40]);
    expect((await findResumable(run))?.step).toBe(15);
  });

  it('stay as they were when saving fails on the way', async () => {
    const run = await temporaryFolder();
    await save(run, 5);
    const failing = {
      read: async ([name]: readonly string[] = []) => {
        if (name?.startsWith('exp_avg_sq:')) throw new Error('killed');
        return inMemory(tensorsFor(1)).read([name!]);
      },
    };
    await expect(save(run, 10, 3, failing)).rejects.toThrow('killed');
    expect((await findResumable(run))?.step).toBe(5);
    expect((await readdir(join(run, 'checkpoints'))).sort()).toEqual(['latest', 'step-000005']);
  });

  it('do not count what a killed process left: before the rename, or before latest was written', async () => {
    const run = await temporaryFolder();
    await save(run, 5);
    const folder = join(run, 'checkpoints');
    await save(run, 10);
    // Killed before the rename.
    const partial = '.step-000010.123-0123456789ab.partial';
    await rename(join(folder, 'step-000010'), join(folder, partial));
    await writeFile(join(folder, 'latest'), 'step-000005\n');
    expect((await findResumable(run))?.step).toBe(5);
    expect(await steps(run)).toEqual([5]);
    // Killed between the rename and latest: complete, but not yet the one to continue from.
    await rename(join(folder, partial), join(folder, 'step-000010'));
    expect((await findResumable(run))?.step).toBe(5);
    // The run comes there again and replaces it.
    const again = await save(run, 10, 3, inMemory(tensorsFor(77)));
    expect(bits((await loadWeights(again, shapes)).parameters)).toEqual(
      bits(pick(tensorsFor(77), (name) => !name.includes(':'))),
    );
    await mkdir(join(folder, partial));
    await removeUnfinished(run);
    expect((await readdir(folder)).sort()).toEqual(['latest', 'step-000005', 'step-000010']);
  });

  it('are found without latest where the first one was not followed by it', async () => {
    const run = await temporaryFolder();
    expect(await findResumable(run)).toBeUndefined();
    await save(run, 5);
    await rm(join(run, 'checkpoints', 'latest'));
    expect((await findResumable(run))?.step).toBe(5);
  });

  it.each(['step-000099', '../../elsewhere', ''])('are not guessed where latest names "%s"', async (name) => {
    const run = await temporaryFolder();
    await save(run, 5);
    await writeFile(join(run, 'checkpoints', 'latest'), name);
    const told = refused('CHECKPOINT_LATEST_INVALID', 'There are: step-000005');
    await expect(findResumable(run)).rejects.toEqual(told);
  });
});
