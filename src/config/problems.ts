import type { z } from 'zod';
import { InputError } from '../errors.ts';
import { inWords, isPlain, type Layer, type Plain, type Problem } from './layer.ts';
import { configKeys } from './outline.ts';
import { suggest } from './suggest.ts';

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

/** One error that lists every problem. @returns InputError `CONFIG_INVALID` */
export function configInvalid(problems: readonly Problem[], label: string): InputError {
  const lines = problems.map(({ where, message }) => `  ${where}  ${message}`);
  const errors = problems.length === 1 ? '1 error' : `${problems.length} errors`;
  return new InputError(
    'CONFIG_INVALID',
    `The configuration ${label} is not valid (${errors}):\n${lines.join('\n')}`,
  );
}

/** Turns what the schema found into problems that name file, line, key, what was found and what was expected. */
export function schemaProblems(issues: readonly Issue[], merged: Plain, layers: readonly Layer[]): Problem[] {
  const problems = issues.flatMap((issue) => {
    const { path, issues: inner } = intoUnion(issue, merged);
    return inner.flatMap((one) => describeIssue(one, [...path, ...one.path], merged, layers));
  });
  return problems.sort((left, right) => left.where.localeCompare(right.where, 'en', { numeric: true }));
}

/** Of a choice between types, the branch that fits the kind of value given. */
function intoUnion(issue: Issue, merged: Plain): { path: Path; issues: readonly Issue[] } {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return { path: [], issues: [issue] };
  const isMap = isPlain(valueAt(merged, issue.path));
  const branch = issue.errors.find((errors) =>
    errors.some((error) => error.path.length > 0 || error.code === 'unrecognized_keys'),
  );
  if (isMap && branch !== undefined) return { path: issue.path, issues: branch };
  return { path: [], issues: [issue] };
}

/** YAML reads `{MELD:2}` as a key without a value. */
const colonHint = (key: string): string | undefined =>
  /^\w[^:{}]*:[^:{}]+$/.test(key) ? '; a value stands behind a colon and a space: {key: value}' : undefined;

function describeIssue(issue: Issue, path: Path, merged: Plain, layers: readonly Layer[]): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      where: whereIs([...path, key], layers).where,
      message: `${[...path, key].join('.')}: unknown key${colonHint(key) ?? didYouMeanKey(path.join('.'), key)}`,
    }));
  }
  const key = path.join('.') || 'configuration';
  return [
    { where: whereIs(path, layers).where, message: `${key}: ${explain(issue, valueAt(merged, path), key)}` },
  ];
}

function explain(issue: Issue, value: unknown, key: string): string {
  if (issue.code === 'custom') return issue.message;
  const type = typeOf(key);
  if (type === undefined) return `${issue.message}; found ${inWords(value)}`;
  const expected = type.replaceAll('`', '"');
  if (value === undefined) return `missing; expected ${expected}`;
  const choices = [...type.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
  const meant = typeof value === 'string' ? suggest(value, choices) : undefined;
  return `expected ${expected}; found ${inWords(value)}${meant === undefined ? '' : `, did you mean "${meant}"?`}`;
}

/** Accepted values in words, of a key or of an element of a list (`lora.targets.1`). */
function typeOf(key: string): string | undefined {
  const type = configKeys().find((one) => one.path === key)?.type;
  if (type !== undefined || !/\.\d+$/.test(key)) return type;
  return typeOf(key.replace(/\.\d+$/, ''))?.replace(/^list of (\d+: )?/, '');
}

/** A neighbour that is spelled alike, or else the same word elsewhere in the configuration. */
function didYouMeanKey(section: string, key: string): string {
  const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('.')));
  const nameOf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  const paths = configKeys().map((one) => one.path);
  const siblings = paths.filter((path) => parentOf(path) === section).map(nameOf);
  const meant =
    suggest(key, siblings) ?? paths.find((path) => nameOf(path).toLowerCase() === key.toLowerCase());
  if (meant !== undefined) return `; did you mean "${meant}"?`;
  return siblings.length === 0 ? '' : `; known here: ${siblings.join(', ')}`;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => {
    if (Array.isArray(inner)) return inner[Number(key)];
    return isPlain(inner) && Object.hasOwn(inner, key) ? inner[String(key)] : undefined;
  }, value);
}

/** Where a key was last given (`file:line` or `--set …`), and by what; of a key nobody gave, its nearest parent. */
export function whereIs(path: Path, layers: readonly Layer[]): { where: string; layer?: Layer } {
  for (let length = path.length; length > 0; length--) {
    const prefix = path.slice(0, length);
    const layer = layers.findLast(({ values }) => valueAt(values, prefix) !== undefined);
    if (layer !== undefined) {
      const line = layer.lineOf(prefix);
      return { layer, where: line === undefined ? layer.label : `${layer.label}:${line}` };
    }
  }
  return { where: layers.findLast(({ label }) => !label.startsWith('--set '))?.label ?? 'configuration' };
}
