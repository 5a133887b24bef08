import { existsSync } from 'node:fs';
import path from 'node:path';
import { loadKoffiForXla } from '../../src/engine/xla/pjrt.ts';
import { findCudaPlugin } from '../../src/engine/xla/plugin.ts';

/** The plugin for CUDA, or why there is none that can compile. */
function find(): { readonly file: string } | { readonly reason: string } {
  try {
    loadKoffiForXla();
    const { path: file } = findCudaPlugin();
    const root = path.join(path.dirname(file), '../../nvidia');
    const hasTools = ['cu13', 'cuda_nvcc'].some((folder) => existsSync(path.join(root, folder, 'bin/ptxas')));
    return hasTools
      ? { file }
      : { reason: `${file} has no ptxas beside it: affectgpt engine install xla-cuda13 --force` };
  } catch (error) {
    return { reason: (error as Error).message };
  }
}

const found = find();

/** The plugin for CUDA where it is there with CUDA's tools; where not, the tests that need it say why and are skipped. */
export const cudaPlugin = 'file' in found ? found.file : undefined;
export const hasCudaCompiler = cudaPlugin !== undefined;
if ('reason' in found) process.stderr.write(`compiling without a device is not tested: ${found.reason}\n`);
