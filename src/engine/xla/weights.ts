import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { EngineError } from '../../errors.ts';
import { type ElementType, elementType } from '../stablehlo/emitter.ts';
import type { WeightSource } from '../types.ts';
import type { DeviceBuffer, XlaClient } from './client.ts';

/** The type a weight has on the device: the one it is stored in. */
export const storedType = (source: WeightSource): ElementType =>
  'dtype' in source
    ? elementType(source.dtype)
    : ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[source.storage];

interface Held {
  readonly buffer: Promise<DeviceBuffer>;
  users: number;
}

async function readRange(file: FileHandle, name: string, begin: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(end - begin);
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, begin + done);
    if (bytesRead === 0) {
      throw new EngineError(
        'ENGINE_WEIGHTS',
        `${name} ends at byte ${begin + done}, before the weight that should reach to byte ${end}.`,
      );
    }
    done += bytesRead;
  }
  return bytes;
}

/** Frozen weights on the device, one copy of each however many functions use it. */
export class WeightStore {
  readonly #client: XlaClient;
  readonly #held = new Map<unknown, Held>();

  constructor(client: XlaClient) {
    this.#client = client;
  }

  /** What tells two weights apart: the range of a file as it is now, or the array in memory. */
  async #key(source: WeightSource): Promise<unknown> {
    if ('dtype' in source) return source.data;
    const { mtimeMs, size } = await stat(source.file);
    const { storage, begin, end, shape } = source;
    return JSON.stringify([path.resolve(source.file), mtimeMs, size, storage, begin, end, shape]);
  }

  async #upload(source: WeightSource): Promise<DeviceBuffer> {
    const type = storedType(source);
    if ('dtype' in source) return this.#client.upload(source.data, type, source.shape);
    const file = await open(source.file);
    try {
      const bytes = await readRange(file, source.file, source.begin, source.end);
      return await this.#client.upload(bytes, type, source.shape);
    } finally {
      await file.close();
    }
  }

  /** Uploads the weight unless it is there. `release` gives it back; the last one to do so frees it. */
  async take(source: WeightSource): Promise<{ buffer: DeviceBuffer; release: () => void }> {
    const key = await this.#key(source);
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { buffer: this.#upload(source), users: 0 };
      this.#held.set(key, held);
    }
    const mine = held;
    mine.users++;
    const release = () => {
      mine.users--;
      if (mine.users > 0) return;
      this.#held.delete(key);
      mine.buffer.then(
        (buffer) => buffer.dispose(),
        () => {},
      );
    };
    try {
      return { buffer: await mine.buffer, release };
    } catch (error) {
      release();
      throw error;
    }
  }
}
