import { existsSync } from 'node:fs';
import path from 'node:path';

/** Folder of SmolLM2-135M-Instruct in Hugging Face layout, or why there is none. */
export function smollm2Folder(): { readonly folder: string } | { readonly missing: string } {
  const folder = process.env.AFFECTGPT_SMOLLM2;
  if (folder === undefined) {
    return { missing: 'AFFECTGPT_SMOLLM2 names no folder of SmolLM2-135M-Instruct in Hugging Face layout' };
  }
  return existsSync(path.join(folder, 'config.json'))
    ? { folder }
    : { missing: `AFFECTGPT_SMOLLM2: ${folder} holds no config.json` };
}
