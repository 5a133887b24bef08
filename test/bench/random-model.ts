import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import type { TensorShapes } from '../../encoders/encoder.ts';
import { createEncoder } from '../../encoders/registry.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { writeSafetensors } from '../../src/io/safetensors.ts';
import { publishedEncoders as published, publishedDecoders } from '../../src/runtime/published-shapes.ts';

/**
 * Models of the published shapes with random weights, written to disk as the published ones are: a folder in Hugging
 * Face layout with bf16 weights. Speed and memory depend on shapes alone.
 */

/** `config.json` of Qwen2.5-0.5B. */
export const qwen2HalfBillion = {
  ...publishedDecoders['Qwen/Qwen2.5-0.5B'],
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  hidden_act: 'silu',
};

/** Files of the published encoders that are measured, by type of the encoder registry. */
export const publishedEncoders = {
  clip: published['openai/clip-vit-large-patch14'],
  hubert: published['TencentGameMate/chinese-hubert-large'],
} as const;

export type PublishedEncoder = keyof typeof publishedEncoders;

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

async function writeModel(
  name: string,
  shapes: TensorShapes,
  files: Readonly<Record<string, object>>,
): Promise<string> {
  const folder = join(os.tmpdir(), 'affectgpt-bench', name);
  // The last file written: what is there without it was interrupted.
  if (existsSync(join(folder, 'config.json'))) return folder;
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
  await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(tensors));
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(folder, file), JSON.stringify(content));
  }
  return folder;
}

/** A folder with a random Qwen2 of this `config.json`; written at the first call (bf16), found at later ones. */
export function randomDecoder(name: string, config: object): Promise<string> {
  return writeModel(name, decoderTensorShapes(parseDecoderConfig(config)), { 'config.json': config });
}

/** A folder with a random encoder of the published shape, as `randomDecoder`. */
export function randomEncoder(type: PublishedEncoder): Promise<string> {
  const { config, preprocessor } = publishedEncoders[type];
  return writeModel(`${type}-large`, createEncoder(type, { config, preprocessor }).tensorShapes, {
    'preprocessor_config.json': preprocessor,
    'config.json': config,
  });
}
