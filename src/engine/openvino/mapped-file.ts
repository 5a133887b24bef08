import { closeSync, fstatSync, openSync } from 'node:fs';
import { fileError } from '../../io/filesystem.ts';
import { loadKoffiForOpenvino } from './runtime.ts';

const protectionRead = 1;
const mapPrivate = 2;
const mapFailed = 0xffff_ffff_ffff_ffffn;

/** A file as memory of this process, read when it is touched; the pages are those that the system keeps of the file anyway. */
export class MappedFile {
  /** Of the first byte. */
  readonly address: bigint;
  readonly #bytes: number;

  /** @throws InputError of the file where it cannot be opened; Error where the system does not map it */
  constructor(file: string) {
    let descriptor: number;
    try {
      descriptor = openSync(file, 'r');
    } catch (error) {
      throw fileError(error, file, 'read');
    }
    try {
      this.#bytes = fstatSync(descriptor).size;
      const address = memory().map(null, this.#bytes, protectionRead, mapPrivate, descriptor, 0);
      if (address === null || address === mapFailed) throw new Error(`${file} cannot be mapped into memory`);
      this.address = address;
    } finally {
      closeSync(descriptor);
    }
  }

  dispose(): void {
    memory().unmap(this.address, this.#bytes);
  }
}

interface Memory {
  map(...values: unknown[]): bigint | null;
  unmap(...values: unknown[]): number;
}

let loaded: Memory | undefined;

function memory(): Memory {
  if (loaded !== undefined) return loaded;
  const library = loadKoffiForOpenvino().load(null);
  loaded = {
    map: library.func('void *mmap(void *, size_t, int, int, int, int64_t)') as unknown as Memory['map'],
    unmap: library.func('int munmap(void *, size_t)') as unknown as Memory['unmap'],
  };
  return loaded;
}
