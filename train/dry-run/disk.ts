import { statfs } from 'node:fs/promises';
import path from 'node:path';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { featureInputSpecs } from '../../model/affectgpt.ts';
import type { Config } from '../../src/config/schema.ts';
import { isAdapterTensor, type TensorShapes } from '../checkpoint.ts';
import { countElements } from './parameters.ts';

const bytesOfFloat = 4;

/** Bytes of the tensors of one checkpoint, all float32. Headers and JSON files, some hundred bytes a tensor, come on top. */
export interface CheckpointBytes {
  readonly adapter: number;
  readonly others: number;
  /** Two moments a trainable number. */
  readonly optimizer: number;
  readonly total: number;
}

export function checkpointBytes(trainable: TensorShapes): CheckpointBytes {
  const of = (isWanted: (name: string) => boolean): number =>
    bytesOfFloat *
    countElements(Object.fromEntries(Object.entries(trainable).filter(([name]) => isWanted(name))));
  const adapter = of(isAdapterTensor);
  const others = of((name) => !isAdapterTensor(name));
  const optimizer = 2 * (adapter + others);
  return { adapter, others, optimizer, total: adapter + others + optimizer };
}

/**
 * Checkpoints that are on the disk at a time, at most: the newest, the best by validation, those that stay for good, and
 * the one that is being written.
 */
export function checkpointsAtMost({ steps, checkpoint, validation }: Config['train']): number {
  const { keep, keepEvery } = checkpoint;
  const best = validation === null ? 0 : 1;
  const forGood = keepEvery === null ? 0 : Math.floor(steps / keepEvery);
  return keep + best + forGood + 1;
}

/** Bytes of the features of one sample, all kinds together. */
export const featureBytesPerSample = (model: AffectGptConfig): number =>
  Object.values(featureInputSpecs(model)).reduce(
    (sum, { shape }) => sum + bytesOfFloat * shape.slice(1).reduce<number>((a, b) => a * (b as number), 1),
    0,
  );

/** What a folder will take, and what its file system has. */
export interface DiskNeed {
  readonly folder: string;
  readonly bytes: number;
  readonly freeBytes: number;
}

/** Bytes that may still be written where a folder is or will be. */
export async function freeBytes(folder: string): Promise<number> {
  for (let candidate = path.resolve(folder); ; candidate = path.dirname(candidate)) {
    try {
      const { bavail, bsize } = await statfs(candidate);
      return bavail * bsize;
    } catch (error) {
      if (candidate === path.dirname(candidate)) throw error;
    }
  }
}
