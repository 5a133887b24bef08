import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { fileError, writeAll } from './filesystem.ts';

/**
 * A file to which whole records are appended, in the order of the calls. A record that could not be written
 * completely is cut off again, so that a full disk damages nothing that was written before or is written later.
 */
export class AppendFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** The last operation; the next one waits for it. */
  #last: Promise<void> = Promise.resolve();
  /** Set when an incomplete record could not be cut off: anything after it would be unreadable. */
  #broken: unknown;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /**
   * @param flags `a` creates the file or continues it, `ax` insists on a new one
   * @throws as the file system does
   */
  static async open(path: string, flags: 'a' | 'ax'): Promise<AppendFile> {
    return new AppendFile(path, await open(path, flags));
  }

  /**
   * Appends one record. It has left the process when the promise resolves, but is on the disk only after `sync`.
   *
   * @throws InputError as in `fileError`
   */
  append(record: Uint8Array): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#broken !== undefined) {
        throw this.#broken;
      }
      const { size } = await this.#handle.stat();
      try {
        await writeAll(this.#handle, record);
      } catch (error) {
        const known = fileError(error, this.path, 'write', record.byteLength);
        await this.#handle.truncate(size).catch(() => {
          this.#broken = known;
        });
        throw known;
      }
    });
  }

  /** Waits for all records and forces them to the disk. */
  sync(): Promise<void> {
    return this.#enqueue(() => this.#handle.sync());
  }

  /** Waits for all records, forces them to the disk and closes the file. */
  close(): Promise<void> {
    return this.#enqueue(async () => {
      try {
        await this.#handle.sync();
      } finally {
        await this.#handle.close();
      }
    });
  }

  #enqueue(operation: () => Promise<void>): Promise<void> {
    const result = this.#last.then(operation);
    // A failed record is reported to its caller and does not stop the ones after it.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
