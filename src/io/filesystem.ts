import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { InputError } from '../errors.ts';

/** Largest piece of a file that is read or written by one system call (which take less than 2 GiB). */
const ioChunkBytes = 64 * 1024 * 1024;

/** Whether the operating system refused to write for lack of space. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/**
 * Turns an error of the file system into an `InputError` that names the path; any other error comes back as it is.
 * Codes: `FILE_NOT_FOUND`, `FILE_FORBIDDEN`, `FILE_IS_A_FOLDER`, `DISK_FULL`, `FILE_FAILED` (everything else).
 *
 * @param bytes what the whole operation needs on the disk, where it is known; named when the disk is full
 */
export function fileError(error: unknown, path: string, action: 'read' | 'write', bytes?: number): unknown {
  if (error instanceof InputError || !(error instanceof Error) || !('syscall' in error)) {
    return error;
  }
  const code = 'code' in error ? String(error.code) : '';
  const options = { cause: error };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT': {
      const need = bytes === undefined ? '' : ` ${bytes} bytes are needed in all.`;
      const reason = code === 'ENOSPC' ? 'the disk is full' : 'the disk quota is used up';
      return new InputError(
        'DISK_FULL',
        `Cannot write ${path}: ${reason}.${need} Free some space or choose another folder; what was there before is unchanged.`,
        options,
      );
    }
    case 'ENOENT':
    case 'ENOTDIR':
      return new InputError(
        'FILE_NOT_FOUND',
        action === 'read'
          ? `Cannot read ${path}: there is no such file.`
          : `Cannot write ${path}: its folder does not exist.`,
        options,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new InputError(
        'FILE_FORBIDDEN',
        `Cannot ${action} ${path}: the operating system does not permit it (${code}). Check owner and permissions.`,
        options,
      );
    case 'EISDIR':
      return new InputError(
        'FILE_IS_A_FOLDER',
        `Cannot ${action} ${path}: it is a folder, and a file is expected.`,
        options,
      );
    default:
      return new InputError('FILE_FAILED', `Cannot ${action} ${path}: ${error.message}.`, options);
  }
}

/**
 * Opens a file for reading, hands it to `use` and closes it whatever happens.
 *
 * @throws InputError as in `fileError`
 */
export async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    return await use(handle);
  } catch (error) {
    throw fileError(error, path, 'read');
  } finally {
    await handle?.close();
  }
}

/** Fills `target` from `position` on; returns the number of bytes read, smaller only where the file ends first. */
export async function readInto(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(ioChunkBytes, target.byteLength - done);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0) {
      break;
    }
    done += bytesRead;
  }
  return done;
}

/** Writes all of `data` at the current position. */
export async function writeAll(handle: FileHandle, data: Uint8Array): Promise<void> {
  let done = 0;
  while (done < data.byteLength) {
    const length = Math.min(ioChunkBytes, data.byteLength - done);
    const { bytesWritten } = await handle.write(data, done, length);
    done += bytesWritten;
  }
}

/** Largest text file that is read as a whole: more than any table of the published data sets, by far. */
const maxTextBytes = 256 * 1024 * 1024;

/**
 * Reads a whole text file as UTF-8, without a byte order mark if it has one.
 *
 * @param decode of a file that may be written in another encoding
 * @throws InputError as in `fileError`; `FILE_TOO_LARGE`, before anything is read; `FILE_NOT_UTF8`
 */
export async function readText(
  path: string,
  decode: (bytes: Uint8Array, path: string) => string = decodeUtf8,
): Promise<string> {
  const bytes = await withFile(path, async (handle) => {
    const { size } = await handle.stat();
    if (size > maxTextBytes) {
      throw new InputError(
        'FILE_TOO_LARGE',
        `${path} has ${size} bytes, and text files are read up to ${maxTextBytes}. Is it the right file? If so, divide it.`,
      );
    }
    return handle.readFile();
  });
  return decode(bytes, path);
}

/**
 * UTF-8 to string, dropping a leading byte order mark.
 *
 * @throws InputError `FILE_NOT_UTF8` naming `where`
 */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InputError('FILE_NOT_UTF8', `${where} is not UTF-8 text. Convert it to UTF-8.`, {
      cause: error,
    });
  }
}
