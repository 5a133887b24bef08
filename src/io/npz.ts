import { InputError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import { type ParsedArray, parseNpy } from './npy-array.ts';
import type { PickleValue } from './pickle.ts';
import { withZip } from './zip.ts';

export type { NumberData, NumberDtype, ParsedArray } from './npy-array.ts';

/** Bytes of one array; text of fixed length takes much of it, and compresses to little. */
const maxArrayBytes = 1024 ** 3;

/** An open archive of arrays. */
export interface NpzArchive {
  readonly path: string;
  /** Names of the arrays, as `numpy.savez` was given them. */
  readonly names: readonly string[];
  /** @throws InputError `NPZ_NO_SUCH_ARRAY`, `NPZ_CHECKSUM`, `ZIP_*`, `NPY_*`, `PICKLE_*`, with file, array and byte */
  read(name: string): Promise<ParsedArray>;
}

/**
 * Opens a file of `numpy.savez` or `numpy.savez_compressed`, hands it to `use` and closes it. Python objects in it go
 * through the restricted unpickler; nothing is ever executed.
 *
 * @param limit bytes of one array at most
 * @throws InputError `ZIP_INVALID`, `ZIP_DUPLICATE`, `ZIP_TOO_LARGE`, and those of `fileError`
 */
export async function withNpz<T>(
  path: string,
  use: (archive: NpzArchive) => Promise<T>,
  limit = maxArrayBytes,
): Promise<T> {
  return withZip(path, async (zip) => {
    const members = [...zip.entries.values()].filter(({ name }) => name.endsWith('.npy'));
    const entries = new Map(members.map((entry) => [entry.name.slice(0, -'.npy'.length), entry]));
    const names = [...entries.keys()];
    return use({
      path,
      names,
      read: async (name) => {
        const entry = entries.get(name);
        if (entry === undefined) {
          const held = names.length === 0 ? 'none' : names.map((one) => `"${one}"`).join(', ');
          throw new InputError(
            'NPZ_NO_SUCH_ARRAY',
            `${path} holds no array "${name}"; its arrays are: ${held.slice(0, 500)}.`,
          );
        }
        const bytes = await zip.read(entry, limit);
        if (crc32(bytes) !== entry.entry.crc32) {
          throw new InputError(
            'NPZ_CHECKSUM',
            `${path}: the array "${name}" is not what was written (its checksum differs). The file is damaged; get it again.`,
          );
        }
        return parseNpy(bytes, `${path}, array "${name}"`);
      },
    });
  });
}

/**
 * The dictionary that an array without axes holds, as `numpy.savez(path, name=dictionary)` writes it.
 *
 * @param where file and array, for messages
 * @throws InputError `NPZ_NOT_A_DICTIONARY`
 */
export function dictionaryIn(array: ParsedArray, where: string): ReadonlyMap<PickleValue, PickleValue> {
  const value = array.kind === 'objects' && array.shape.length === 0 ? array.data[0] : undefined;
  if (value instanceof Map) return value;
  const found =
    value === undefined ? `an array of ${array.kind} of shape (${array.shape.join(', ')})` : 'another object';
  throw new InputError('NPZ_NOT_A_DICTIONARY', `${where} holds ${found}; expected is a dictionary of names.`);
}
