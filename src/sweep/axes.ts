import { isDeepStrictEqual } from 'node:util';
import { isPlain, type Problem } from '../config/layer.ts';
import type { SweepFile } from '../config/sweep.ts';
import { valueText } from './point-id.ts';

/** What a point has by column of the tables: the value of a key, or the label of several. */
export type Cells = Readonly<Record<string, unknown>>;

/** One value of an axis. */
export interface AxisValue {
  readonly cells: Cells;
  /** Dotted configuration keys that it sets. */
  readonly set: Readonly<Record<string, unknown>>;
}

/** What varies: a key, several keys that move together, or labelled groups of keys. */
export interface Axis {
  /** For messages: its columns. */
  readonly name: string;
  /** Columns of its values in the tables. */
  readonly columns: readonly string[];
  readonly values: readonly AxisValue[];
  /** Where it stands in the sweep file. */
  readonly path: readonly PropertyKey[];
}

/** What every axis has chosen: a point without its seed. */
export interface Combination {
  readonly cells: Cells;
  /** By axis. */
  readonly values: readonly AxisValue[];
}

export type Locate = (path: readonly PropertyKey[]) => string;

const isLabelled = (value: unknown): value is { label: unknown; set: unknown } =>
  isPlain(value) && Object.hasOwn(value, 'label');

/** A labelled value, or what is wrong with it. */
function labelledValue(axis: string, value: { label: unknown; set: unknown }): AxisValue | string {
  const { label, set, ...rest } = value;
  const others = Object.keys(rest);
  if (typeof label !== 'string' || label === '') return 'a label has to be text';
  if (others.length > 0) return `"${label}" has the unknown key "${others[0]}"; known are label, set`;
  if (!isPlain(set) || Object.keys(set).length === 0)
    return `"${label}" sets nothing; expected set: {key: value, …}`;
  return { cells: { [axis]: label }, set };
}

/** The axes of a sweep file in its order, those of `grid` first, and what is wrong with them. */
export function axesOf(file: SweepFile, locate: Locate): { axes: Axis[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const axes: Axis[] = [];
  for (const [name, list] of Object.entries(file.grid)) {
    const path = ['grid', name];
    const values = list.map((value) =>
      isLabelled(value) ? labelledValue(name, value) : { cells: { [name]: value }, set: { [name]: value } },
    );
    for (const fault of values.filter((value) => typeof value === 'string')) {
      problems.push({ where: locate(path), message: `grid.${name}: ${fault}` });
    }
    axes.push({ name, columns: [name], path, values: values.filter((value) => typeof value !== 'string') });
  }
  for (const [i, item] of file.zip.entries()) {
    const path = ['zip', i];
    const columns = Object.keys(item);
    const lengths = new Set(Object.values(item).map((list) => list.length));
    if (lengths.size !== 1) {
      const found = columns.map((key) => `${key} has ${item[key]!.length}`).join(', ');
      const fault = columns.length === 0 ? 'names no key' : `needs lists of equal length, but ${found}`;
      problems.push({ where: locate(path), message: `zip.${i}: ${fault}` });
      continue;
    }
    const values = Array.from({ length: [...lengths][0]! }, (_, at): AxisValue => {
      const cells = Object.fromEntries(columns.map((key) => [key, item[key]![at]]));
      return { cells, set: cells };
    });
    axes.push({ name: columns.join(' + '), columns, path, values });
  }
  problems.push(...overlapProblems(file, axes, locate), ...repeatedValues(axes, locate));
  return { axes, problems };
}

const overlaps = (a: string, b: string): boolean => a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);

/** Keys that several axes, or `set` and an axis, would set; and those that a sweep sets itself. */
function overlapProblems(file: SweepFile, axes: readonly Axis[], locate: Locate): Problem[] {
  const problems: Problem[] = [];
  const keysOf = (axis: Axis) => [...new Set(axis.values.flatMap(({ set }) => Object.keys(set)))];
  const setters = [
    { name: 'set', path: ['set'] as PropertyKey[], keys: Object.keys(file.set) },
    ...(file.seeds.length > 0 ? [{ name: 'seeds', path: ['seeds'], keys: ['train.seed'] }] : []),
    ...axes.map((axis) => ({ name: axis.name, path: axis.path, keys: keysOf(axis) })),
  ];
  for (const [i, { name, path, keys }] of setters.entries()) {
    for (const key of keys) {
      if (overlaps(key, 'output')) {
        problems.push({
          where: locate(path),
          message: `${name}: "${key}" is not to be set; every point has its folder below the output of the sweep`,
        });
      }
      const other = setters.slice(0, i).find((one) => one.keys.some((theirs) => overlaps(theirs, key)));
      if (other !== undefined) {
        problems.push({
          where: locate(path),
          message: `${key} is set by ${name} and by ${other.name}; keep one`,
        });
      }
    }
  }
  const columns = axes.flatMap((axis) => axis.columns.map((column) => ({ column, axis })));
  for (const [i, { column, axis }] of columns.entries()) {
    if (column === 'seed')
      problems.push({ where: locate(axis.path), message: '"seed" is a column of its own; use seeds' });
    if (columns.slice(0, i).some((other) => other.column === column)) {
      problems.push({ where: locate(axis.path), message: `${column} is an axis twice; keep one` });
    }
  }
  return problems;
}

function repeatedValues(axes: readonly Axis[], locate: Locate): Problem[] {
  return axes.flatMap(({ name, values, path }) => {
    const repeated = values.filter((value, i) =>
      values.slice(0, i).some((other) => isDeepStrictEqual(other.cells, value.cells)),
    );
    return repeated.map(({ cells }) => ({
      where: locate(path),
      message: `${name}: ${Object.values(cells).map(valueText).join(', ')} is named twice`,
    }));
  });
}

/** Whether a point has all the values of a partial one. */
export const matches = (cells: Cells, wanted: Cells): boolean =>
  Object.entries(wanted).every(
    ([column, value]) => Object.hasOwn(cells, column) && isDeepStrictEqual(cells[column], value),
  );

/** What is wrong with a partial point: columns and values that no axis has. */
export function partialProblems(wanted: Cells, axes: readonly Axis[], key: string, where: string): Problem[] {
  return Object.entries(wanted).flatMap(([column, value]) => {
    const axis = axes.find(({ columns }) => columns.includes(column));
    if (axis === undefined) {
      const known = axes.flatMap(({ columns }) => columns).join(', ');
      return [{ where, message: `${key}: "${column}" is no axis; there are: ${known}` }];
    }
    if (axis.values.some(({ cells }) => isDeepStrictEqual(cells[column], value))) return [];
    const known = axis.values.map(({ cells }) => valueText(cells[column])).join(', ');
    return [{ where, message: `${key}: ${column} is never ${valueText(value)}; its values are ${known}` }];
  });
}

/** All combinations of the values of all axes but the excluded ones; the last axis changes fastest. */
export function combine(axes: readonly Axis[], exclude: readonly Cells[]): Combination[] {
  let combinations: Combination[] = [{ cells: {}, values: [] }];
  for (const { values } of axes) {
    combinations = combinations.flatMap((one) =>
      values.map((value) => ({
        cells: { ...one.cells, ...value.cells },
        values: [...one.values, value],
      })),
    );
  }
  return combinations.filter(({ cells }) => !exclude.some((wanted) => matches(cells, wanted)));
}
