import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../io/atomic.ts';
import { fileError } from '../../io/filesystem.ts';
import { readModelJson } from '../../runtime/model-folder.ts';
import type { Dtype } from './shards.ts';

/** What a reader of the merged model would miss. */
const expected = ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'];
/** What some models have and others do not. */
const optional = [
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'LICENSE',
];

const architectures = { qwen2: 'Qwen2ForCausalLM', llama: 'LlamaForCausalLM' } as const;

export interface CopiedFiles {
  /** Paths of what was written. */
  readonly written: readonly string[];
  /** Names of expected files that the base model does not have. */
  readonly missing: readonly string[];
}

/**
 * Puts what stands beside the weights of a decoder beside the merged ones: `config.json` with the number format they are in
 * now, the tokenizer's files and `generation_config.json` as they are.
 *
 * @throws InputError those of `fileError`
 */
export async function copyModelFiles(
  from: string,
  folder: string,
  modelType: keyof typeof architectures,
  dtype: Dtype,
): Promise<CopiedFiles> {
  const config = (await readModelJson(from, 'config.json')) as Record<string, unknown>;
  // transformers 5 writes the format as "dtype"; readers before it look for "torch_dtype", and both read that.
  const { dtype: _, ...rest } = config;
  const merged = {
    ...rest,
    architectures: config.architectures ?? [architectures[modelType]],
    torch_dtype: dtype,
  };
  const configFile = join(folder, 'config.json');
  await writeFileAtomic(configFile, `${JSON.stringify(merged, null, 2)}\n`);
  const written = [configFile];
  for (const name of [...expected, ...optional]) {
    if (!existsSync(join(from, name))) continue;
    const target = join(folder, name);
    await copyFile(join(from, name), target).catch((error: unknown) => {
      throw fileError(error, target, 'write');
    });
    written.push(target);
  }
  return { written, missing: expected.filter((name) => !existsSync(join(from, name))) };
}
