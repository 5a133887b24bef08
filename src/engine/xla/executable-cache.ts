import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** Names the folder of compiled executables; empty keeps none. */
export const cacheVariable = 'AFFECTGPT_XLA_CACHE';

/** Files that a folder keeps; those that were not used for longest go first. */
const filesKept = 256;

/** Where executables are kept between runs: `AFFECTGPT_XLA_CACHE`, or the user's cache folder; null for nowhere. */
export function executablesFolder(env: Environment = process.env): string | null {
  const named = env[cacheVariable];
  if (named !== undefined) return named === '' ? null : path.resolve(named);
  const caches = env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(caches, 'affectgpt', 'xla-executables');
}

const digest = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
const digestBytes = 32;

/** Compiled executables on disk, each behind its checksum: a damaged file is as good as none. */
export class ExecutableCache {
  readonly #folder: string;
  readonly #identity: string;

  /** @param identity what decides beside the module: the plugin, the machine, the settings of the compiler */
  constructor(folder: string, identity: readonly string[]) {
    this.#folder = folder;
    this.#identity = JSON.stringify(identity);
  }

  #file(module: string): string {
    const key = createHash('sha256').update(this.#identity).update('\n').update(module).digest('hex');
    return path.join(this.#folder, `${key}.executable`);
  }

  /** The bytes kept for a module, if any. */
  async read(module: string): Promise<Buffer | undefined> {
    const file = this.#file(module);
    const whole = await readFile(file).catch(() => undefined);
    if (whole === undefined) return undefined;
    const bytes = whole.subarray(digestBytes);
    if (!digest(bytes).equals(whole.subarray(0, digestBytes))) return undefined;
    const now = new Date();
    await utimes(file, now, now).catch(() => {});
    return bytes;
  }

  /** Keeps the bytes, unless the folder cannot be written: then the next run compiles again. */
  async write(module: string, bytes: Buffer): Promise<void> {
    const file = this.#file(module);
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
