import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import type { HostTensor, HostTensorMap, TensorMap } from '../../src/engine/types.ts';
import { openSafetensors, readFloat32, readTensor } from '../../src/io/safetensors.ts';
import type { GoldenTensor } from '../parity/handler.ts';

/** A folder of `test/fixtures`. Float64 inputs (learning rates) are read as float32. */
export interface Fixture {
  readonly folder: string;
  /** Content of `config.json`; null where there is none. */
  readonly config: unknown;
  readonly golden: {
    readonly tensors: Record<string, GoldenTensor>;
    readonly made_with: Record<string, unknown>;
  };
  /** Inputs and expected outputs. */
  readonly tensors: HostTensorMap;
  /** `model.safetensors`; empty where there is none. */
  readonly weights: HostTensorMap;
}

export const fixturePath = (path: string): string =>
  fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));

export async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'));
}

/** All tensors of a safetensors file: floating-point ones as float32, I32 and U8 as they are, I16 and I64 as int32. */
export async function readTensors(path: string): Promise<HostTensorMap> {
  const tensors: HostTensorMap = {};
  for (const entry of (await openSafetensors(path)).entries.values()) {
    if (entry.dtype === 'I32' || entry.dtype === 'U8') {
      const data = (await readTensor(entry)) as Int32Array | Uint8Array;
      tensors[entry.name] = { dtype: 'int32', shape: entry.shape, data };
    } else if (entry.dtype === 'I64' || entry.dtype === 'I16') {
      const data = Int32Array.from((await readTensor(entry)) as ArrayLike<number | bigint>, Number);
      tensors[entry.name] = { dtype: 'int32', shape: entry.shape, data };
    } else {
      tensors[entry.name] = { dtype: 'float32', shape: entry.shape, data: await readFloat32(entry) };
    }
  }
  return tensors;
}

export async function loadFixture(name: string): Promise<Fixture> {
  const folder = fixturePath(name);
  const has = (file: string) => existsSync(`${folder}/${file}`);
  return {
    folder,
    config: has('config.json') ? await readJson(`${folder}/config.json`) : null,
    golden: (await readJson(`${folder}/golden.json`)) as Fixture['golden'],
    tensors: await readTensors(`${folder}/golden.safetensors`),
    weights: has('model.safetensors') ? await readTensors(`${folder}/model.safetensors`) : {},
  };
}

export const toTensor = ({ data, shape, dtype }: HostTensor): tf.Tensor => tf.tensor(data, [...shape], dtype);

export const toTensors = (map: HostTensorMap): TensorMap =>
  Object.fromEntries(Object.entries(map).map(([name, tensor]) => [name, toTensor(tensor)]));

/** Largest absolute difference; NaN where either has one. */
export function maxAbsDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(difference)) return difference;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/**
 * Compares with an expected tensor of a fixture under its own tolerance.
 *
 * @param compared elements to compare, where not all mean something (padding)
 */
export function expectGolden(
  fixture: Fixture,
  name: string,
  actual: tf.Tensor | ArrayLike<number>,
  compared?: (index: number) => boolean,
): void {
  const tolerance = fixture.golden.tensors[name]?.max_abs_diff;
  const expected = fixture.tensors[name]?.data;
  if (tolerance === undefined || expected === undefined) throw new Error(`${name} is no expected tensor`);
  const values: ArrayLike<number> = actual instanceof tf.Tensor ? actual.dataSync() : actual;
  const keep = (list: ArrayLike<number>) => Array.from(list).filter((_, i) => compared?.(i) ?? true);
  expect(values.length, name).toBe(expected.length);
  const difference = maxAbsDifference(keep(values), keep(expected));
  expect(difference, `${name}: largest difference`).toBeLessThanOrEqual(tolerance);
}
