import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { EngineError } from '../../errors.ts';
import { float32ToBfloat16, halfToFloat32 } from '../../io/float16.ts';
import type { ValueType } from '../ir/graph.ts';
import { type ElementType, elementType } from '../stablehlo/emitter.ts';
import type { WeightSource } from '../types.ts';
import type { DeviceBuffer, XlaClient } from './client.ts';

/** The type a weight has on the device: the one it is stored in. */
const storedType = (source: WeightSource): ElementType =>
  'dtype' in source
    ? elementType(source.dtype)
    : ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[source.storage];

/**
 * The type a weight has on the device for a function in which it is `needed`: bfloat16 where that is enough for it, else
 * the one it is stored in.
 */
export const heldType = (source: WeightSource, needed: ValueType): ElementType =>
  needed === 'bfloat16' ? 'bf16' : storedType(source);

/** float32 or half precision as bfloat16, rounded to the nearest. */
function toBfloat16(data: ArrayBufferView, stored: ElementType): Uint16Array {
  const { buffer, byteOffset, byteLength } = data;
  let values: Float32Array;
  if (stored === 'f16') {
    values = new Float32Array(byteLength / 2);
    halfToFloat32(new Uint16Array(buffer, byteOffset, values.length), values);
  } else values = new Float32Array(buffer, byteOffset, byteLength / 4);
  const rounded = new Uint16Array(values.length);
  float32ToBfloat16(values, rounded);
  return rounded;
}

interface Held {
  /** By device. */
  readonly buffers: DeviceBuffer[];
  /** The last upload. */
  ready: Promise<void>;
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

/** Frozen weights on the devices, one copy of each on a device however many functions use it. */
export class WeightStore {
  readonly #client: XlaClient;
  /** By type on the device, then by weight. */
  readonly #held = new Map<ElementType, Map<unknown, Held>>();

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

  /** The weight as `type`, which is the one it is stored in or bfloat16. */
  async #read(source: WeightSource, type: ElementType): Promise<ArrayBufferView> {
    const stored = storedType(source);
    const data = await this.#readStored(source);
    return type === stored ? data : toBfloat16(data, stored);
  }

  async #readStored(source: WeightSource): Promise<ArrayBufferView> {
    if ('dtype' in source) return source.data;
    const file = await open(source.file);
    try {
      return await readRange(file, source.file, source.begin, source.end);
    } finally {
      await file.close();
    }
  }

  /** Uploads to those of the first `devices` that have nothing yet. */
  async #upload(
    source: WeightSource,
    type: ElementType,
    buffers: DeviceBuffer[],
    devices: number,
  ): Promise<void> {
    if (buffers.length >= devices) return;
    const data = await this.#read(source, type);
    while (buffers.length < devices) {
      buffers.push(await this.#client.upload(data, type, source.shape, buffers.length));
    }
  }

  /**
   * Uploads the weight to the first `devices`, unless it is there. `release` gives it back; the last one to do so frees it.
   *
   * @param type on the device, from `heldType`
   */
  async take(
    source: WeightSource,
    devices = 1,
    type = storedType(source),
  ): Promise<{ buffers: readonly DeviceBuffer[]; release: () => void }> {
    const key = await this.#key(source);
    const ofType = this.#held.get(type) ?? new Map<unknown, Held>();
    this.#held.set(type, ofType);
    const mine = ofType.get(key) ?? { buffers: [], ready: Promise.resolve(), users: 0 };
    ofType.set(key, mine);
    mine.users++;
    const upload = () => this.#upload(source, type, mine.buffers, devices);
    // After those of others, whatever became of them.
    mine.ready = mine.ready.then(upload, upload);
    const release = () => {
      mine.users--;
      if (mine.users > 0) return;
      ofType.delete(key);
      const dispose = () => {
        for (const buffer of mine.buffers) buffer.dispose();
      };
      mine.ready.then(dispose, dispose);
    };
    try {
      await mine.ready;
      return { buffers: mine.buffers, release };
    } catch (error) {
      release();
      throw error;
    }
  }
}
