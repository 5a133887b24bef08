import { EngineError } from '../../errors.ts';
import { type Koffi, loadKoffi } from '../../native/koffi.ts';
import type { DataType, HostTensor } from '../types.ts';

type NativeCall = (...values: unknown[]) => number;
interface AsyncCall extends NativeCall {
  async(...values: unknown[]): void;
}
/** An object of OpenVINO that has to be freed. */
export type Handle = bigint;

const elementTypes: Record<DataType, number> = { bool: 1, float32: 4, int32: 9 };

const arrays = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

const signatures = {
  ov_get_openvino_version: ['handle'],
  ov_core_create: ['out'],
  ov_core_get_property: ['handle', 'str', 'str', 'out'],
  ov_core_read_model: ['handle', 'str', 'handle', 'out'],
  ov_core_compile_model_props: ['handle', 'handle', 'str', 'size_t', 'handle', 'out'],
  ov_compiled_model_create_infer_request: ['handle', 'out'],
  ov_infer_request_set_tensor: ['handle', 'str', 'handle'],
  ov_infer_request_get_tensor: ['handle', 'str', 'out'],
  ov_infer_request_infer: ['handle'],
  ov_tensor_create_from_host_ptr: ['int', 'ov_shape_t', 'handle', 'out'],
  ov_tensor_get_shape: ['handle', 'handle'],
  ov_tensor_data: ['handle', 'out'],
} as const;

const frees = [
  'ov_core_free',
  'ov_model_free',
  'ov_compiled_model_free',
  'ov_infer_request_free',
  'ov_tensor_free',
  'ov_free',
  'ov_version_free',
] as const;

/** @throws EngineError `ENGINE_PACKAGE_MISSING` */
export const loadKoffiForOpenvino = (): Koffi => loadKoffi('The engine "openvino" calls its library');

/** Values of `ov_property_t`, key and value after each other. */
export type Properties = Readonly<Record<string, string>>;

/** Calls into OpenVINO's C API (2026.4). What it refuses is thrown. */
export class OpenvinoRuntime {
  readonly path: string;
  readonly #koffi: Koffi;
  readonly #calls = new Map<string, AsyncCall>();
  readonly #lastError: () => string | null;
  readonly #core: Handle;
  #live = 0;

  /**
   * @param library path of `libopenvino_c.so`
   * @throws EngineError `ENGINE_PLUGIN_BROKEN` where it does not load
   */
  constructor(library: string) {
    this.path = library;
    const koffi = loadKoffiForOpenvino();
    this.#koffi = koffi;
    try {
      const loaded = koffi.load(library);
      // The library's threads outlive the handle.
      kept.push(loaded);
      const shape = koffi.struct({ rank: 'int64_t', dims: 'void *' });
      const types = {
        out: koffi.out(koffi.pointer('void *')),
        handle: 'void *',
        str: 'str',
        size_t: 'size_t',
        int: 'int',
        ov_shape_t: shape,
      };
      for (const [name, parameters] of Object.entries(signatures)) {
        const call = loaded.func(
          name,
          'int',
          parameters.map((parameter) => types[parameter]),
        );
        this.#calls.set(name, call as unknown as AsyncCall);
      }
      for (const name of frees)
        this.#calls.set(name, loaded.func(name, 'void', ['void *']) as unknown as AsyncCall);
      this.#calls.set('ov_shape_free', loaded.func('ov_shape_free', 'int', ['void *']) as never);
      this.#lastError = loaded.func('ov_get_last_err_msg', 'str', []) as unknown as () => string | null;
    } catch (error) {
      throw new EngineError(
        'ENGINE_PLUGIN_BROKEN',
        `${library} does not load as OpenVINO's C library: ${(error as Error).message}`,
        { cause: error },
      );
    }
    this.#core = this.make('ov_core_create');
  }

  #check(name: string, status: number): void {
    if (status === 0) return;
    throw new EngineError('ENGINE_OPENVINO', `OpenVINO: ${name}: ${this.#lastError() ?? `status ${status}`}`);
  }

  #call(name: keyof typeof signatures, ...values: unknown[]): void {
    this.#check(name, this.#calls.get(name)!(...values));
  }

  /** Calls a function whose last argument is where it writes a pointer. */
  #pointer(name: keyof typeof signatures, ...values: unknown[]): Handle {
    const written: [Handle | null] = [null];
    this.#call(name, ...values, written);
    return written[0]!;
  }

  /** Calls a function that makes something, which has to be given to `free`. */
  make(name: keyof typeof signatures, ...values: unknown[]): Handle {
    const made = this.#pointer(name, ...values);
    this.#live++;
    return made;
  }

  free(name: (typeof frees)[number], handle: Handle): void {
    this.#calls.get(name)!(handle);
    this.#live--;
  }

  /** What was made and has not been freed. */
  get live(): number {
    return this.#live;
  }

  /** e.g. `2026.4.1-22982-…` */
  get version(): string {
    const version = Buffer.alloc(16);
    this.#check('ov_get_openvino_version', this.#calls.get('ov_get_openvino_version')!(version));
    try {
      return this.#koffi.decode(version.readBigUInt64LE(0), 'char', -1) as string;
    } finally {
      this.#calls.get('ov_version_free')!(version);
    }
  }

  /** A property of the device `CPU`. */
  property(key: string): string {
    const text = this.make('ov_core_get_property', this.#core, 'CPU', key);
    try {
      return this.#koffi.decode(text, 'char', -1) as string;
    } finally {
      this.free('ov_free', text);
    }
  }

  /** Reads an ONNX file and compiles it for the processor. */
  async compile(model: string, properties: Properties): Promise<Handle> {
    const read = this.make('ov_core_read_model', this.#core, model, null);
    const texts = Object.entries(properties)
      .flat()
      .map((text) => Buffer.from(`${text}\0`));
    const list = Buffer.from(BigUint64Array.from(texts, (text) => this.#koffi.address(text)).buffer);
    const made: [Handle | null] = [null];
    try {
      const status = await new Promise<number>((resolve, reject) => {
        this.#calls
          .get('ov_core_compile_model_props')!
          .async(
            this.#core,
            read,
            'CPU',
            texts.length / 2,
            list,
            made,
            (error: Error | null, result: number) => (error === null ? resolve(result) : reject(error)),
          );
      });
      this.#check('ov_core_compile_model_props', status);
    } finally {
      this.free('ov_model_free', read);
    }
    this.#live++;
    return made[0]!;
  }

  /** A tensor over host memory, which the caller keeps alive as long as it is used. */
  wrap({ dtype, shape, data }: HostTensor): Handle {
    const dims = BigInt64Array.from(shape, BigInt);
    return this.make(
      'ov_tensor_create_from_host_ptr',
      elementTypes[dtype],
      { rank: shape.length, dims: shape.length === 0 ? null : dims },
      data.length === 0 ? nothing : data,
    );
  }

  setTensor(request: Handle, name: string, tensor: Handle): void {
    this.#call('ov_infer_request_set_tensor', request, name, tensor);
  }

  /** A copy of what a request has computed. */
  read(request: Handle, name: string, dtype: DataType, rank: number): HostTensor {
    const koffi = this.#koffi;
    const tensor = this.make('ov_infer_request_get_tensor', request, name);
    try {
      const shape = rank === 0 ? [] : this.#shape(tensor);
      const count = shape.reduce((product, size) => product * size, 1);
      const kind = arrays[dtype];
      if (count === 0) return { dtype, shape, data: new kind(0) };
      const bytes = count * kind.BYTES_PER_ELEMENT;
      const data = new kind(koffi.view(this.#pointer('ov_tensor_data', tensor) as never, bytes).slice(0));
      return { dtype, shape, data };
    } finally {
      this.free('ov_tensor_free', tensor);
    }
  }

  /** Of a tensor that is no scalar: the shape of one is refused. */
  #shape(tensor: Handle): number[] {
    const native = Buffer.alloc(16);
    this.#call('ov_tensor_get_shape', tensor, native);
    const rank = Number(native.readBigInt64LE(0));
    const dims = this.#koffi.view(native.readBigUInt64LE(8), 8 * rank);
    const shape = Array.from(new BigInt64Array(dims), Number);
    this.#calls.get('ov_shape_free')!(native);
    return shape;
  }

  /** Runs a request to its end. */
  async infer(request: Handle): Promise<void> {
    const status = await new Promise<number>((resolve, reject) => {
      this.#calls
        .get('ov_infer_request_infer')!
        .async(request, (error: Error | null, result: number) =>
          error === null ? resolve(result) : reject(error),
        );
    });
    this.#check('ov_infer_request_infer', status);
  }
}

const runtimes = new Map<string, OpenvinoRuntime>();

/** The runtime of a library in this process. @throws EngineError `ENGINE_PLUGIN_BROKEN`, `ENGINE_PACKAGE_MISSING` */
export function openvinoRuntime(library: string): OpenvinoRuntime {
  const known = runtimes.get(library) ?? new OpenvinoRuntime(library);
  runtimes.set(library, known);
  return known;
}

/** Libraries stay loaded as long as the process. */
const kept: unknown[] = [];
/** Stands for the memory of an empty tensor: a null pointer would be refused. */
const nothing = new Uint8Array(64);
