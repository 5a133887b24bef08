import { chooseEngine } from './choose.ts';
import { EagerEngine } from './eager/engine.ts';
import type { Engine } from './types.ts';

export const engineNames = ['onnxruntime', 'xla', 'wasm', 'cpu', 'tensorflow'] as const;
export type EngineName = (typeof engineNames)[number];

export interface EngineOptions {
  readonly type: EngineName | 'auto';
  /** Threads of the engines onnxruntime and xla (on the CPU); absent or null leaves the number to them. */
  readonly threads?: number | null;
  /** Library of the PJRT plugin of the engine xla; absent or null looks for one. */
  readonly plugin?: string | null;
}

/**
 * The engine of that name; for `auto` the one that `chooseEngine` names.
 *
 * @param notify told which engine `auto` came to, and why
 * @throws EngineError where its package or device is missing: there is no fallback to another engine
 */
export async function createEngine(
  options: EngineOptions,
  notify: (message: string) => void = () => {},
): Promise<Engine> {
  const threads = options.threads == null ? {} : { threads: options.threads };
  switch (options.type) {
    case 'auto': {
      const { type, reason } = chooseEngine();
      notify(`Engine: ${type} (engine.type is auto: ${reason}).`);
      return createEngine({ ...options, type });
    }
    case 'onnxruntime': {
      const { OnnxruntimeEngine } = await import('./onnxruntime/engine.ts');
      return new OnnxruntimeEngine(threads);
    }
    case 'xla': {
      const { XlaEngine } = await import('./xla/engine.ts');
      return new XlaEngine(options.plugin == null ? threads : { ...threads, plugin: options.plugin });
    }
    case 'wasm': {
      const { prepareWasm } = await import('./eager/wasm.ts');
      await prepareWasm();
      return new EagerEngine('wasm', 'wasm');
    }
    case 'cpu':
      return new EagerEngine('cpu', 'cpu');
    case 'tensorflow': {
      const { loadTensorflow } = await import('./tensorflow/load.ts');
      loadTensorflow();
      return new EagerEngine('tensorflow', 'tensorflow');
    }
  }
}
