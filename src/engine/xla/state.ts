import { EngineError } from '../../errors.ts';
import { elementType } from '../stablehlo/emitter.ts';
import type { DataType, HostTensor, HostTensorMap, State } from '../types.ts';
import type { DeviceBuffer, XlaClient } from './client.ts';

const dataTypes = { f32: 'float32', i32: 'int32', i1: 'bool' } as const;

const arrays = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

/** A copy of a device buffer in host memory. */
export async function download(client: XlaClient, buffer: DeviceBuffer): Promise<HostTensor> {
  const dtype: DataType = dataTypes[buffer.type as keyof typeof dataTypes];
  const count = buffer.shape.reduce((product, size) => product * size, 1);
  const data = await client.download(buffer, new arrays[dtype](count));
  return { dtype, shape: [...buffer.shape], data };
}

export const upload = (
  client: XlaClient,
  { data, dtype, shape }: HostTensor,
  device = 0,
): Promise<DeviceBuffer> => client.upload(data, elementType(dtype), [...shape], device);

const sameBytes = (a: ArrayBufferView, b: ArrayBufferView): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

/** State on the first device, or replicas of it on several. Uploads begin when it is created, from copies; whoever uses it first waits for them. */
export class XlaState implements State {
  readonly client: XlaClient;
  /** Devices that hold it. */
  readonly replicas: number;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  /** By device. */
  #buffers: Promise<Map<string, DeviceBuffer>[]>;
  /** Runs and accesses one after the other: a run may consume the buffers that it is given. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: XlaClient, values: HostTensorMap, replicas = 1) {
    this.client = client;
    this.replicas = replicas;
    this.#shapes = new Map(Object.entries(values).map(([name, { shape }]) => [name, [...shape]]));
    const copies = Object.entries(values).map(
      ([name, value]) => [name, { ...value, data: value.data.slice() }] as const,
    );
    this.#buffers = this.#upload(copies);
    // Whoever uses the state learns of a failure.
    this.#buffers.catch(() => {});
  }

  async #upload(values: readonly (readonly [string, HostTensor])[]): Promise<Map<string, DeviceBuffer>[]> {
    const replicas = Array.from({ length: this.replicas }, () => new Map<string, DeviceBuffer>());
    for (const [name, value] of values) {
      for (const [device, buffers] of replicas.entries()) {
        buffers.set(name, await upload(this.client, value, device));
      }
    }
    return replicas;
  }

  /** Gives `body` the buffers by name of each device, alone; what it sets in the maps is the state from then on. */
  use<Result>(body: (replicas: readonly Map<string, DeviceBuffer>[]) => Promise<Result>): Promise<Result> {
    const result = this.#last.then(async () => body(await this.#buffers));
    this.#last = result.catch(() => {});
    return result;
  }

  /** @throws EngineError `ENGINE_STATE` where the state has no such entry */
  shape(name: string): readonly number[] {
    const shape = this.#shapes.get(name);
    if (shape === undefined) {
      throw new EngineError(
        'ENGINE_STATE',
        `The state has no entry "${name}"; it was created with: ${[...this.#shapes.keys()].slice(0, 8).join(', ')} …`,
      );
    }
    return shape;
  }

  async read(names: readonly string[] = [...this.#shapes.keys()]): Promise<HostTensorMap> {
    for (const name of names) this.shape(name);
    return this.use(async ([first]) => {
      const values: HostTensorMap = {};
      for (const name of names) values[name] = await download(this.client, first!.get(name)!);
      return values;
    });
  }

  async checkReplicas(names: readonly string[]): Promise<void> {
    for (const name of names) this.shape(name);
    if (this.replicas === 1) return;
    const different = await this.use(async ([first, ...others]) => {
      const found: string[] = [];
      for (const name of names) {
        const { data } = await download(this.client, first!.get(name)!);
        for (const other of others) {
          if (sameBytes(data, (await download(this.client, other.get(name)!)).data)) continue;
          found.push(name);
          break;
        }
      }
      return found;
    });
    if (different.length === 0) return;
    throw new EngineError(
      'ENGINE_REPLICAS',
      `The ${this.replicas} devices should hold the same values, and do not in ${different.length} of ${names.length} tensors: ${different.slice(0, 8).join(', ')}. A device, or the way between them, computes wrongly. Go on from the last checkpoint with engine.devices: 1, or without the device that is to blame.`,
    );
  }

  async write(values: HostTensorMap): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const shape = this.shape(name);
      if (shape.join() !== value.shape.join()) {
        throw new EngineError(
          'ENGINE_STATE',
          `The state entry "${name}" has shape [${shape}]; a value of shape [${value.shape}] was written to it.`,
        );
      }
    }
    await this.use(async (replicas) => {
      for (const [name, value] of Object.entries(values)) {
        for (const [device, buffers] of replicas.entries()) {
          const next = await upload(this.client, value, device);
          buffers.get(name)!.dispose();
          buffers.set(name, next);
        }
      }
    });
  }

  dispose(): void {
    void this.use(async (replicas) => {
      for (const buffers of replicas) {
        for (const buffer of buffers.values()) buffer.dispose();
        buffers.clear();
      }
    }).catch(() => {});
  }
}
