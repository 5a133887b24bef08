import { existsSync, readFileSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';

/** The folder of the Hugging Face hub's cache, as its own programs find it. */
export function hubCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const home =
    environment.HF_HOME ??
    path.join(environment.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'huggingface');
  return environment.HF_HUB_CACHE ?? path.join(home, 'hub');
}

const isFolder = (candidate: string): boolean =>
  statSync(candidate, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** The snapshot that the hub's cache holds of a model's main branch; undefined where there is none. */
function cachedSnapshot(id: string): string | undefined {
  const repository = path.join(hubCacheFolder(), `models--${id.replaceAll('/', '--')}`);
  const reference = path.join(repository, 'refs', 'main');
  if (!existsSync(reference)) return undefined;
  const snapshot = path.join(repository, 'snapshots', readFileSync(reference, 'utf8').trim());
  return isFolder(snapshot) ? snapshot : undefined;
}

/**
 * The folder of a model named in a configuration: a folder, or an id of the Hugging Face hub whose files are in the
 * hub's cache. Undefined where it is not on this machine.
 */
export function findModelFolder(reference: string): string | undefined {
  if (isFolder(reference)) return path.resolve(reference);
  return cachedSnapshot(reference);
}

/** How to get a model that is not there, for error messages. */
export function howToGet(reference: string): string {
  if (!/^[\w.-]+\/[\w.-]+$/.test(reference))
    return `give a folder that exists, or an id of the Hugging Face hub`;
  return `hf download ${reference}   (or: git clone https://huggingface.co/${reference} and name the folder)`;
}

/**
 * Finds all models at once, so that everything missing is said at once.
 *
 * @param references by configuration key, e.g. `model.llm`
 * @throws InputError `MODEL_NOT_FOUND` with every missing model and the command that gets it
 */
export function findModelFolders<Key extends string>(
  references: Readonly<Record<Key, string>>,
): Record<Key, string> {
  const folders: Partial<Record<Key, string>> = {};
  const missing: string[] = [];
  for (const [key, reference] of Object.entries(references) as [Key, string][]) {
    const folder = findModelFolder(reference);
    if (folder === undefined) missing.push(`${key} "${reference}": ${howToGet(reference)}`);
    else folders[key] = folder;
  }
  if (missing.length > 0) {
    throw new InputError(
      'MODEL_NOT_FOUND',
      `Not on this machine, neither as a folder nor in the cache ${hubCacheFolder()}:\n  ${missing.join('\n  ')}`,
    );
  }
  return folders as Record<Key, string>;
}

/**
 * A JSON file of a model folder.
 * @throws InputError `MODEL_FILE_INVALID`, and `FILE_NOT_FOUND` unless `optional`
 */
export async function readModelJson(folder: string, name: string, optional = false): Promise<unknown> {
  const file = path.join(folder, name);
  if (optional && !existsSync(file)) return undefined;
  try {
    return JSON.parse(await readText(file)) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new InputError('MODEL_FILE_INVALID', `${file} is not JSON: ${error.message}.`, { cause: error });
    }
    throw error;
  }
}
