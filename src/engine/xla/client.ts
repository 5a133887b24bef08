import type { ElementType } from '../stablehlo/emitter.ts';
import { compileOptions } from './compile-options.ts';
import { createClientOf } from './devices.ts';
import { Pjrt } from './pjrt.ts';
import { bufferType, pointedFields, Struct } from './pjrt-layout.ts';
import { type CompiledMemory, compiledMemory, mlirProgram } from './program.ts';

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const pointers = (values: readonly (bigint | number)[]): Buffer =>
  bytesOf(BigInt64Array.from(values, (value) => BigInt(value)));

/** The copy of `data` is made during the call. */
const immutableOnlyDuringCall = 0;

/** A tensor on the device. It has one owner, who disposes it; `live` of its client counts those that are not. */
export class DeviceBuffer {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly #client: XlaClient;
  #address: bigint;

  constructor(client: XlaClient, address: bigint, type: ElementType, shape: readonly number[]) {
    this.#client = client;
    this.#address = address;
    this.type = type;
    this.shape = shape;
    client.adopt(this, address);
  }

  get address(): bigint {
    if (this.#address === 0n) throw new Error('a device buffer is used after it was disposed');
    return this.#address;
  }

  dispose(): void {
    if (this.#address === 0n) return;
    this.#client.release(this, this.#address);
    this.#address = 0n;
  }
}

interface TensorDescription {
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** A compiled module on the device. */
export class Executable {
  readonly #pjrt: Pjrt;
  readonly #client: XlaClient;
  readonly #results: readonly TensorDescription[];
  readonly #replicas: number;
  #address: bigint;
  #users = 0;
  #unwanted = false;

  constructor(client: XlaClient, address: bigint, results: readonly TensorDescription[], replicas: number) {
    this.#client = client;
    this.#pjrt = client.pjrt;
    this.#address = address;
    this.#results = results;
    this.#replicas = replicas;
  }

  /**
   * Runs to the end, on all devices that it was compiled for at once.
   *
   * @param inputs of each device
   * @param kept indices of inputs that stay as they are although the module could write into them
   * @returns new buffers of each device, which the caller owns
   */
  async run(
    inputs: readonly (readonly DeviceBuffer[])[],
    kept: readonly number[],
  ): Promise<DeviceBuffer[][]> {
    if (inputs.length !== this.#replicas)
      throw new Error(`inputs for ${inputs.length} of ${this.#replicas} devices`);
    const pjrt = this.#pjrt;
    const keptList = pointers(kept);
    const options = new Struct(pointedFields.ExecuteOptions)
      .set('nonDonatable', pjrt.address(keptList), keptList)
      .set('numNonDonatable', kept.length);
    const addresses = inputs.map((each) => pointers(each.map(({ address }) => address)));
    const inputLists = pointers(addresses.map((each) => pjrt.address(each)));
    const outputs = inputs.map(() => pointers(this.#results.map(() => 0)));
    const outputLists = pointers(outputs.map((each) => pjrt.address(each)));
    const complete = pointers(inputs.map(() => 0));
    const given = pjrt
      .arguments('LoadedExecutable_Execute')
      .set('executable', this.#address)
      .set('options', pjrt.address(options.bytes), options)
      .set('argumentLists', pjrt.address(inputLists), [inputLists, addresses])
      .set('numDevices', inputs.length)
      .set('numArguments', inputs[0]!.length)
      .set('outputLists', pjrt.address(outputLists), [outputLists, outputs])
      .set('completeEvents', pjrt.address(complete), complete);
    this.retain();
    try {
      await pjrt.callAsync(given, 'LoadedExecutable_Execute');
      const results = outputs.map((each) =>
        this.#results.map(
          ({ type, shape }, i) => new DeviceBuffer(this.#client, each.readBigUInt64LE(8 * i), type, shape),
        ),
      );
      const failures: unknown[] = [];
      for (const replica of inputs.keys()) {
        const end = pjrt.finish(complete.readBigUInt64LE(8 * replica));
        await end.catch((failure: unknown) => failures.push(failure));
      }
      if (failures.length > 0) {
        for (const result of results.flat()) result.dispose();
        throw failures[0];
      }
      return results;
    } finally {
      this.release();
    }
  }

  /** Keeps the executable from being destroyed until `release`. */
  retain(): void {
    if (this.#address === 0n) throw new Error('an executable is used after it was disposed');
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#unwanted) this.dispose();
  }

  /** Calls with the `PJRT_Executable` of this one. */
  #withInner<Result>(use: (inner: bigint) => Result): Result {
    const pjrt = this.#pjrt;
    const inner = pjrt
      .call(
        pjrt.arguments('LoadedExecutable_GetExecutable').set('loaded', this.#address),
        'LoadedExecutable_GetExecutable',
      )
      .get('executable');
    try {
      return use(inner);
    } finally {
      pjrt.call(pjrt.arguments('Executable_Destroy').set('executable', inner), 'Executable_Destroy');
    }
  }

  /** What the compiler says of its memory; undefined where the plugin does not tell. */
  memory(): CompiledMemory | undefined {
    try {
      return this.#withInner((inner) => compiledMemory(this.#pjrt, inner));
    } catch {
      return undefined;
    }
  }

  /**
   * What `XlaClient.load` makes the executable from again, in another process too; undefined where the plugin does not
   * offer that.
   */
  serialize(): Buffer | undefined {
    const pjrt = this.#pjrt;
    try {
      return this.#withInner((inner) => {
        const given = pjrt.call(
          pjrt.arguments('Executable_Serialize').set('executable', inner),
          'Executable_Serialize',
        );
        const bytes = pjrt.copy(given.get('bytes'), given.get('bytesSize'));
        pjrt.callBack(given.get('deleter'), given.get('serialized'));
        return bytes;
      });
    } catch {
      return undefined;
    }
  }

  /** At once, or when the last user has released it. */
  dispose(): void {
    this.#unwanted = true;
    if (this.#users > 0 || this.#address === 0n) return;
    const pjrt = this.#pjrt;
    pjrt.call(
      pjrt.arguments('LoadedExecutable_Destroy').set('executable', this.#address),
      'LoadedExecutable_Destroy',
    );
    this.#address = 0n;
  }
}

/** The devices of a plugin. Clients live as long as the process: XLA's threads are theirs. */
export class XlaClient {
  readonly pjrt: Pjrt;
  /** e.g. `cpu` */
  readonly platform: string;
  /** Of XLA, as the plugin tells it. */
  readonly platformVersion: string;
  readonly #client: bigint;
  readonly #devices: readonly bigint[];
  #live = 0;
  /** For owners that are collected without having disposed. */
  readonly #forgotten = new FinalizationRegistry<bigint>((address) => this.#destroy(address));

  /**
   * @param devices how many are needed
   * @throws EngineError `ENGINE_DEVICES` where there are fewer
   */
  constructor(pjrt: Pjrt, devices = 1) {
    this.pjrt = pjrt;
    const created = createClientOf(pjrt, devices);
    this.#client = created.client;
    this.platform = created.platform;
    this.#devices = created.devices;
    const version = pjrt.call(
      pjrt.arguments('Client_PlatformVersion').set('client', this.#client),
      'Client_PlatformVersion',
    );
    this.platformVersion = pjrt.copy(version.get('version'), version.get('versionSize')).toString();
  }

  get deviceCount(): number {
    return this.#devices.length;
  }

  /** Device buffers that nobody has disposed. */
  get live(): number {
    return this.#live;
  }

  /** Bytes of memory that the first device gives to programs; undefined where it does not tell, as processors do not. */
  get memoryLimit(): number | undefined {
    const { pjrt } = this;
    try {
      const stats = pjrt.call(
        pjrt.arguments('Device_MemoryStats').set('device', this.#devices[0]!),
        'Device_MemoryStats',
      );
      return stats.get('hasBytesLimit') === 0n ? undefined : Number(stats.get('bytesLimit'));
    } catch {
      return undefined;
    }
  }

  adopt(buffer: DeviceBuffer, address: bigint): void {
    this.#live++;
    this.#forgotten.register(buffer, address, buffer);
  }

  release(buffer: DeviceBuffer, address: bigint): void {
    this.#forgotten.unregister(buffer);
    this.#destroy(address);
  }

  #destroy(address: bigint): void {
    this.#live--;
    this.pjrt.call(this.pjrt.arguments('Buffer_Destroy').set('buffer', address), 'Buffer_Destroy');
  }

  /** Copies `data` to a device, by its number. */
  async upload(
    data: ArrayBufferView,
    type: ElementType,
    shape: readonly number[],
    device = 0,
  ): Promise<DeviceBuffer> {
    const { pjrt } = this;
    const bytes = bytesOf(data);
    const dims = pointers(shape);
    const given = pjrt
      .arguments('Client_BufferFromHostBuffer')
      .set('client', this.#client)
      .set('data', pjrt.address(bytes), bytes)
      .set('type', bufferType[type])
      .set('dims', pjrt.address(dims), dims)
      .set('numDims', shape.length)
      .set('semantics', immutableOnlyDuringCall)
      .set('device', this.#devices[device]!);
    pjrt.call(given, 'Client_BufferFromHostBuffer');
    const buffer = new DeviceBuffer(this, given.get('buffer'), type, shape);
    await pjrt.finish(given.get('done'));
    return buffer;
  }

  /** Copies a buffer into `target`, which has exactly its bytes. */
  async download<Data extends NodeJS.ArrayBufferView>(buffer: DeviceBuffer, target: Data): Promise<Data> {
    if (target.byteLength === 0) return target;
    const { pjrt } = this;
    const given = pjrt
      .arguments('Buffer_ToHostBuffer')
      .set('source', buffer.address)
      .set('destination', pjrt.address(target), target)
      .set('size', target.byteLength);
    pjrt.call(given, 'Buffer_ToHostBuffer');
    await pjrt.finish(given.get('event'));
    return target;
  }

  /**
   * @param replicas devices, from the first one, that run the module at once
   * @throws EngineError `ENGINE_XLA` with the compiler's message
   */
  async compile(text: string, results: readonly TensorDescription[], replicas = 1): Promise<Executable> {
    const { pjrt } = this;
    const options = compileOptions({ replicas, platform: this.platform });
    const program = mlirProgram(pjrt, text);
    const given = pjrt
      .arguments('Client_Compile')
      .set('client', this.#client)
      .set('program', pjrt.address(program.bytes), program)
      .set('options', pjrt.address(options), options)
      .set('optionsSize', options.length);
    await pjrt.callAsync(given, 'Client_Compile');
    return new Executable(this, given.get('executable'), results, replicas);
  }

  /**
   * An executable from what `serialize` gave.
   * @throws EngineError `ENGINE_XLA` where the plugin does not take it
   */
  async load(bytes: Buffer, results: readonly TensorDescription[], replicas = 1): Promise<Executable> {
    const { pjrt } = this;
    const given = pjrt
      .arguments('Executable_DeserializeAndLoad')
      .set('client', this.#client)
      .set('bytes', pjrt.address(bytes), bytes)
      .set('bytesSize', bytes.length);
    await pjrt.callAsync(given, 'Executable_DeserializeAndLoad');
    return new Executable(this, given.get('executable'), results, replicas);
  }
}

const clients = new Map<string, XlaClient>();

/**
 * The client of a plugin in this process, one for each number of threads; another one where that has too few devices.
 * @throws EngineError `ENGINE_DEVICES`
 */
export function xlaClient(plugin: string, threads: number | undefined, devices = 1): XlaClient {
  const key = `${plugin}\n${threads ?? ''}`;
  const known = clients.get(key);
  if (known !== undefined && known.deviceCount >= devices) return known;
  // XLA sizes the thread pool of a new client by this variable.
  const before = process.env.PJRT_NPROC;
  if (threads !== undefined) process.env.PJRT_NPROC = String(threads);
  try {
    const client = new XlaClient(known?.pjrt ?? new Pjrt(plugin), devices);
    clients.set(key, client);
    return client;
  } finally {
    if (before === undefined) delete process.env.PJRT_NPROC;
    else process.env.PJRT_NPROC = before;
  }
}
