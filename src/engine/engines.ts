import { EngineError } from '../errors.ts';
import { chooseEngine } from './choose.ts';
import { EagerEngine } from './eager/engine.ts';
import type { Engine, Precision } from './types.ts';

export const engineNames = ['onnxruntime', 'xla', 'openvino', 'wasm', 'cpu', 'tensorflow'] as const;
export type EngineName = (typeof engineNames)[number];

/** Engines that compute in bf16, too. */
const bfloat16Engines: readonly EngineName[] = ['xla', 'openvino'];

export interface EngineOptions {
  readonly type: EngineName | 'auto';
  /** Absent or `auto`: bf16 where the engine is faster in it, else fp32. */
  readonly precision?: Precision | 'auto';
  /** Threads of the engines onnxruntime, openvino and xla (on the CPU); absent or null leaves the number to them. */
  readonly threads?: number | null;
  /** Library of the PJRT plugin of the engine xla; absent or null looks for one. */
  readonly plugin?: string | null;
  /** Whether layers are computed again for the backward pass; `auto` where absent. Only xla can. */
  readonly recompute?: 'auto' | 'always' | 'never';
  /** Devices that train together; 1 where absent. Only xla takes more. */
  readonly devices?: number;
}

/**
 * The engine of that name; for `auto` the one that `chooseEngine` names.
 *
 * @param notify told which engine and which precision `auto` came to, and why
 * @throws EngineError where its package or a device is missing, `ENGINE_PRECISION` where it does not compute in the
 *   precision: there is no fallback to another engine or precision
 */
export async function createEngine(
  options: EngineOptions,
  notify: (message: string) => void = () => {},
): Promise<Engine> {
  const threads = options.threads == null ? {} : { threads: options.threads };
  const { devices = 1 } = options;
  if (devices > 1 && options.type !== 'xla' && options.type !== 'auto') {
    throw new EngineError(
      'ENGINE_DEVICES',
      `engine.devices is ${devices}, but the engine ${options.type} computes on one device. Set engine.type to xla, or engine.devices to 1.`,
    );
  }
  if (options.recompute === 'always' && options.type !== 'xla' && options.type !== 'auto') {
    throw new EngineError(
      'ENGINE_RECOMPUTE',
      `engine.recompute is always, but the engine ${options.type} keeps what the backward pass needs. Set engine.type to xla, or engine.recompute to auto.`,
    );
  }
  const { precision = 'auto' } = options;
  if (precision === 'bf16' && options.type !== 'auto' && !bfloat16Engines.includes(options.type)) {
    throw new EngineError(
      'ENGINE_PRECISION',
      `engine.precision is bf16, but the engine ${options.type} computes in fp32 only. Set engine.type to ${bfloat16Engines.join(' or ')}, which computes in bf16, or engine.precision to fp32 or auto.`,
    );
  }
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
      const engine = new XlaEngine({
        ...threads,
        devices,
        precision,
        ...(options.recompute !== undefined && { recompute: options.recompute }),
        ...(options.plugin != null && { plugin: options.plugin }),
      });
      if (precision === 'auto') {
        const reason = engine.precision === 'bf16' ? 'the fastest on CUDA' : 'bf16 is slower on processors';
        notify(`Precision: ${engine.precision} (engine.precision is auto: ${reason}).`);
      }
      return engine;
    }
    case 'openvino': {
      const { OpenvinoEngine } = await import('./openvino/engine.ts');
      const engine = new OpenvinoEngine({ ...threads, precision });
      if (precision === 'auto') {
        const has = engine.precision === 'bf16' ? 'has instructions for it' : 'has no instructions for bf16';
        notify(`Precision: ${engine.precision} (engine.precision is auto: this processor ${has}).`);
      }
      return engine;
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
      const { storedWeight } = await import('./tensorflow/stored-weights.ts');
      const { backend } = loadTensorflow();
      return new EagerEngine('tensorflow', 'tensorflow', (name, source) =>
        storedWeight(backend, name, source),
      );
    }
  }
}
