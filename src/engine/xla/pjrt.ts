import { EngineError } from '../../errors.ts';
import { type Koffi, loadKoffi } from '../../native/koffi.ts';
import {
  apiBytes,
  argumentFields,
  type CallName,
  entryOffset,
  Struct,
  versionOffset,
} from './pjrt-layout.ts';

type Fields<Name extends CallName> = (typeof argumentFields)[Name][number];
type NativeFunction = {
  (argument: Buffer): bigint | null;
  async(argument: Buffer, done: (error: Error | null, result: bigint | null) => void): void;
};

/** `RTLD_NOW | RTLD_NODELETE`: the library stays mapped, since its threads outlive the last handle to it. */
const stayLoaded = 0x1002;

/** @throws EngineError `ENGINE_PACKAGE_MISSING` */
export const loadKoffiForXla = (): Koffi => loadKoffi('The engine "xla" calls its library');

/** Calls into one PJRT plugin. Errors that it returns are thrown. */
export class Pjrt {
  /** Version of the API that the plugin was built with, e.g. `0.81`. */
  readonly version: string;
  readonly #koffi: Koffi;
  readonly #plugin: string;
  readonly #functions = new Map<CallName, NativeFunction>();
  readonly #table: Buffer;

  /**
   * @param plugin path of the library
   * @throws EngineError `ENGINE_PLUGIN_BROKEN` where it does not load or is no PJRT plugin, `ENGINE_PLUGIN_VERSION`
   *   where its API is not the one this engine knows
   */
  constructor(plugin: string) {
    this.#plugin = plugin;
    this.#koffi = loadKoffiForXla();
    const table = this.#open(plugin);
    const size = Buffer.from(this.#koffi.view(table, 8)).readBigUInt64LE(0);
    const header = Buffer.from(this.#koffi.view(table, versionOffset.minor + 4));
    const [major, minor] = [versionOffset.major, versionOffset.minor].map((at) => header.readInt32LE(at));
    this.version = `${major}.${minor}`;
    if (major !== 0 || size < BigInt(apiBytes)) {
      throw new EngineError(
        'ENGINE_PLUGIN_VERSION',
        `${plugin} speaks version ${this.version} of the PJRT API with ${size} bytes of functions; this engine needs major version 0 and at least ${apiBytes} bytes (0.81 has all of them). Install the version that affectgpt engine install xla-cpu fetches.`,
      );
    }
    this.#table = Buffer.from(this.#koffi.view(table, apiBytes));
    this.call(this.arguments('Plugin_Initialize'), 'Plugin_Initialize');
  }

  #open(plugin: string): bigint {
    const koffi = this.#koffi;
    try {
      const library = koffi.load(plugin);
      const keep = koffi.load(null).func('void *dlopen(const char *, int)');
      keep(plugin, stayLoaded);
      return library.func('void *GetPjrtApi()')() as bigint;
    } catch (error) {
      throw new EngineError(
        'ENGINE_PLUGIN_BROKEN',
        `${plugin} does not load as a PJRT plugin of XLA: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  arguments<Name extends CallName>(name: Name): Struct<Fields<Name>> {
    return new Struct<Fields<Name>>(argumentFields[name]);
  }

  /** Address of a buffer. Whoever passes it on keeps the buffer alive. */
  address(bytes: NodeJS.ArrayBufferView): bigint {
    return bytes.byteLength === 0 ? 0n : this.#koffi.address(bytes);
  }

  /** Bytes that the plugin owns, copied. */
  copy(address: bigint, length: number | bigint): Buffer {
    return length === 0n
      ? Buffer.alloc(0)
      : Buffer.from(Buffer.from(this.#koffi.view(address, Number(length))));
  }

  /** Calls and returns the struct with what was written into it. */
  call<Field extends string>(given: Struct<Field>, name: CallName): Struct<Field> {
    this.#check(name, this.#function(name)(given.bytes));
    return given;
  }

  /** Like `call`, on a thread of its own, so that the event loop goes on. */
  callAsync<Field extends string>(given: Struct<Field>, name: CallName): Promise<Struct<Field>> {
    return new Promise((resolve, reject) => {
      this.#function(name).async(given.bytes, (failure, result) => {
        try {
          if (failure) throw failure;
          this.#check(name, result);
          resolve(given);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Calls a function that the plugin gave with a pointer that it gave, such as a deleter. */
  callBack(fn: bigint, argument: bigint): void {
    const koffi = this.#koffi;
    if (fn !== 0n) koffi.call(fn, koffi.proto('void', ['uintptr_t']), argument);
  }

  /** Waits for an event and destroys it. */
  async finish(event: bigint): Promise<void> {
    if (event === 0n) return;
    try {
      await this.callAsync(this.arguments('Event_Await').set('event', event), 'Event_Await');
    } finally {
      this.call(this.arguments('Event_Destroy').set('event', event), 'Event_Destroy');
    }
  }

  #function(name: CallName): NativeFunction {
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    const koffi = this.#koffi;
    const address = this.#table.readBigUInt64LE(entryOffset(name));
    const fn = koffi.decode(address, koffi.proto('void *', ['void *'])) as NativeFunction;
    this.#functions.set(name, fn);
    return fn;
  }

  #check(name: CallName, error: bigint | null): void {
    if (error === null || error === 0n) return;
    const message = this.arguments('Error_Message').set('error', error);
    this.#function('Error_Message')(message.bytes);
    const text = this.copy(message.get('message'), message.get('messageSize')).toString().slice(0, 2000);
    this.#function('Error_Destroy')(this.arguments('Error_Destroy').set('error', error).bytes);
    throw new EngineError('ENGINE_XLA', `XLA (${this.#plugin}) failed in ${name}: ${text}`);
  }
}
