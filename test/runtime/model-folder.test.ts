import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { configuredModels } from '../../src/runtime/configured-models.ts';
import {
  findModelFolder,
  findModelFolders,
  howToGet,
  readModelJson,
} from '../../src/runtime/model-folder.ts';

const commit = 'c'.repeat(40);
let home: string;
let snapshot: string;

/** A cached model with these files. */
async function cache(id: string, files: Record<string, unknown>, ref = 'main'): Promise<string> {
  const repository = join(home, 'hub', `models--${id.replace('/', '--')}`);
  const folder = join(repository, 'snapshots', commit);
  await mkdir(folder, { recursive: true });
  await mkdir(join(repository, 'refs'), { recursive: true });
  await writeFile(join(repository, 'refs', ref), commit);
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), JSON.stringify(content));
  return folder;
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'affectgpt-models-'));
  snapshot = await cache('org/model', { 'config.json': {}, 'model.safetensors': {} });
  await cache('org/tagged', { 'config.json': {} }, 'v1');
});
beforeEach(() => {
  vi.stubEnv('HF_HOME', home);
  vi.stubEnv('HF_HUB_CACHE', '');
  vi.stubEnv('HUGGINGFACE_HUB_CACHE', '');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

describe('a model', () => {
  it('is found as a folder, by its id, and at a revision', () => {
    expect(findModelFolder(snapshot)).toBe(snapshot);
    expect(findModelFolder('org/model')).toBe(snapshot);
    expect(findModelFolder('org/model@main')).toBe(snapshot);
    expect(findModelFolder(`org/model@${commit}`)).toBe(snapshot);
    expect(findModelFolder('org/tagged@v1')).toMatch(/models--org--tagged/);
    for (const name of [
      'org/model@v2',
      `org/model@${'d'.repeat(40)}`,
      'org/tagged',
      'org/other',
      './org/model',
    ]) {
      expect(findModelFolder(name), name).toBeUndefined();
    }
  });

  it('that is missing is named with the command that gets it', () => {
    expect(howToGet('org/other')).toBe('affectgpt pull org/other');
    expect(howToGet('org/other@v2')).toBe('affectgpt pull org/other@v2');
    expect(howToGet('./models/llm')).toMatch(/folder that exists/);
    expect(() => findModelFolders({ a: 'org/other', b: 'org/model', c: 'org/model@v2' })).toThrow(
      /hub:\n {2}a "org\/other": affectgpt pull org\/other\n {2}c "org\/model@v2": affectgpt pull org\/model@v2$/,
    );
  });

  it('of which files are missing says which', async () => {
    await cache('org/empty', {});
    const index = { weight_map: { a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors' } };
    await cache('org/shards', {
      'config.json': {},
      'model.safetensors.index.json': index,
      'one.safetensors': {},
    });
    expect(() => findModelFolders({ a: 'org/empty', b: 'org/shards', c: 'org/model' })).toThrow(
      expect.objectContaining({
        code: 'MODEL_INCOMPLETE',
        message: expect.stringMatching(
          /lacks config\.json: affectgpt pull org\/empty\n.*lacks two\.safetensors: affectgpt pull org\/shards$/,
        ),
      }),
    );
    const reading = readModelJson(snapshot, 'preprocessor_config.json');
    await expect(reading).rejects.toThrow(`affectgpt pull org/model@${commit}`);
  });
});

describe('the models of a configuration', () => {
  const wanted = async (model: object) =>
    (await configuredModels(parseConfig({ output: 'x', data: { manifest: 'm' }, model }))).wanted;

  it('are those that its inputs need', async () => {
    const keys = async (inputs: string) => Object.keys(await wanted({ inputs }));
    expect(await keys('textonly')).toEqual(['model.llm']);
    expect(await keys('audioonly')).toEqual(['model.llm', 'model.audioEncoder.model']);
    expect(await keys('faceonly')).toEqual(['model.llm', 'model.visualEncoder.model']);
    expect(await keys('multiface_audio_face_text')).toHaveLength(3);
  });

  it("of a user's own encoder are got with the files that it needs", async () => {
    const visualEncoder = { type: 'transformers', model: 'org/vit' };
    const { 'model.visualEncoder.model': vit } = await wanted({ inputs: 'faceonly', visualEncoder });
    const command = 'affectgpt pull org/vit --include "*.json" --include "onnx/*model.onnx*"';
    expect(howToGet(vit!)).toBe(command);
    await cache('org/vit', { 'config.json': {}, 'model.safetensors': {} });
    expect(() => findModelFolders({ a: vit! })).toThrow(`lacks onnx/*model.onnx*: ${command}`);
  });
});
