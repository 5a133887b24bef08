import { existsSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** What `affectgpt engine install` writes beside an engine's files, as `installed.json`. */
export interface InstalledEngine {
  readonly name: string;
  readonly version: string;
  /** File name of the wheel that it came from. */
  readonly wheel: string;
  /** SHA-256 of that wheel. */
  readonly sha256: string;
  /** When it was installed, ISO 8601. */
  readonly date: string;
  /** Of the library, relative to the folder. */
  readonly library: string;
}

/** Where installed engines lie: `AFFECTGPT_ENGINES`, or `affectgpt/engines` in the user's cache folder. */
export function enginesFolder(environment: Environment = process.env): string {
  const named = environment.AFFECTGPT_ENGINES;
  if (named) return path.resolve(named);
  const caches = environment.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(caches, 'affectgpt', 'engines');
}

/** The folder of one version of an installed engine, whether it is there or not. */
export const engineFolder = (name: string, version: string, environment: Environment = process.env): string =>
  path.join(enginesFolder(environment), `${name}-${version}`);

/** What is noted in a folder; undefined where no engine has been installed there, or its library is gone. */
export function readInstalledEngine(folder: string): InstalledEngine | undefined {
  const file = path.join(folder, 'installed.json');
  if (!existsSync(file)) return undefined;
  let noted: InstalledEngine;
  try {
    noted = JSON.parse(readFileSync(file, 'utf8')) as InstalledEngine;
  } catch {
    return undefined;
  }
  return existsSync(path.join(folder, noted.library)) ? noted : undefined;
}

/** An engine that is installed, and where. */
export interface FoundEngine extends InstalledEngine {
  readonly folder: string;
  /** Absolute path of its library. */
  readonly libraryPath: string;
}

/** All installed engines, by name and then the one installed last first. Unfinished installations are not among them. */
export function listInstalledEngines(environment: Environment = process.env): FoundEngine[] {
  const root = enginesFolder(environment);
  if (!existsSync(root)) return [];
  const found = readdirSync(root)
    .filter((entry) => !entry.startsWith('.'))
    .flatMap((entry) => {
      const folder = path.join(root, entry);
      const noted = readInstalledEngine(folder);
      return noted === undefined ? [] : [{ ...noted, folder, libraryPath: path.join(folder, noted.library) }];
    });
  return found.sort((a, b) => a.name.localeCompare(b.name) || b.date.localeCompare(a.date));
}

/** The installed engine of that name, of several versions the one installed last; undefined where there is none. */
export const findInstalledEngine = (
  name: string,
  environment: Environment = process.env,
): FoundEngine | undefined => listInstalledEngines(environment).find((engine) => engine.name === name);
