import { createRequire } from 'node:module';
import { EngineError } from '../errors.ts';
import { EagerEngine } from './eager/engine.ts';
import type { Engine } from './types.ts';

export const engineNames = ['onnxruntime', 'wasm', 'cpu', 'tensorflow'] as const;
export type EngineName = (typeof engineNames)[number];

export interface EngineOptions {
  readonly type: EngineName | 'auto';
  /** Threads of the onnxruntime engine; absent or null leaves the number to it. */
  readonly threads?: number | null;
}

const { resolve } = createRequire(import.meta.url);

function isInstalled(packageName: string): boolean {
  try {
    resolve(packageName);
    return true;
  } catch {
    return false;
  }
}

async function tensorflowEngine(): Promise<Engine> {
  const packageName = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'].find(isInstalled);
  if (packageName === undefined) {
    throw new EngineError(
      'ENGINE_PACKAGE_MISSING',
      'The engine "tensorflow" needs the optional package @tensorflow/tfjs-node-gpu (CUDA) or @tensorflow/tfjs-node (CPU): npm install @tensorflow/tfjs-node',
    );
  }
  try {
    await import(packageName);
  } catch (error) {
    throw new EngineError(
      'ENGINE_PACKAGE_BROKEN',
      `${packageName} is installed but does not load: ${(error as Error).message}`,
      { cause: error },
    );
  }
  return new EagerEngine('tensorflow', 'tensorflow');
}

/**
 * The engine of that name; `auto` is onnxruntime, which every installation has.
 * @throws EngineError where its package or device is missing: there is no fallback to another engine
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  switch (options.type) {
    case 'auto':
    case 'onnxruntime': {
      const { OnnxruntimeEngine } = await import('./onnxruntime/engine.ts');
      return new OnnxruntimeEngine(options.threads == null ? {} : { threads: options.threads });
    }
    case 'wasm': {
      const { prepareWasm } = await import('./eager/wasm.ts');
      await prepareWasm();
      return new EagerEngine('wasm', 'wasm');
    }
    case 'cpu':
      return new EagerEngine('cpu', 'cpu');
    case 'tensorflow':
      return tensorflowEngine();
  }
}
