import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../errors.ts';
import {
  isPlain,
  type Layer,
  MAX_CONFIG_LENGTH,
  type Plain,
  type Problem,
  parseLayer,
  parseSet,
} from './layer.ts';
import { mergeLayers } from './merge.ts';
import { packageFolder } from './package-folder.ts';
import { isPresetName, presetMeant, readPreset } from './presets/presets.ts';
import { configInvalid, schemaProblems, whereIs } from './problems.ts';
import { type Config, configSchema } from './schema.ts';

export interface ConfigRequest {
  /** `--config`: a path, or the name of a file (with or without `.yaml`) of the working folder or the package. */
  readonly config: string;
  /** `--set`: `a.b=c` each, later ones winning. */
  readonly set?: readonly string[];
  /** The working folder; the process's own unless given. */
  readonly folder?: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /**
   * Dotted key -> where the user gave it (`file:line` or `--set …`). Absent are keys left to their default and keys
   * given by a file that comes with the package.
   */
  readonly sources: ReadonlyMap<string, string>;
  /** Absolute path of the file that was found. */
  readonly file: string;
}

/**
 * Reads a configuration file, what it extends and the `--set` arguments, and validates the result.
 * @throws InputError `CONFIG_NOT_FOUND` with every place looked at; `CONFIG_INVALID` with every error at once
 */
export function loadConfig(request: ConfigRequest): LoadedConfig {
  const folder = path.resolve(request.folder ?? '.');
  const file = existingFile(request.config, folder);
  const label = labelOf(file, folder);
  const { layers, problems } = readChain(file, folder);
  return { ...resolveLayers({ layers, problems }, request.set, label), file };
}

/** A configuration of which something other than the user knows a part. */
export interface KnownConfigRequest {
  /** What that is, for messages. */
  readonly label: string;
  /** Keys that hold where the user gives none. */
  readonly defaults: Plain;
  /** Keys that hold whatever the file says; only `--set` goes over them. */
  readonly facts: Plain;
  /** `--config`, if there is one. */
  readonly config?: string | undefined;
  readonly set?: readonly string[];
}

/**
 * As `loadConfig`, around what is known already: `defaults`, then the file and what it extends, then `facts`, then `--set`.
 * @throws InputError `CONFIG_NOT_FOUND`, `CONFIG_INVALID`
 */
export function loadKnownConfig(request: KnownConfigRequest): Omit<LoadedConfig, 'file'> {
  const { label, defaults, facts, config, set } = request;
  const known = (values: Plain): Layer => ({ values, label, packaged: true, lineOf: () => undefined });
  const folder = path.resolve('.');
  const { layers, problems } =
    config === undefined ? { layers: [], problems: [] } : readChain(existingFile(config, folder), folder);
  return resolveLayers({ layers: [known(defaults), ...layers, known(facts)], problems }, set, label);
}

/** Adds `--set` to what was read, validates all of it, and notes what the user gave. */
function resolveLayers(
  read: { layers: Layer[]; problems: Problem[] },
  set: readonly string[] = [],
  label: string,
): Omit<LoadedConfig, 'file'> {
  const { layers, problems } = read;
  for (const assignment of set) {
    const one = parseSet(assignment);
    layers.push(one.layer);
    problems.push(...one.problems);
  }
  if (problems.length > 0) throw configInvalid(problems, label);
  const { config, merged } = validate(layers, label);
  const sources = new Map<string, string>();
  for (const leaf of leavesOf(merged)) {
    const { layer, where } = whereIs(leaf, layers);
    if (layer !== undefined && !layer.packaged) sources.set(leaf.join('.'), where);
  }
  return { config, sources };
}

/**
 * The file that `--config` names.
 * @param folder the working folder
 * @throws InputError `CONFIG_NOT_FOUND`
 */
export function existingFile(name: string, folder: string): string {
  const { found, tried } = findFile(name, folder);
  if (found !== undefined) return found;
  throw new InputError(
    'CONFIG_NOT_FOUND',
    `There is no configuration "${name}". Looked at: ${tried.join(', ')}. Give a path, or the name of a file in the working folder or among those that come with affectgpt.`,
  );
}

/**
 * Validates configuration keys that are already in memory.
 * @throws InputError `CONFIG_INVALID`
 */
export function parseConfig(values: Plain, label = 'configuration'): Config {
  return validate([{ values, label, packaged: false, lineOf: () => undefined }], label).config;
}

function validate(layers: readonly Layer[], label: string): { config: Config; merged: Plain } {
  const merged = layers.reduce<Plain>((base, layer) => mergeLayers(base, layer.values), {});
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success) {
    throw configInvalid(schemaProblems(parsed.error.issues, merged, layers), label);
  }
  return { config: parsed.data, merged };
}

/** Files that one configuration may be made of, each counted as often as it is extended; and names in a list. */
const MAX_FILES = 64;

/** A file and all that it extends, the most basic first. */
export function readChain(first: string, folder: string): { layers: Layer[]; problems: Problem[] } {
  const problems: Problem[] = [];
  let files = 0;
  /** @param seen what extends this file, and what extends that, the outermost first */
  const layersOf = (file: string, seen: readonly string[]): Layer[] => {
    files++;
    const label = labelOf(file, folder);
    const { text, problem } = readConfigText(file);
    if (problem !== undefined) problems.push({ where: label, message: problem });
    const { layer, problems: found } = parseLayer(text, label);
    problems.push(...found);
    const { extends: parents, ...values } = layer.values;
    const own: Layer = { ...layer, values, packaged: isPackaged(file) };
    if (!Object.hasOwn(layer.values, 'extends')) return [own];
    const refuse = (message: string): Layer[] => {
      const where = `${layer.label}:${layer.lineOf(['extends'])}`;
      problems.push({ where, message: `extends: ${message}` });
      return [];
    };
    const names = namesOf(parents);
    if (names === undefined) {
      return refuse('expected the name of a configuration file or of a preset, or a list of such names');
    }
    const inherited = names.flatMap((name): Layer[] => {
      if (isPresetName(name)) {
        const preset = readPreset(name);
        return preset.problem === undefined ? [presetLayer(name, preset.values)] : refuse(preset.problem);
      }
      const next = nextInChain(name, path.dirname(file), [...seen, file], folder);
      if (next.file === undefined) return refuse(next.problem);
      // Files that each extend the next twice would be read more often than there is time for.
      if (files === MAX_FILES) {
        files++;
        return refuse(`more than ${MAX_FILES} files`);
      }
      if (files > MAX_FILES) return [];
      return layersOf(next.file, [...seen, file]);
    });
    return [...inherited, own];
  };
  return { layers: layersOf(first, []), problems };
}

/** One name, or a list of them, not too long; undefined where it is neither. */
function namesOf(value: unknown): readonly string[] | undefined {
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isName = (name: unknown): name is string => typeof name === 'string' && name !== '';
  return names.length > 0 && names.length <= MAX_FILES && names.every(isName) ? names : undefined;
}

const presetLayer = (label: string, values: Plain): Layer => ({
  ...{ values, label, packaged: true, lineOf: () => undefined },
});

/** A file's text, or why it is not read. */
export function readConfigText(file: string): { text: string; problem?: string } {
  const { size } = statSync(file);
  if (size > MAX_CONFIG_LENGTH) {
    return { text: '', problem: `has ${size} bytes; a configuration has at most ${MAX_CONFIG_LENGTH}` };
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)) };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { text: '', problem: 'is not UTF-8 text; convert it to UTF-8' };
  }
}

function nextInChain(
  parent: string,
  from: string,
  seen: readonly string[],
  folder: string,
): { file: string } | { file?: undefined; problem: string } {
  const { found, tried } = findFile(parent, from);
  if (found === undefined) {
    const meant = presetMeant(parent);
    const hint = meant === undefined ? '' : `; did you mean the preset "${meant}"?`;
    return { problem: `there is no "${parent}"; looked at ${tried.join(', ')}${hint}` };
  }
  if (seen.includes(found)) {
    const circle = [...seen.slice(seen.indexOf(found)), found].map((file) => labelOf(file, folder));
    return { problem: `the files extend each other in a circle: ${circle.join(' -> ')}` };
  }
  return { file: found };
}

function packagedFolder(): string {
  return path.join(packageFolder(), 'configs');
}

function isPackaged(file: string): boolean {
  return path.dirname(file) === packagedFolder();
}

/** Looks for a configuration in a folder, then among those of the package; `.yaml` may be left out. */
function findFile(name: string, folder: string): { found?: string; tried: string[] } {
  const folders = path.isAbsolute(name) ? [folder] : [...new Set([folder, packagedFolder()])];
  const names = /\.ya?ml$/.test(name) ? [name] : [name, `${name}.yaml`];
  const tried = folders.flatMap((one) => names.map((file) => path.resolve(one, file)));
  const found = tried.find(isFile);
  return found === undefined ? { tried } : { found, tried };
}

function isFile(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    // No file can have such a name: it is too long, or holds a zero byte.
    return false;
  }
}

/** A path as a reader of errors wants it: relative when below the working folder. */
export function labelOf(file: string, folder: string): string {
  const relative = path.relative(folder, file);
  return relative.startsWith('..') || path.isAbsolute(relative) ? file : relative;
}

function leavesOf(value: Plain, prefix: readonly string[] = []): string[][] {
  return Object.entries(value).flatMap(([key, inner]) =>
    isPlain(inner) ? leavesOf(inner, [...prefix, key]) : [[...prefix, key]],
  );
}
