import * as tf from '@tensorflow/tfjs';

/** Where a mask applies and how often it drops. */
export interface DropoutSettings {
  /** Probability of dropping an element, 0 <= rate < 1. */
  readonly rate: number;
  /** int32 `[rows]`, from `rowKeys`: one per token of the batch. */
  readonly rowKeys: tf.Tensor;
  /** The module that drops, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
}

const golden = 0x9e3779b1;

/** A well-mixed 32-bit integer (two multiply-xorshift rounds, constants of C. Wellons' lowbias32). */
function mix(value: number): number {
  let x = value ^ (value >>> 16);
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return x ^ (x >>> 16);
}

/** 32-bit FNV-1a of a string's UTF-16 units, mixed. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/**
 * Keys of the rows of a batch, `[batch * tokens]`: a function of (seed, optimizer step, sample name, token index)
 * and nothing else, so that a mask does not depend on batch mates, padding, accumulation or engine.
 */
export function rowKeys(options: {
  readonly seed: number;
  readonly step: number;
  readonly names: readonly string[];
  readonly tokens: number;
}): Int32Array {
  const { seed, step, names, tokens } = options;
  const keys = new Int32Array(names.length * tokens);
  const base = mix(mix(seed | 0) + Math.imul(step, golden));
  names.forEach((name, sample) => {
    const sampleKey = mix(base ^ hashText(name));
    for (let token = 0; token < tokens; token++) {
      keys[sample * tokens + token] = mix(sampleKey + Math.imul(token, golden));
    }
  });
  return keys;
}

/** Elements with a 24-bit draw below this are dropped. */
export const dropThreshold = (rate: number): number => Math.round(rate * 2 ** 24);

/**
 * The mask that every engine has to produce: 0 or 1 / (1 - rate), `[rows, columns]`.
 * Element (row, column) draws from `rowKey + moduleKey + column * golden`, mixed; its upper 24 bits decide.
 */
export function dropoutMask(
  keys: Int32Array,
  columns: number,
  rate: number,
  moduleKey: number,
): Float32Array {
  const mask = new Float32Array(keys.length * columns);
  const threshold = dropThreshold(rate);
  const scale = 1 / (1 - rate);
  for (let row = 0; row < keys.length; row++) {
    const rowKey = (keys[row]! + moduleKey) | 0;
    for (let column = 0; column < columns; column++) {
      let x = (rowKey + Math.imul(column, golden)) | 0;
      x ^= x >>> 16;
      x = Math.imul(x, 0x7feb352d);
      x ^= x >>> 15;
      x = Math.imul(x, 0x846ca68b);
      if (x >>> 8 >= threshold) mask[row * columns + column] = scale;
    }
  }
  return mask;
}

/** The same integers for emitters that write the mask as graph operations. */
export const dropoutConstants = { golden, multipliers: [0x7feb352d, 0x846ca68b], shifts: [16, 15] } as const;

/**
 * Dropout of `x [rows, columns]`. The mask is one kernel, `DropoutMask`, which each engine registers.
 * Callers leave it out altogether when not training.
 */
export function dropout(x: tf.Tensor, { rate, rowKeys: keys, module }: DropoutSettings): tf.Tensor {
  if (rate === 0) return x;
  const attributes = { columns: x.shape[1]!, rate, moduleKey: hashText(module) };
  const mask = tf.engine().runKernel('DropoutMask', { rowKeys: keys }, attributes) as tf.Tensor;
  return tf.mul(x, mask);
}

/** Registers the mask for an eager tfjs backend, computed in JavaScript. */
export function registerEagerDropout(backendName: string): void {
  if (tf.getKernel('DropoutMask', backendName) !== undefined) return;
  tf.registerKernel({
    kernelName: 'DropoutMask',
    backendName,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { rowKeys: keys } = inputs as { rowKeys: tf.TensorInfo };
      const { columns, rate, moduleKey } = attrs as { columns: number; rate: number; moduleKey: number };
      const storage = backend as tf.KernelBackend;
      const values = storage.readSync(keys.dataId) as Int32Array;
      const shape = [values.length, columns];
      const dataId = storage.write(dropoutMask(values, columns, rate, moduleKey), shape, 'float32');
      return { dataId, shape, dtype: 'float32' };
    },
  });
}
