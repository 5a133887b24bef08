import type { ElementType } from '../stablehlo/emitter.ts';
import { Pjrt } from './pjrt.ts';
import { bufferType, pointedFields, Struct } from './pjrt-layout.ts';

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const pointers = (values: readonly (bigint | number)[]): Buffer =>
  bytesOf(BigInt64Array.from(values, (value) => BigInt(value)));

/**
 * `CompileOptionsProto { executable_build_options (3) { device_ordinal (1) = -1, num_replicas (4) = 1,
 * num_partitions (5) = 1 } }`
 */
const buildOptions = [0x08, ...Array<number>(9).fill(0xff), 0x01, 0x20, 0x01, 0x28, 0x01];
const compileOptions = Buffer.from([0x1a, buildOptions.length, ...buildOptions]);

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
  #address: bigint;
  #users = 0;
  #unwanted = false;

  constructor(client: XlaClient, address: bigint, results: readonly TensorDescription[]) {
    this.#client = client;
    this.#pjrt = client.pjrt;
    this.#address = address;
    this.#results = results;
  }

  /**
   * Runs to the end.
   *
   * @param kept indices of inputs that stay as they are although the module could write into them
   * @returns new buffers, which the caller owns
   */
  async run(inputs: readonly DeviceBuffer[], kept: readonly number[]): Promise<DeviceBuffer[]> {
    const pjrt = this.#pjrt;
    const keptList = pointers(kept);
    const options = new Struct(pointedFields.ExecuteOptions)
      .set('nonDonatable', pjrt.address(keptList), keptList)
      .set('numNonDonatable', kept.length);
    const addresses = pointers(inputs.map(({ address }) => address));
    const inputLists = pointers([pjrt.address(addresses)]);
    const outputs = pointers(this.#results.map(() => 0));
    const outputLists = pointers([pjrt.address(outputs)]);
    const complete = pointers([0]);
    const given = pjrt
      .arguments('LoadedExecutable_Execute')
      .set('executable', this.#address)
      .set('options', pjrt.address(options.bytes), options)
      .set('argumentLists', pjrt.address(inputLists), [inputLists, addresses])
      .set('numDevices', 1)
      .set('numArguments', inputs.length)
      .set('outputLists', pjrt.address(outputLists), [outputLists, outputs])
      .set('completeEvents', pjrt.address(complete), complete);
    this.retain();
    try {
      await pjrt.callAsync(given, 'LoadedExecutable_Execute');
      const results = this.#results.map(
        ({ type, shape }, i) => new DeviceBuffer(this.#client, outputs.readBigUInt64LE(8 * i), type, shape),
      );
      try {
        await pjrt.finish(complete.readBigUInt64LE(0));
      } catch (error) {
        for (const result of results) result.dispose();
        throw error;
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

  /**
   * What `XlaClient.load` makes the executable from again, in another process too; undefined where the plugin does not
   * offer that.
   */
  serialize(): Buffer | undefined {
    const pjrt = this.#pjrt;
    const inner = pjrt
      .call(
        pjrt.arguments('LoadedExecutable_GetExecutable').set('loaded', this.#address),
        'LoadedExecutable_GetExecutable',
      )
      .get('executable');
    try {
      const given = pjrt.call(
        pjrt.arguments('Executable_Serialize').set('executable', inner),
        'Executable_Serialize',
      );
      const bytes = pjrt.copy(given.get('bytes'), given.get('bytesSize'));
      pjrt.callBack(given.get('deleter'), given.get('serialized'));
      return bytes;
    } catch {
      return undefined;
    } finally {
      pjrt.call(pjrt.arguments('Executable_Destroy').set('executable', inner), 'Executable_Destroy');
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

/** The first device of a plugin. Clients live as long as the process: XLA's threads are theirs. */
export class XlaClient {
  readonly pjrt: Pjrt;
  /** e.g. `cpu` */
  readonly platform: string;
  /** Of XLA, as the plugin tells it. */
  readonly platformVersion: string;
  readonly #client: bigint;
  readonly #device: bigint;
  #live = 0;
  /** For owners that are collected without having disposed. */
  readonly #forgotten = new FinalizationRegistry<bigint>((address) => this.#destroy(address));

  constructor(pjrt: Pjrt) {
    this.pjrt = pjrt;
    this.#client = pjrt.call(pjrt.arguments('Client_Create'), 'Client_Create').get('client');
    const name = pjrt.call(
      pjrt.arguments('Client_PlatformName').set('client', this.#client),
      'Client_PlatformName',
    );
    this.platform = pjrt.copy(name.get('name'), name.get('nameSize')).toString();
    const version = pjrt.call(
      pjrt.arguments('Client_PlatformVersion').set('client', this.#client),
      'Client_PlatformVersion',
    );
    this.platformVersion = pjrt.copy(version.get('version'), version.get('versionSize')).toString();
    const devices = pjrt.call(
      pjrt.arguments('Client_AddressableDevices').set('client', this.#client),
      'Client_AddressableDevices',
    );
    this.#device = pjrt.copy(devices.get('devices'), 8).readBigUInt64LE(0);
  }

  /** Device buffers that nobody has disposed. */
  get live(): number {
    return this.#live;
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

  /** Copies `data` to the device. */
  async upload(data: ArrayBufferView, type: ElementType, shape: readonly number[]): Promise<DeviceBuffer> {
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
      .set('device', this.#device);
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

  /** @throws EngineError `ENGINE_XLA` with the compiler's message */
  async compile(text: string, results: readonly TensorDescription[]): Promise<Executable> {
    const { pjrt } = this;
    const [code, format] = [Buffer.from(text), Buffer.from('mlir')];
    const program = new Struct(pointedFields.Program)
      .set('code', pjrt.address(code), code)
      .set('codeSize', code.length)
      .set('format', pjrt.address(format), format)
      .set('formatSize', format.length);
    const given = pjrt
      .arguments('Client_Compile')
      .set('client', this.#client)
      .set('program', pjrt.address(program.bytes), program)
      .set('options', pjrt.address(compileOptions), compileOptions)
      .set('optionsSize', compileOptions.length);
    await pjrt.callAsync(given, 'Client_Compile');
    return new Executable(this, given.get('executable'), results);
  }

  /**
   * An executable from what `serialize` gave.
   * @throws EngineError `ENGINE_XLA` where the plugin does not take it
   */
  async load(bytes: Buffer, results: readonly TensorDescription[]): Promise<Executable> {
    const { pjrt } = this;
    const given = pjrt
      .arguments('Executable_DeserializeAndLoad')
      .set('client', this.#client)
      .set('bytes', pjrt.address(bytes), bytes)
      .set('bytesSize', bytes.length);
    await pjrt.callAsync(given, 'Executable_DeserializeAndLoad');
    return new Executable(this, given.get('executable'), results);
  }
}

const clients = new Map<string, XlaClient>();

/** The client of a plugin in this process, one for each number of threads. */
export function xlaClient(plugin: string, threads: number | undefined): XlaClient {
  const key = `${plugin}\n${threads ?? ''}`;
  const known = clients.get(key);
  if (known !== undefined) return known;
  // XLA sizes the thread pool of a new client by this variable.
  const before = process.env.PJRT_NPROC;
  if (threads !== undefined) process.env.PJRT_NPROC = String(threads);
  try {
    const client = new XlaClient(new Pjrt(plugin));
    clients.set(key, client);
    return client;
  } finally {
    if (before === undefined) delete process.env.PJRT_NPROC;
    else process.env.PJRT_NPROC = before;
  }
}
