import { stat } from 'node:fs/promises';
import path from 'node:path';
import type * as tf from '@tensorflow/tfjs';
import type { WeightSource } from '../types.ts';

interface Held {
  readonly tensor: Promise<tf.Tensor>;
  users: number;
}

/** A weight that a function uses. */
export interface TakenWeight {
  readonly tensor: tf.Tensor;
  /** Gives it back; the last one to do so frees it. To be called once. */
  release(): void;
}

/** Frozen weights of an engine: of those that lie in files one tensor each, however many functions use it. */
export class SharedWeights {
  readonly #load: (name: string, source: WeightSource) => Promise<tf.Tensor>;
  readonly #held = new Map<unknown, Held>();

  /** @param load makes a tensor that stays until it is disposed */
  constructor(load: (name: string, source: WeightSource) => Promise<tf.Tensor>) {
    this.#load = load;
  }

  async take(name: string, source: WeightSource): Promise<TakenWeight> {
    const key = await keyOf(source);
    const held = this.#held.get(key) ?? { tensor: this.#load(name, source), users: 0 };
    this.#held.set(key, held);
    held.users++;
    const leave = () => {
      held.users--;
      if (held.users > 0) return false;
      this.#held.delete(key);
      return true;
    };
    try {
      const tensor = await held.tensor;
      return { tensor, release: () => void (leave() && tensor.dispose()) };
    } catch (error) {
      leave();
      throw error;
    }
  }
}

/** The range of a file as it is now. An array in memory may have other numbers at the next call: it is nobody else's. */
async function keyOf(source: WeightSource): Promise<unknown> {
  if ('dtype' in source) return Symbol('a weight in memory');
  // What is wrong with a file is said by the one who reads it.
  const { mtimeMs, size } = await stat(source.file).catch(() => ({ mtimeMs: 0, size: 0 }));
  const { storage, begin, end, shape } = source;
  return JSON.stringify([path.resolve(source.file), mtimeMs, size, storage, begin, end, shape]);
}
