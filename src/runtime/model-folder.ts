import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { cachedSnapshot, referenceOfSnapshot } from '../hub/cache.ts';
import { hubCacheFolder } from '../hub/environment.ts';
import { type ModelReference, parseReference, pullCommand } from '../hub/reference.ts';
import { globPattern } from '../hub/selection.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';

const isFolder = (candidate: string): boolean =>
  statSync(candidate, { throwIfNoEntry: false })?.isDirectory() ?? false;

/**
 * A model that a configuration names: a folder or an id of the Hugging Face hub; `include` has patterns of the files that
 * it is wanted for, where these are others than opening a model usually takes.
 */
export type WantedModel = string | { readonly name: string; readonly include: readonly string[] };

/** Both parts of a wanted model. */
export const wantedFiles = (model: WantedModel) =>
  typeof model === 'string' ? { name: model, include: [] } : model;

/** Where a model is that a configuration names. */
export type ModelLocation =
  /** A folder of the user's, or a snapshot of the hub's cache that has all that was looked for. */
  | { readonly folder: string }
  /** A snapshot without files that it has to have, as after a pull that was stopped. */
  | { readonly reference: ModelReference; readonly lacks: readonly string[] }
  /** Not on this machine; `reference` where the name could be that of a model of the hub. */
  | { readonly reference: ModelReference | undefined };

/**
 * Looks for a model named in a configuration: a folder, or an id of the Hugging Face hub, `id@revision` for a branch,
 * tag or commit, whose files are in the hub's cache.
 */
export function locateModel(model: WantedModel): ModelLocation {
  const { name, include } = wantedFiles(model);
  if (isFolder(name)) return { folder: path.resolve(name) };
  const reference = parseReference(name);
  const snapshot = reference && cachedSnapshot(hubCacheFolder(), reference);
  if (reference === undefined || snapshot === undefined) return { reference };
  const lacks = include.length === 0 ? missingFiles(snapshot) : unmatched(snapshot, include);
  return lacks.length > 0 ? { reference, lacks } : { folder: snapshot };
}

/** Patterns that no file of a snapshot has. */
function unmatched(snapshot: string, include: readonly string[]): string[] {
  const names = readdirSync(snapshot, { recursive: true, encoding: 'utf8' }).map((name) =>
    name.replaceAll(path.sep, '/'),
  );
  return include.filter((glob) => !names.some((name) => globPattern(glob).test(name)));
}

/** `config.json` and shards named by an index, as far as they are not there. */
function missingFiles(snapshot: string): string[] {
  const isThere = (name: string): boolean => existsSync(path.join(snapshot, name));
  if (!isThere('config.json')) return ['config.json'];
  const weights = ['model.safetensors', 'pytorch_model.bin'].flatMap((name) => [name, `${name}.index.json`]);
  const used = weights.find(isThere);
  if (used === undefined || !used.endsWith('.index.json')) return [];
  try {
    const index: unknown = JSON.parse(readFileSync(path.join(snapshot, used), 'utf8'));
    const shards =
      isJsonObject(index) && isJsonObject(index.weight_map) ? Object.values(index.weight_map) : [];
    return [...new Set(shards.map(String))].filter((name) => !isThere(name));
  } catch {
    // What is wrong with an index is said by the one who reads it.
    return [];
  }
}

/**
 * The folder of a model named in a configuration: a folder, or an id of the Hugging Face hub whose files are in the
 * hub's cache. Undefined where it is not on this machine, or not all of it.
 */
export function findModelFolder(name: string): string | undefined {
  const location = locateModel(name);
  return 'folder' in location ? location.folder : undefined;
}

/** How to get a model that is not there, for error messages. */
export function howToGet(model: WantedModel): string {
  const { name, include } = wantedFiles(model);
  const reference = name.includes('/') || name.includes('@') ? parseReference(name) : undefined;
  if (reference === undefined) return 'give a folder that exists, or an id of the Hugging Face hub';
  return pullCommand(reference, include);
}

/**
 * Finds all models at once, so that everything missing is said at once.
 *
 * @param wanted by configuration key, e.g. `model.llm`
 * @throws InputError with every missing model and the command that gets it: `MODEL_NOT_FOUND`, or
 *   `MODEL_INCOMPLETE` where each is in the hub's cache, but not all of its files
 */
export function findModelFolders<Key extends string>(
  wanted: Readonly<Record<Key, WantedModel>>,
): Record<Key, string> {
  const folders: Partial<Record<Key, string>> = {};
  const absent: string[] = [];
  const incomplete: string[] = [];
  for (const [key, model] of Object.entries(wanted) as [Key, WantedModel][]) {
    const { name, include } = wantedFiles(model);
    const location = locateModel(model);
    if ('folder' in location) folders[key] = location.folder;
    else if ('lacks' in location) {
      const lacks = location.lacks.join(', ');
      incomplete.push(`${key} "${name}" lacks ${lacks}: ${pullCommand(location.reference, include)}`);
    } else absent.push(`${key} "${name}": ${howToGet(model)}`);
  }
  const cache = hubCacheFolder();
  const notFound = (lines: readonly string[], faults: readonly InputError[] = []): InputError =>
    new InputError(
      'MODEL_NOT_FOUND',
      `Not on this machine, neither as a folder nor in the cache ${cache}:\n  ${lines.join('\n  ')}`,
      faults.length > 1 ? { faults } : {},
    );
  const notWhole = (lines: readonly string[], faults: readonly InputError[] = []): InputError =>
    new InputError(
      'MODEL_INCOMPLETE',
      `Not all files of a model are in the cache ${cache}:\n  ${lines.join('\n  ')}`,
      faults.length > 1 ? { faults } : {},
    );
  const faults = [...absent.map((line) => notFound([line])), ...incomplete.map((line) => notWhole([line]))];
  if (absent.length > 0) throw notFound([...absent, ...incomplete], faults);
  if (incomplete.length > 0) throw notWhole(incomplete, faults);
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
    const reference = referenceOfSnapshot(folder);
    if (!(error instanceof InputError) || error.code !== 'FILE_NOT_FOUND' || reference === undefined)
      throw error;
    throw new InputError(
      error.code,
      `${error.message} Get what the model has with: ${pullCommand(reference)}`,
      { cause: error },
    );
  }
}
