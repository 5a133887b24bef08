import {
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
} from 'yaml';
import { isPresetName, readPreset } from './presets/presets.ts';

/** A map of configuration keys as read, not validated. */
export type Plain = Record<string, unknown>;

/** One source of configuration keys: a file, or one `--set`. */
export interface Layer {
  readonly values: Plain;
  /** As named in errors: a file's path, or `--set a.b=c`. */
  readonly label: string;
  /** Whether it is a file that comes with the package, not one of the user's. */
  readonly packaged: boolean;
  /** Line of a key in a file, or of the nearest key above it; undefined for `--set` and for merged keys. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/** One thing that is wrong, and where. */
export interface Problem {
  /** `file`, `file:line`, or `--set a.b=c`. */
  readonly where: string;
  readonly message: string;
}

export function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Aliases that one file may expand to; a file of nested aliases must not fill the memory. */
const MAX_ALIASES = 100;
const REFUSED_KEY = '__proto__';
/** Maps and lists in one another; configurations need five. */
const MAX_DEPTH = 32;
/** Longest text of a file or of one `--set`, in characters; configurations have a few thousand. */
export const MAX_CONFIG_LENGTH = 1024 * 1024;
/** Faults of one text that are told. */
const FAULTS_SHOWN = 20;

/** What a text is refused for before it is given to the YAML reader, whose calls nest as the text does. */
function refusedUnread(text: string): string | undefined {
  if (text.length > MAX_CONFIG_LENGTH) {
    return `has ${text.length} characters; a configuration has at most ${MAX_CONFIG_LENGTH}`;
  }
  // Without regard to quotes and comments: no sound configuration comes near to this.
  let open = 0;
  for (const character of text) {
    if (character === '[' || character === '{') open++;
    else if (character === ']' || character === '}') open--;
    if (open > 8 * MAX_DEPTH) return tooDeep;
  }
  return /(?:[-?:][ \t]+){64}/.test(text) ? tooDeep : undefined;
}

const tooDeep = `maps and lists are nested more than ${MAX_DEPTH} deep`;

/** Whether maps and lists in one another go deeper than they may, as they do where one holds itself. */
function isTooDeep(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth > MAX_DEPTH || Object.values(value).some((inner) => isTooDeep(inner, depth + 1));
}

/** Reads YAML text that must hold a map (or nothing). Every fault of the text is reported. */
export function parseLayer(text: string, label: string): { layer: Layer; problems: Problem[] } {
  const empty: Layer = { values: {}, label, packaged: false, lineOf: () => undefined };
  const refused = refusedUnread(text);
  if (refused !== undefined) return { layer: empty, problems: [{ where: label, message: refused }] };
  try {
    return parseText(text, label);
  } catch (error) {
    // Nesting of another kind that used up the stack.
    if (!(error instanceof RangeError)) throw error;
    return { layer: empty, problems: [{ where: label, message: tooDeep }] };
  }
}

function parseText(text: string, label: string): { layer: Layer; problems: Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  const at = (offset: number | undefined) =>
    offset === undefined ? label : `${label}:${lines.linePos(offset).line}`;
  const problems: Problem[] = [...document.errors, ...document.warnings]
    .slice(0, FAULTS_SHOWN)
    .map((error) => ({ where: at(error.pos[0]), message: `not valid YAML: ${error.message}` }));
  visit(document, {
    Pair(_, pair) {
      const key = isAlias(pair.key) ? pair.key.resolve(document) : pair.key;
      if (isScalar(key) && key.value === REFUSED_KEY) {
        const { range } = pair.key as Node;
        problems.push({ where: at(range?.[0]), message: `the key "${REFUSED_KEY}" is not allowed` });
      }
    },
  });
  let values: Plain = {};
  if (problems.length === 0) {
    try {
      const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
      if (isTooDeep(value)) problems.push({ where: label, message: tooDeep });
      else if (isPlain(value)) values = value;
      else if (value !== null && value !== undefined) {
        problems.push({ where: at(0), message: `expected a map of keys, found ${inWords(value)}` });
      }
    } catch (error) {
      // The reader throws plain errors for faults of aliases and merge keys.
      if (!(error instanceof Error) || error instanceof RangeError) throw error;
      problems.push({ where: label, message: `not valid YAML: ${error.message}` });
    }
  }
  const lineOf = (path: readonly PropertyKey[]) => {
    const offset = offsetOf(document.contents, path, (node) =>
      isAlias(node) ? node.resolve(document) : node,
    );
    return offset === undefined ? undefined : lines.linePos(offset).line;
  };
  return { layer: { values, label, packaged: false, lineOf }, problems };
}

/** Reads one `--set a.b=c`, whose value is YAML; `--set extends=PRESET` gives all keys of a preset. */
export function parseSet(assignment: string): { layer: Layer; problems: Problem[] } {
  const label = `--set ${assignment.length > 200 ? `${assignment.slice(0, 200)}…` : assignment}`;
  const empty: Layer = { values: {}, label, packaged: false, lineOf: () => undefined };
  const fail = (message: string) => ({ layer: empty, problems: [{ where: label, message }] });
  const split = assignment.indexOf('=');
  const path = assignment.slice(0, Math.max(0, split)).trim().split('.');
  if (split < 1 || path.some((key) => key === '')) {
    return fail('expected KEY=VALUE with a dotted key, such as train.optimizer.lr=2e-5');
  }
  if (path.length > MAX_DEPTH) return fail(tooDeep);
  if (path.includes(REFUSED_KEY)) return fail(`the key "${REFUSED_KEY}" is not allowed`);
  // The value is read as the value of a key, so that it obeys the same limits as a file.
  const { layer, problems } = parseLayer(`value: ${assignment.slice(split + 1)}`, label);
  if (problems.length > 0)
    return { layer: empty, problems: problems.map(({ message }) => ({ where: label, message })) };
  if (Object.keys(layer.values).length > 1) return fail('expected one value after "="');
  if (path.length === 1 && path[0] === 'extends') {
    const name = layer.values.value;
    if (typeof name !== 'string' || !isPresetName(name)) {
      return fail(
        'extends: expected the name of a preset, such as paper:qwen2-7b/mintrec; a file is extended in a file',
      );
    }
    const preset = readPreset(name);
    return preset.problem === undefined
      ? { layer: { ...empty, values: preset.values }, problems: [] }
      : fail(`extends: ${preset.problem}`);
  }
  const values = path.reduceRight<unknown>(
    (value, key) => ({ [key]: value }),
    layer.values.value ?? null,
  ) as Plain;
  return { layer: { ...empty, values }, problems: [] };
}

/** Offset of the deepest key of `path` that is written in the text. */
function offsetOf(
  root: ParsedNode | Node | null,
  path: readonly PropertyKey[],
  resolve: (node: Node) => Node | undefined,
): number | undefined {
  let node: Node | undefined = root === null ? undefined : (resolve(root as Node) ?? undefined);
  let offset: number | undefined;
  for (const name of path) {
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(name));
    if (pair === undefined) break;
    offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
    node = pair.value === null ? undefined : resolve(pair.value as Node);
  }
  return offset;
}

/** A short rendering of a value for an error. */
export function inWords(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isPlain(value)) return 'a map';
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
