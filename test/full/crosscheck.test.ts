import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa, execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseClipConfig } from '../../encoders/clip.ts';
import { parseData2VecConfig } from '../../encoders/data2vec.ts';
import { parseDinov2Config } from '../../encoders/dinov2.ts';
import { parseHubertConfig } from '../../encoders/hubert-config.ts';
import { parseImagePreprocessing } from '../../encoders/image-preprocessing.ts';
import { parseSiglipConfig } from '../../encoders/siglip.ts';
import { parseWaveformPreprocessing } from '../../encoders/waveform-preprocessing.ts';
import { parseWavLmConfig } from '../../encoders/wavlm.ts';
import { parseDecoderConfig } from '../../model/decoder-config.ts';
import { parityCommand } from '../parity/command.ts';
import { parityKinds } from '../parity/kinds.ts';
import type { Report } from '../parity/runner.ts';
import { pythonWith } from '../support/python.ts';

const script = (name: string): string => fileURLToPath(new URL(`../crosscheck/${name}`, import.meta.url));
const interpreter = pythonWith('torch', 'transformers', 'peft', 'safetensors', 'numpy', 'PIL');
if ('missing' in interpreter) console.warn(`Skipped, cross-checks with Python: ${interpreter.missing}.`);
const { python } = { python: '', ...interpreter };
const environment = { env: { PYTHONDONTWRITEBYTECODE: '1' } };

/** Folders that the script writes for a seed. */
const foldersOfSeed = 89;

async function parity(...argv: string[]): Promise<Report & { readonly exitCode: number }> {
  let stdout = '';
  const stream = {
    write: (text: string) => {
      stdout += text;
    },
  };
  const exitCode = await parityCommand(['--json', ...argv], { stdout: stream, stderr: process.stderr });
  return { exitCode, ...(JSON.parse(stdout) as Report) };
}

describe.skipIf('missing' in interpreter).each([1, 2])('models of seed %i', (seed) => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'affectgpt-crosscheck-'));
    await execa(python, [script('make_fixtures.py'), '--out', root, '--seed', String(seed)], environment);
  }, 1_200_000);
  afterAll(() => rm(root, { recursive: true }));

  it.each(['onnxruntime', 'wasm'])('give what transformers, peft and torch give, on %s', async (engine) => {
    const folders = (await readdir(root)).map((folder) => path.join(root, folder));
    const { exitCode, fixtures } = await parity('--engine', engine, ...folders);
    const misses = fixtures.flatMap(({ folder, error, tensors }) => [
      ...(error === undefined ? [] : [`${folder}: ${error}`]),
      ...tensors
        .filter(({ ok }) => !ok)
        .map(({ tensor, maxAbsError, tolerance, note }) => ({
          folder,
          tensor,
          maxAbsError,
          tolerance,
          note,
        })),
    ]);
    expect(misses).toEqual([]);
    expect(exitCode).toBe(0);
    expect(fixtures).toHaveLength(foldersOfSeed);
    // What the published code gives cannot be made anew.
    const kinds = Object.keys(parityKinds).filter((kind) => kind !== 'affectgpt');
    expect(new Set(fixtures.map(({ kind }) => kind))).toEqual(new Set(kinds));
  });
});

describe.skipIf('missing' in interpreter)('keys that a file leaves out', () => {
  interface Defaults {
    readonly configs: Record<string, Record<'published' | 'transformers5', { model_type: string }>>;
    readonly preprocessors: Record<string, object>;
  }
  const defaults: Defaults =
    'missing' in interpreter
      ? { configs: {}, preprocessors: {} }
      : JSON.parse(execaSync(python, [script('print_defaults.py')], environment).stdout);

  const parsers: Readonly<Record<string, (json: unknown) => unknown>> = {
    Qwen2Config: parseDecoderConfig,
    LlamaConfig: parseDecoderConfig,
    CLIPConfig: parseClipConfig,
    CLIPVisionConfig: parseClipConfig,
    SiglipConfig: parseSiglipConfig,
    SiglipVisionConfig: parseSiglipConfig,
    Dinov2Config: parseDinov2Config,
    HubertConfig: parseHubertConfig,
    WavLMConfig: parseWavLmConfig,
    Data2VecAudioConfig: parseData2VecConfig,
  };

  it.each(Object.keys(parsers))('mean what they mean to %s', (name) => {
    const { published, transformers5 } = defaults.configs[name]!;
    const bare = parsers[name]!({ model_type: published.model_type });
    expect(parsers[name]!(published)).toEqual(bare);
    expect(parsers[name]!(transformers5)).toEqual(bare);
  });

  it('mean what they mean to the image processors and the feature extractor', () => {
    const { Wav2Vec2FeatureExtractor, ...processors } = defaults.preprocessors;
    const names = ['CLIPImageProcessor', 'BitImageProcessor', 'SiglipImageProcessor'] as const;
    expect(Object.keys(processors)).toEqual(names);
    for (const name of names) {
      expect(parseImagePreprocessing(processors[name], name)).toEqual(parseImagePreprocessing({}, name));
    }
    expect(parseWaveformPreprocessing(Wav2Vec2FeatureExtractor)).toEqual(parseWaveformPreprocessing({}));
  });
});
