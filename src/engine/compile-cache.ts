import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Files that a folder keeps; those that were not used for longest go first. */
const filesKept = 256;

const digest = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
const digestBytes = 32;

/**
 * What compilers made of programs, kept on disk between runs, each behind its checksum: a damaged file is as good as
 * none.
 */
export class CompileCache {
  readonly #folder: string;
  readonly #identity: string;

  /** @param identity what decides beside the program: the compiler, the machine, settings */
  constructor(folder: string, identity: readonly string[]) {
    this.#folder = folder;
    this.#identity = JSON.stringify(identity);
  }

  #file(program: string | Uint8Array): string {
    const key = createHash('sha256').update(this.#identity).update('\n').update(program).digest('hex');
    return path.join(this.#folder, key);
  }

  /** The bytes kept for a program, if any. */
  async read(program: string | Uint8Array): Promise<Buffer | undefined> {
    const file = this.#file(program);
    const whole = await readFile(file).catch(() => undefined);
    if (whole === undefined) return undefined;
    const bytes = whole.subarray(digestBytes);
    if (!digest(bytes).equals(whole.subarray(0, digestBytes))) return undefined;
    const now = new Date();
    await utimes(file, now, now).catch(() => {});
    return bytes;
  }

  /** Keeps the bytes, unless the folder cannot be written: then the next run compiles again. */
  async write(program: string | Uint8Array, bytes: Buffer): Promise<void> {
    const file = this.#file(program);
    const draft = `${file}.${randomUUID()}.part`;
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFile(draft, Buffer.concat([digest(bytes), bytes]));
      await rename(draft, file);
      await this.#prune();
    } catch {
      await rm(draft, { force: true });
    }
  }

  async #prune(): Promise<void> {
    const names = await readdir(this.#folder);
    if (names.length <= filesKept) return;
    const files = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.#folder, name);
        return { file, usedAt: (await stat(file).catch(() => undefined))?.mtimeMs ?? 0 };
      }),
    );
    files.sort((a, b) => b.usedAt - a.usedAt);
    for (const { file } of files.slice(filesKept)) await rm(file, { force: true });
  }
}
