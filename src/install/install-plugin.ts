import { existsSync } from 'node:fs';
import { chmod, readdir, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import {
  engineFolder,
  enginesFolder,
  type FoundEngine,
  type InstalledEngine,
  listInstalledEngines,
  readInstalledEngine,
} from '../engine/install-folder.ts';
import { InputError } from '../errors.ts';
import { isUnfinishedName, removeFolderAtomic, writeFileAtomic, writeFolderAtomic } from '../io/atomic.ts';
import { sha256File } from '../io/checksum.ts';
import { fetchWheel, type IndexConnection } from './fetch-wheel.ts';
import { unpackWheel } from './unpack.ts';
import {
  type Machine,
  type PinnedWheel,
  type PluginEngine,
  type ToolPackage,
  type WheelPackage,
  wheelFor,
} from './wheels.ts';

/** How an engine is to be installed. */
export interface InstallOptions {
  /** The index that wheels come from, or a folder that holds them: nothing is downloaded then. */
  readonly from: IndexConnection | { readonly folder: string };
  /** Installs again what is there already. */
  readonly force: boolean;
  /** Told how many bytes of the wheel are there. */
  readonly onBytes: (wheel: PinnedWheel, bytes: number) => void;
  /** The machine that the engine is for; this one unless given. */
  readonly machine?: Machine;
  /** Free bytes of the disk of a folder; the operating system's figure unless given. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** The wheel of a package as a verified file: out of the folder that was named, else from the index. */
export async function obtainWheel(
  source: WheelPackage,
  wheel: PinnedWheel,
  options: InstallOptions,
): Promise<{ readonly file: string; readonly dispose: () => Promise<void> }> {
  const { from, onBytes } = options;
  if ('index' in from) {
    await checkSpace(wheel, options);
    const folder = path.join(enginesFolder(), '.downloads');
    const file = await fetchWheel(from, source, wheel, folder, (bytes) => onBytes(wheel, bytes));
    return { file, dispose: () => rm(file, { force: true }) };
  }
  const file = path.join(from.folder, wheel.file);
  if (!existsSync(file)) {
    throw new InputError(
      'WHEEL_NOT_FOUND',
      `${from.folder} does not hold ${wheel.file}. Get it with: pip download --no-deps ${source.project}==${source.version}`,
    );
  }
  const found = await sha256File(file);
  if (found !== wheel.sha256) {
    throw new InputError(
      'WHEEL_CHECKSUM',
      `${file} has the SHA-256 ${found}; expected is ${wheel.sha256}. It is damaged or another file; nothing was installed.`,
    );
  }
  return { file, dispose: async () => {} };
}

/** Libraries come to two to four times their wheel, and both are there for a moment. */
const spacePerWheel = 5.5;

async function checkSpace(wheel: PinnedWheel, { freeBytes = freeBytesOf }: InstallOptions): Promise<void> {
  const needed = Math.ceil(wheel.bytes * spacePerWheel);
  const free = await freeBytes(enginesFolder());
  if (free >= needed) return;
  throw new InputError(
    'DISK_FULL',
    `About ${needed} bytes are needed for ${wheel.file} and what is in it, but the disk of ${enginesFolder()} has room for ${free} only. Free some space, or name a folder on another disk with AFFECTGPT_ENGINES. Nothing was downloaded.`,
  );
}

/** Of the disk that a folder is on, or will be on. */
async function freeBytesOf(folder: string): Promise<number> {
  let existing = folder;
  while (!existsSync(existing)) existing = path.dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  return bavail * bsize;
}

/**
 * Installs an engine that is a library out of a wheel, with those that it loads. Its folder appears when all is in it, or not at all.
 *
 * @returns the engine, and whether it was there before and was left alone
 * @throws EngineError `ENGINE_PLATFORM`; InputError those of `fetchWheel` and `unpackWheel`, `DISK_FULL`
 */
export async function installPlugin(
  engine: PluginEngine,
  options: InstallOptions,
): Promise<{ readonly engine: FoundEngine; readonly wasThere: boolean }> {
  const wheel = wheelFor(engine, options.machine);
  const folder = engineFolder(engine.name, engine.version);
  // Where it lies in the wheel: a plugin looks for libraries of CUDA in ../../nvidia, seen from itself.
  const { library, companions = [], tools = [] } = engine;
  const libraries = [library, ...companions];
  const there = readInstalledEngine(folder);
  const hasTools = tools.every(({ members }) => members.every((name) => existsSync(path.join(folder, name))));
  if (there !== undefined && there.sha256 === wheel.sha256 && hasTools && !options.force) {
    return { engine: { ...there, folder, libraryPath: path.join(folder, there.library) }, wasThere: true };
  }
  await removeLeftovers();
  const obtained = await obtainWheel(engine, wheel, options);
  const noted: InstalledEngine = {
    ...{ name: engine.name, version: engine.version, wheel: wheel.file, sha256: wheel.sha256 },
    ...{ date: new Date().toISOString(), library },
  };
  await writeFolderAtomic(
    folder,
    async (temporary) => {
      const written = await unpackWheel(obtained.file, temporary, (member) =>
        libraries.includes(member) ? member : documentName(member),
      );
      const missing = libraries.filter((name) => !written.includes(name));
      if (missing.length > 0) {
        throw new InputError('WHEEL_INCOMPLETE', `${wheel.file} does not hold ${missing.join(', ')}.`);
      }
      for (const tool of tools) await addTool(tool, temporary, options);
      await writeFileAtomic(path.join(temporary, 'installed.json'), `${JSON.stringify(noted, null, 2)}\n`);
    },
    { existing: 'replace' },
  );
  await obtained.dispose();
  return { engine: { ...noted, folder, libraryPath: path.join(folder, library) }, wasThere: false };
}

/** Puts the files of a tool's wheel beside those of the engine; programs among them can be run. */
async function addTool(tool: ToolPackage, folder: string, options: InstallOptions): Promise<void> {
  const { members, project } = tool;
  const wheel = wheelFor(tool, options.machine);
  const { file, dispose } = await obtainWheel(tool, wheel, options);
  const written = await unpackWheel(file, folder, (member) => {
    if (members.includes(member)) return member;
    return /\.dist-info\/(?:licenses\/)?Licen[cs]e[\w.-]*$/i.test(member)
      ? `licenses/${project}/${path.basename(member)}`
      : undefined;
  });
  const missing = members.filter((name) => !written.includes(name));
  if (missing.length > 0) {
    throw new InputError('WHEEL_INCOMPLETE', `${wheel.file} does not hold ${missing.join(', ')}.`);
  }
  for (const name of members) {
    if (path.basename(path.dirname(name)) === 'bin') await chmod(path.join(folder, name), 0o755);
  }
  await dispose();
}

/** Removes what installations that were killed left behind. Nobody sees those folders, but they are big. */
export async function removeLeftovers(): Promise<void> {
  const root = enginesFolder();
  for (const name of await readdir(root).catch(() => [])) {
    if (!isUnfinishedName(name)) continue;
    const folder = path.join(root, name);
    const state = await stat(folder).catch(() => undefined);
    if (state === undefined || Date.now() - state.mtimeMs < abandonedAfter) continue;
    await rm(folder, { recursive: true, force: true });
  }
}

/** An installation that has not added a file for so many milliseconds has been killed. */
const abandonedAfter = 60 * 60_000;

/** Licence texts, and the description that names the licence, are kept beside the library. */
function documentName(member: string): string | undefined {
  const [, name] =
    /^[^/]+\.dist-info\/(?:licenses\/)?(?:licensing\/)?((?:LICEN[CS]E|NOTICE|METADATA|[\w-]+-third-party-)[\w.-]*)$/.exec(
      member,
    ) ?? [];
  return name;
}

/**
 * Removes all versions of an installed engine.
 * @returns the folders that were removed
 * @throws InputError `ENGINE_NOT_INSTALLED`
 */
export async function removeEngine(name: string): Promise<string[]> {
  const found = listInstalledEngines().filter((engine) => engine.name === name);
  if (found.length === 0) {
    throw new InputError('ENGINE_NOT_INSTALLED', `No engine "${name}" is installed in ${enginesFolder()}.`);
  }
  for (const { folder } of found) await removeFolderAtomic(folder);
  return found.map(({ folder }) => folder);
}
