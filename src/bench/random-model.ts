import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { TensorShapes } from '../../encoders/encoder.ts';
import { createEncoder } from '../../encoders/registry.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { InputError } from '../errors.ts';
import { writeSafetensors } from '../io/safetensors.ts';
import { publishedEncoders as published } from '../runtime/published-shapes.ts';
import { type DecoderSize, decoderSizes } from './decoder-sizes.ts';

/**
 * Models of the published shapes with random weights, written to disk as the published ones are: a folder in Hugging
 * Face layout with bf16 weights. Speed and memory depend on shapes alone.
 */

/** Files of the published encoders that are measured, by type of the encoder registry. */
export const publishedEncoders = {
  clip: published['openai/clip-vit-large-patch14'],
  hubert: published['TencentGameMate/chinese-hubert-large'],
} as const;

export type PublishedEncoder = keyof typeof publishedEncoders;

/** A model that can be written: a size of decoder, or a published encoder. */
export type RandomModel = DecoderSize | PublishedEncoder;

const folderNames: Readonly<Record<RandomModel, string>> = {
  ...{ s: 'qwen2-s', m: 'qwen2-m', l: 'qwen2.5-0.5b' },
  ...{ clip: 'clip-large', hubert: 'hubert-large' },
};

const folderOf = (model: RandomModel): string =>
  path.join(os.tmpdir(), 'affectgpt-bench', folderNames[model]);

/** Numbers of a linear congruential generator: even, fast, and good enough to be multiplied. */
function randomValues(shape: readonly number[], name: string, seed: number): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = new Float32Array(count);
  if (shape.length === 1) return data.fill(name.endsWith('.bias') ? 0 : 1);
  if (name.endsWith('weight_g')) return data.fill(1);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[i] = (state / 2 ** 32 - 0.5) * 0.07; // Standard deviation 0.02.
  }
  return data;
}

function filesOf(model: RandomModel): { shapes: TensorShapes; files: Readonly<Record<string, object>> } {
  if (model === 'clip' || model === 'hubert') {
    const { config, preprocessor } = publishedEncoders[model];
    const { tensorShapes } = createEncoder(model, { config, preprocessor });
    return {
      shapes: tensorShapes,
      files: { 'preprocessor_config.json': preprocessor, 'config.json': config },
    };
  }
  const config = decoderSizes[model];
  return { shapes: decoderTensorShapes(parseDecoderConfig(config)), files: { 'config.json': config } };
}

/** Writes the folder of a model; its `config.json` comes last: a folder without it was interrupted. */
export async function writeRandomModel(model: RandomModel): Promise<void> {
  const folder = folderOf(model);
  const { shapes, files } = filesOf(model);
  await mkdir(folder, { recursive: true });
  const tensors = Object.entries(shapes).map(([tensor, shape], index) => [
    tensor,
    {
      dtype: 'F32' as const,
      shape,
      storage: 'BF16' as const,
      data: () => randomValues(shape, tensor, index + 1),
    },
  ]);
  await writeSafetensors(path.join(folder, 'model.safetensors'), Object.fromEntries(tensors));
  for (const [file, content] of Object.entries(files))
    await writeFile(path.join(folder, file), JSON.stringify(content));
}

/**
 * A folder with that model; written at the first call, found at later ones. A process of its own writes it, so that
 * its memory is not counted as that of what is measured.
 * @throws InputError `BENCH_MODEL` where it could not be written
 */
export async function randomModel(model: RandomModel): Promise<string> {
  const folder = folderOf(model);
  if (existsSync(path.join(folder, 'config.json'))) return folder;
  const file = fileURLToPath(import.meta.url);
  const program = path.join(path.dirname(file), `write-random-model${path.extname(file)}`);
  // From its sources the program runs only with a loader for TypeScript.
  const loader = file.endsWith('.ts')
    ? ['--import', pathToFileURL(createRequire(file).resolve('tsx')).href]
    : [];
  const child = spawn(process.execPath, [...loader, program, model], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exitCode = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (exitCode !== 0) {
    throw new InputError(
      'BENCH_MODEL',
      `The random model ${folder} could not be written: is there room for 1 GB? What was wrong stands above.`,
    );
  }
  return folder;
}
