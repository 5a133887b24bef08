import { existsSync, fstatSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';

/** A change of a folder tree, or a request to make one durable, as the program asks the operating system for it. */
export type Operation =
  /** With the parents that it lacks. */
  | { readonly kind: 'mkdir'; readonly path: string }
  /** A new file, or an existing one that loses its content. */
  | { readonly kind: 'create'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; readonly at: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  /** fsync of a file or a folder. */
  | { readonly kind: 'sync'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  /** With everything in it. */
  | { readonly kind: 'remove'; readonly path: string };

/** What is to happen with an operation: nothing special, or only half of it and then `Watcher.die`. */
export type Verdict = 'whole' | 'half';

/** Told of every operation below the watched folder. */
export interface Watcher {
  readonly folder: string;
  before(operation: Operation): Verdict;
  after(operation: Operation): void;
  /** After half an operation. Does not return. */
  die(): never;
}

/** An open file of the watched folder. */
interface OpenFile {
  readonly path: string;
  readonly appends: boolean;
  position: number;
}

const isWithin = (folder: string, path: string): boolean => path === folder || path.startsWith(folder + sep);

/** Random parts of temporary names, and the time and host of event files, are not the same in two runs. */
const unsteady = [
  [/\.([^/]+)\.\d+-[0-9a-f]{12}\.(partial|replaced)/g, '$1.$2'],
  [/events\.out\.tfevents\.[^/]*/g, 'events'],
] as const;

/** A path below the watched folder as it is in every run. */
function steadyPath(folder: string, path: string): string {
  return unsteady.reduce((text, [pattern, to]) => text.replace(pattern, to), relative(folder, path) || '.');
}

/** Names an operation so that it is found again in another run, together with how often that name came before. */
export function operationName(folder: string, operation: Operation): string {
  const to = operation.kind === 'rename' ? ` -> ${steadyPath(folder, operation.to)}` : '';
  return `${operation.kind} ${steadyPath(folder, operation.path)}${to}`;
}

/**
 * Watches what this process does below a folder through `node:fs/promises`, which is all that the program writes with;
 * `replayLog` in power-cut.ts tells whether something passed by. Writing through a handle in pieces, whole files,
 * renames, removals, folders and fsync are seen; each is one operation.
 *
 * @returns ends the watch
 */
export async function watchOperations(watcher: Watcher): Promise<() => void> {
  const original = { ...fs };
  const files = new WeakMap<FileHandle, OpenFile>();
  const folder = resolve(watcher.folder);
  const seen = (path: unknown): string | undefined => {
    const full = typeof path === 'string' ? resolve(path) : undefined;
    return full !== undefined && isWithin(folder, full) ? full : undefined;
  };

  /** Does an operation under the watcher's eyes. */
  async function perform<T>(
    operation: Operation,
    whole: () => Promise<T>,
    half: () => Promise<unknown> = async () => undefined,
  ): Promise<T> {
    if (watcher.before(operation) === 'half') {
      await half();
      watcher.die();
    }
    const result = await whole();
    watcher.after(operation);
    return result;
  }

  const patched = {
    open: async (...args: Parameters<typeof fs.open>): Promise<FileHandle> => {
      const [name, flags = 'r'] = args;
      const path = seen(name);
      if (path === undefined) return original.open(...args);
      const opening = String(flags);
      const makes = /^[wa]/.test(opening) && (opening.startsWith('w') || !existsSync(path));
      const open = () => original.open(...args);
      const handle = await (makes ? perform({ kind: 'create', path }, open) : open());
      files.set(handle, { path, appends: opening.startsWith('a'), position: 0 });
      return handle;
    },
    mkdir: async (...args: Parameters<typeof fs.mkdir>) => {
      const path = seen(args[0]);
      if (path === undefined || existsSync(path)) return original.mkdir(...args);
      return perform({ kind: 'mkdir', path }, () => original.mkdir(...args));
    },
    rename: async (...args: Parameters<typeof fs.rename>) => {
      const [path, to] = [seen(args[0]), seen(args[1])];
      if (path === undefined || to === undefined) return original.rename(...args);
      return perform({ kind: 'rename', path, to }, () => original.rename(...args));
    },
    rm: async (...args: Parameters<typeof fs.rm>) => {
      const path = seen(args[0]);
      if (path === undefined || !existsSync(path)) return original.rm(...args);
      const half = async () => {
        // As far as a removal gets that is stopped: some of the files are gone.
        const names = await original.readdir(path).catch(() => []);
        for (const name of names.slice(0, Math.ceil(names.length / 2))) {
          await original.rm(join(path, name), { recursive: true });
        }
      };
      return perform({ kind: 'remove', path }, () => original.rm(...args), half);
    },
    unlink: async (...args: Parameters<typeof fs.unlink>) => {
      const path = seen(args[0]);
      if (path === undefined) return original.unlink(...args);
      return perform({ kind: 'remove', path }, () => original.unlink(...args));
    },
    truncate: async (...args: Parameters<typeof fs.truncate>) => {
      const path = seen(args[0]);
      if (path === undefined) return original.truncate(...args);
      return perform({ kind: 'truncate', path, size: args[1] ?? 0 }, () => original.truncate(...args));
    },
    writeFile: async (...args: Parameters<typeof fs.writeFile>) => {
      const path = seen(args[0]);
      const text = args[1];
      if (path === undefined || !(typeof text === 'string' || text instanceof Uint8Array)) {
        return original.writeFile(...args);
      }
      // In two operations, as the operating system sees it.
      const data = Buffer.from(text as string);
      await perform({ kind: 'create', path }, () => original.writeFile(path, ''));
      const half = () => original.writeFile(path, data.subarray(0, data.length >> 1));
      await perform({ kind: 'write', path, at: 0, data }, () => original.writeFile(path, data), half);
    },
  };

  const probe = await original.open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const methods = {
    write: prototype.write,
    sync: prototype.sync,
    datasync: prototype.datasync,
    truncate: prototype.truncate,
  };
  const asUsed = methods.write as (
    this: FileHandle,
    data: Uint8Array | string,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ) => Promise<{ bytesWritten: number }>;
  const patchedMethods = {
    async write(
      this: FileHandle,
      data: Uint8Array | string,
      offset?: number | null,
      length?: number | null,
      position?: number | null,
    ): Promise<{ bytesWritten: number }> {
      const file = files.get(this);
      if (file === undefined) return asUsed.call(this, data, offset, length, position);
      // A string's second argument is its position.
      const bytes = Buffer.from(
        typeof data === 'string' ? data : data.slice(offset ?? 0, (offset ?? 0) + (length ?? data.length)),
      );
      const asked = typeof data === 'string' ? offset : position;
      const at = file.appends ? fstatSync(this.fd).size : (asked ?? file.position);
      const put = (piece: Buffer) => asUsed.call(this, piece, 0, piece.length, file.appends ? null : at);
      return perform(
        { kind: 'write', path: file.path, at, data: bytes },
        async () => {
          const result = await put(bytes);
          if (asked === undefined || asked === null) file.position = at + result.bytesWritten;
          return result;
        },
        () => put(bytes.subarray(0, bytes.length >> 1)),
      );
    },
    async sync(this: FileHandle): Promise<void> {
      const path = files.get(this)?.path;
      const sync = () => methods.sync.call(this);
      return path === undefined ? sync() : perform({ kind: 'sync', path }, sync);
    },
    async datasync(this: FileHandle): Promise<void> {
      const path = files.get(this)?.path;
      const sync = () => methods.datasync.call(this);
      return path === undefined ? sync() : perform({ kind: 'sync', path }, sync);
    },
    async truncate(this: FileHandle, size = 0): Promise<void> {
      const path = files.get(this)?.path;
      const truncate = () => methods.truncate.call(this, size);
      return path === undefined ? truncate() : perform({ kind: 'truncate', path, size }, truncate);
    },
  };
  Object.assign(fs, patched);
  Object.assign(prototype, patchedMethods);
  // Named imports of the program's modules see the patched functions too.
  syncBuiltinESMExports();
  return () => {
    Object.assign(fs, original);
    Object.assign(prototype, methods);
    syncBuiltinESMExports();
  };
}

/** An operation as a line of JSON; bytes in base64. */
export function formatOperation(operation: Operation): string {
  return JSON.stringify(
    operation.kind === 'write' ? { ...operation, data: operation.data.toString('base64') } : operation,
  );
}

/** Inverse of `formatOperation`. */
export function parseOperation(line: string): Operation {
  const operation = JSON.parse(line) as Operation;
  if (operation.kind !== 'write') return operation;
  return { ...operation, data: Buffer.from(String(operation.data), 'base64') };
}
