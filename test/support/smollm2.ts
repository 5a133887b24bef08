import { existsSync } from 'node:fs';
import path from 'node:path';
import { execaSync } from 'execa';

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

/** An interpreter that has torch and transformers, or why there is none. */
export function pythonWithTransformers(): { readonly python: string } | { readonly missing: string } {
  const python = process.env.AFFECTGPT_PYTHON ?? 'python3';
  const { failed } = execaSync(python, ['-c', 'import torch, transformers'], { reject: false });
  return failed ? { missing: `${python} (AFFECTGPT_PYTHON) has no torch and transformers` } : { python };
}
