import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { HostTensor } from '../engine/types.ts';
import { InputError } from '../errors.ts';
import { removePartials } from '../io/atomic.ts';
import { sha256 } from '../io/checksum.ts';
import { fileError } from '../io/filesystem.ts';
import { bfloat16ToFloat32, float32ToBfloat16 } from '../io/float16.ts';
import { openSafetensors, readFloat32, writeSafetensors } from '../io/safetensors.ts';

/** How features are stored: as computed, or in half the space with eight bits of precision. */
export type FeatureStorage = 'F32' | 'BF16';

export interface FeatureStoreOptions {
  /** null keeps features in memory only, for the life of the process. */
  readonly folder: string | null;
  readonly storage?: FeatureStorage;
  /** Bytes of features that stay in memory; the least recently used go first. */
  readonly memoryBytes?: number;
  /** Told of damaged entries. */
  readonly notify: (message: string) => void;
}

/** What a store has done so far. */
export interface FeatureCounts {
  fromMemory: number;
  fromDisk: number;
  computed: number;
  /** Entries on disk that failed their checksum and were computed again. */
  damaged: number;
}

const tensorName = 'features';
const defaultMemoryBytes = 256 * 1024 ** 2;

/**
 * Features by key, one safetensors file each below the folder, written atomically, with a checksum over shape and
 * values. Several processes may share a folder: a key determines the content, so the last writer changes nothing.
 */
export class FeatureStore {
  readonly counts: FeatureCounts = { fromMemory: 0, fromDisk: 0, computed: 0, damaged: 0 };
  readonly folder: string | null;
  readonly storage: FeatureStorage;
  readonly #memoryBytes: number;
  readonly #notify: (message: string) => void;
  readonly #memory = new Map<string, HostTensor>();
  #memoryUsed = 0;
  readonly #running = new Map<string, Promise<HostTensor>>();

  constructor({ folder, storage = 'F32', memoryBytes = defaultMemoryBytes, notify }: FeatureStoreOptions) {
    this.folder = folder;
    this.storage = storage;
    this.#memoryBytes = memoryBytes;
    this.#notify = notify;
  }

  /**
   * The features of a key, computed where neither memory nor disk has them.
   *
   * @param key everything that determines the features; equal JSON means equal features
   * @throws InputError where the folder cannot be written (`DISK_FULL`, `FILE_FORBIDDEN`); and what `compute` throws
   */
  get(key: Readonly<Record<string, unknown>>, compute: () => Promise<HostTensor>): Promise<HostTensor> {
    const id = sha256(JSON.stringify({ ...key, storage: this.storage }));
    const kept = this.#memory.get(id);
    if (kept !== undefined) {
      this.counts.fromMemory++;
      this.#keep(id, kept);
      return Promise.resolve(kept);
    }
    const running = this.#running.get(id) ?? this.#load(id, compute).finally(() => this.#running.delete(id));
    this.#running.set(id, running);
    return running;
  }

  async #load(id: string, compute: () => Promise<HostTensor>): Promise<HostTensor> {
    const file = this.folder === null ? null : join(this.folder, id.slice(0, 2), `${id}.safetensors`);
    const stored = file === null ? undefined : await this.#read(file);
    if (stored !== undefined) {
      this.counts.fromDisk++;
      this.#keep(id, stored);
      return stored;
    }
    const computed = await compute();
    this.counts.computed++;
    if (file === null) {
      this.#keep(id, computed);
      return computed;
    }
    await mkdir(dirname(file), { recursive: true }).catch((error: unknown) => {
      throw fileError(error, dirname(file), 'write');
    });
    await write(file, computed, this.storage).catch(async (error: unknown) => {
      // Another process that stored the same features took ours for a leftover.
      if (!(error instanceof InputError && error.code === 'FILE_NOT_FOUND')) throw error;
      if ((await stat(file).catch(() => undefined)) === undefined) throw error;
    });
    await removePartials(file);
    // As a later run will read them, so that a run does not depend on whether the cache was there.
    const rounded = (await this.#read(file)) ?? computed;
    this.#keep(id, rounded);
    return rounded;
  }

  async #read(file: string): Promise<HostTensor | undefined> {
    try {
      const { entries, metadata } = await openSafetensors(file);
      const entry = entries.get(tensorName);
      if (entry !== undefined) {
        const data = await readFloat32(entry);
        if (metadata.checksum === checksum(entry.shape, data)) {
          return { dtype: 'float32', shape: entry.shape, data };
        }
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      if (error.code === 'FILE_NOT_FOUND') return undefined;
    }
    this.counts.damaged++;
    this.#notify(`The cached features in ${file} are damaged; they are computed again.`);
    return undefined;
  }

  /** Puts an entry last, and drops the first ones while there are too many bytes. */
  #keep(id: string, tensor: HostTensor): void {
    if (!this.#memory.delete(id)) this.#memoryUsed += tensor.data.byteLength;
    this.#memory.set(id, tensor);
    for (const [oldest, { data }] of this.#memory) {
      if (this.#memoryUsed <= this.#memoryBytes || oldest === id) break;
      this.#memory.delete(oldest);
      this.#memoryUsed -= data.byteLength;
    }
  }
}

function checksum(shape: readonly number[], data: Float32Array): string {
  return sha256(shape.join() + sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
}

async function write(file: string, { shape, data }: HostTensor, storage: FeatureStorage): Promise<void> {
  const values = data as Float32Array;
  await writeSafetensors(
    file,
    { [tensorName]: { dtype: 'F32', shape, data: values, ...(storage === 'BF16' && { storage }) } },
    { checksum: checksum(shape, storage === 'BF16' ? roundedToBfloat16(values) : values) },
  );
}

function roundedToBfloat16(values: Float32Array): Float32Array {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(values, bits);
  const rounded = new Float32Array(values.length);
  bfloat16ToFloat32(bits, rounded);
  return rounded;
}
