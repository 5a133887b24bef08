import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { readInto, withFile } from '../filesystem.ts';
import { type PickleValue, unpickle } from '../pickle.ts';
import { maxPickleBytes, StorageCollector, torchKind } from './kind.ts';

/** The number that torch writes first. */
const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;

/** The pickles at the beginning are read in pieces of this size and more, up to the last one. */
const firstBytes = 1024 * 1024;

/** Whether a file begins as a pickle does. */
export const isLegacyStart = (start: Uint8Array): boolean => start[0] === 0x80;

interface Pickles {
  readonly content: PickleValue;
  readonly keys: PickleValue;
  readonly collector: StorageCollector;
  /** Position of the first storage. */
  readonly end: number;
}

function damaged(path: string, what: string): InputError {
  return new InputError(
    'TORCH_BAD_STORAGE',
    `${path} is damaged: ${what}. It may not be completely downloaded; get it again.`,
  );
}

/** The five pickles before the storages: magic number, version, machine, content, keys of the storages. */
function readPickles(bytes: Uint8Array, path: string): Pickles {
  let position = 0;
  const collector = new StorageCollector();
  const next = (): PickleValue => {
    const { value, end } = unpickle(bytes, {
      kind: torchKind,
      where: `${path}, pickle at ${position}`,
      start: position,
      persistentLoad: collector.load,
    });
    position = end;
    return value;
  };
  if (next() !== magicNumber || next() !== protocolVersion) {
    throw new InputError(
      'TORCH_UNKNOWN_FORMAT',
      `${path} is a pickle, but not one of torch.save. Save the weights with torch.save or as safetensors.`,
    );
  }
  const machine = next();
  if (!(machine instanceof Map) || machine.get('little_endian') !== true) {
    throw new InputError(
      'TORCH_BYTE_ORDER',
      `${path} was not written on a little-endian machine, which is not supported. Load and save it on another one.`,
    );
  }
  return { content: next(), keys: next(), collector, end: position };
}

/** Reads ahead until all pickles are whole: how long they are is written nowhere. */
async function readAhead(handle: FileHandle, path: string): Promise<Pickles> {
  const { size } = await handle.stat();
  for (let length = firstBytes; ; length *= 4) {
    const bytes = Buffer.alloc(Math.min(length, size, maxPickleBytes));
    await readInto(handle, bytes, 0);
    try {
      return readPickles(bytes, path);
    } catch (error) {
      const mayBeCut = error instanceof InputError && error.code === 'PICKLE_TRUNCATED';
      if (!mayBeCut || length >= Math.min(size, maxPickleBytes)) throw error;
    }
  }
}

/**
 * Reads a file of the format before torch 1.6: pickles, then each storage as a count of eight bytes and its elements.
 *
 * @returns what was saved, its storages located
 * @throws InputError `TORCH_UNKNOWN_FORMAT`, `TORCH_BYTE_ORDER`, `TORCH_BAD_STORAGE`, and those of `unpickle`
 */
export async function readLegacy(path: string): Promise<PickleValue> {
  return withFile(path, async (handle) => {
    const { content, keys, collector, end } = await readAhead(handle, path);
    const { size } = await handle.stat();
    const { storages } = collector;
    if (!Array.isArray(keys) || keys.length !== storages.size || new Set(keys).size !== keys.length) {
      throw damaged(path, 'the list of its storages is not that of its tensors');
    }
    let position = end;
    for (const key of keys) {
      const storage = typeof key === 'string' ? storages.get(key) : undefined;
      const count = Buffer.alloc(8);
      await readInto(handle, count, position);
      if (storage === undefined) throw damaged(path, 'it lists a storage that no tensor has');
      if (count.readBigInt64LE(0) !== BigInt(storage.elements) || position + 8 + storage.bytes > size) {
        throw damaged(path, `storage "${storage.key.slice(0, 60)}" of ${storage.bytes} bytes is not whole`);
      }
      storage.begin = position + 8;
      position = storage.begin + storage.bytes;
    }
    return content;
  });
}
