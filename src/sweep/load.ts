import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Layer, type Plain, type Problem, parseLayer, parseSet } from '../config/layer.ts';
import { existingFile, labelOf, readChain, readConfigText } from '../config/load.ts';
import { mergeLayers } from '../config/merge.ts';
import { schemaProblems } from '../config/problems.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { parseSweepFile, type SweepFile, sweepInvalid, sweepKeys } from '../config/sweep.ts';
import { firstOf, InputError } from '../errors.ts';
import {
  type Axis,
  axesOf,
  type Cells,
  type Combination,
  combine,
  type Locate,
  matches,
  partialProblems,
} from './axes.ts';
import { checkPoints, equalsBase } from './check-points.ts';
import { type Metric, metricOf, metricProblems } from './metric-names.ts';
import { pointId } from './point-id.ts';
import { publishedProblems } from './published-names.ts';

/** One training of a sweep. */
export interface SweepPoint {
  /** Name of its folder; see `pointId`. */
  readonly id: string;
  /** The same without the seed: points that differ in the seed alone have it in common. */
  readonly setting: string;
  readonly cells: Cells;
  readonly seed: number;
  /** Its run folder. */
  readonly folder: string;
  readonly config: Config;
  /** Dotted keys that the sweep gave it. */
  readonly given: readonly string[];
}

/** A sweep file with all its points, each of them valid. */
export interface Sweep {
  readonly file: SweepFile;
  /** For messages. */
  readonly label: string;
  /** As it was read, with what `--set` changed as comments at its end. */
  readonly text: string;
  readonly output: string;
  readonly axes: readonly Axis[];
  readonly points: readonly SweepPoint[];
  /** Settings in the order of the points; the first of `metrics` is the main one. */
  readonly settings: readonly { readonly id: string; readonly cells: Cells }[];
  readonly metrics: readonly Metric[];
  /** The setting that the others are compared with. */
  readonly compare: string;
  /** Whether points have seeds of their own, beyond that of the base. */
  readonly hasSeeds: boolean;
}

export interface SweepRequest {
  /** `--config`: found as a configuration is. */
  readonly config: string;
  /** `--set`: a key of the sweep file (`output`, `seeds`, …) or a configuration key for all points. */
  readonly set?: readonly string[];
  /** The working folder; the process's own unless given. */
  readonly folder?: string;
}

/** Where the points of a sweep lie. */
export const pointsFolder = (output: string): string => path.join(output, 'points');

/** A layer of dotted keys. */
function dottedLayer(
  entries: Readonly<Record<string, unknown>>,
  label: string,
  lineOf: (key: string) => number | undefined,
): Layer {
  const keys = Object.keys(entries);
  const values = keys.reduce<Plain>(
    (all, key) =>
      mergeLayers(
        all,
        key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), entries[key]) as Plain,
      ),
    {},
  );
  return {
    values,
    label,
    packaged: false,
    lineOf: (at) => {
      const dotted = at.join('.');
      const key = keys.find(
        (one) => one === dotted || dotted.startsWith(`${one}.`) || one.startsWith(`${dotted}.`),
      );
      return key === undefined ? undefined : lineOf(key);
    },
  };
}

/** Divides `--set` into keys of the sweep file and configuration keys. */
function splitSet(set: readonly string[]) {
  const problems: Problem[] = [];
  const own: Plain = {};
  const layers: Layer[] = [];
  for (const assignment of set) {
    const { layer, problems: found } = parseSet(assignment);
    problems.push(...found);
    const [key] = Object.keys(layer.values);
    if (key !== undefined && sweepKeys.includes(key)) own[key] = layer.values[key];
    else layers.push(layer);
  }
  return { own, layers, problems };
}

/** A configuration that lies beside the sweep file, or is found as `--config` is. @throws InputError `CONFIG_NOT_FOUND` */
function baseFile(base: string, sweepFile: string, folder: string): string {
  const beside = path.resolve(path.dirname(sweepFile), base);
  const found = [beside, `${beside}.yaml`].find((file) => /\.ya?ml$/.test(file) && existsSync(file));
  return found ?? existingFile(base, folder);
}

/**
 * Reads a sweep file, makes its points and validates each: whatever is wrong, of the file or of any point, is said at
 * once.
 *
 * @throws InputError `CONFIG_NOT_FOUND`, `SWEEP_INVALID`
 */
export function loadSweep({ config: name, set = [], folder: given = '.' }: SweepRequest): Sweep {
  const folder = path.resolve(given);
  const sweepPath = existingFile(name, folder);
  const label = labelOf(sweepPath, folder);
  const { text, problem } = readConfigText(sweepPath);
  const { layer, problems: faults } = parseLayer(text, label);
  const { own, layers: setLayers, problems: setFaults } = splitSet(set);
  const locate: Locate = (at) => {
    const line = layer.lineOf(at);
    return line === undefined ? label : `${label}:${line}`;
  };
  const problems: Problem[] = [
    ...(problem === undefined ? [] : [{ where: label, message: problem }]),
    ...faults,
    ...setFaults,
  ];
  // What no reader of YAML understands has no keys to be checked.
  if (problems.length > 0) throw sweepInvalid(problems, label);
  const { file, problems: wrongKeys } = parseSweepFile({ ...layer.values, ...own }, locate);
  if (file === undefined) throw sweepInvalid(wrongKeys, label);

  const { axes, problems: wrongAxes } = axesOf(file, locate);
  problems.push(...wrongAxes, ...metricProblems(file, locate(['metric'])));
  problems.push(...publishedProblems(file.published, locate(['published'])));
  for (const [i, one] of file.exclude.entries()) {
    problems.push(...partialProblems(one, axes, `exclude.${i}`, locate(['exclude'])));
  }
  if (file.compare !== null) {
    problems.push(...partialProblems(file.compare, axes, 'compare', locate(['compare'])));
  }
  if (new Set(file.seeds).size !== file.seeds.length) {
    problems.push({ where: locate(['seeds']), message: 'seeds: a seed is named twice' });
  }
  if (axes.length === 0 && file.seeds.length === 0) {
    problems.push({ where: label, message: 'nothing varies; give grid, zip or seeds' });
  }
  const base = readChain(baseFile(file.base, sweepPath, folder), folder);
  problems.push(...base.problems);
  if (problems.length > 0) throw sweepInvalid(problems, label);

  const combinations = combine(axes, file.exclude);
  if (combinations.length === 0) {
    throw sweepInvalid([{ where: locate(['exclude']), message: 'exclude leaves no point' }], label);
  }
  const common = [
    ...base.layers,
    dottedLayer(file.set, label, (key) => layer.lineOf(['set', key])),
    ...setLayers,
  ];
  const made = makePoints({ file, axes, combinations, common, label, lineOf: layer.lineOf, setLayers });
  const { points, problems: wrongPoints } = made;
  problems.push(...wrongPoints);
  if (problems.length === 0) problems.push(...checkPoints(points, axes, file.metric, locate));
  const settings = [
    ...new Map(points.map(({ setting, cells }) => [setting, { id: setting, cells }])).values(),
  ];
  const compared = settings.filter(({ cells }) => file.compare !== null && matches(cells, file.compare));
  if (file.compare !== null && compared.length !== 1 && problems.length === 0) {
    const found = compared.length === 0 ? 'no point has these values' : `${compared.length} points have them`;
    problems.push({
      where: locate(['compare']),
      message: `compare: ${found}; give values of every axis, of a point that is not excluded`,
    });
  }
  if (problems.length > 0) throw sweepInvalid(problems, label);
  const changed = set.length === 0 ? '' : `# --set ${set.join('\n# --set ')}\n`;
  const published = equalsBase(points, common);
  return {
    ...{ file, label, output: file.output, axes, points, settings },
    text: `${text}${text.endsWith('\n') ? '' : '\n'}${changed}`,
    metrics: [file.metric].flat().map(metricOf),
    compare: (compared[0]?.id ?? published ?? settings[0]?.id)!,
    hasSeeds: file.seeds.length > 0,
  };
}

/** All points with their seeds, as far as they are valid, and what is wrong with the others. */
function makePoints(options: {
  readonly file: SweepFile;
  readonly axes: readonly Axis[];
  readonly combinations: readonly Combination[];
  readonly common: readonly Layer[];
  readonly setLayers: readonly Layer[];
  readonly label: string;
  readonly lineOf: Layer['lineOf'];
}): { points: SweepPoint[]; problems: Problem[] } {
  const { file, axes, combinations, common, setLayers, label, lineOf } = options;
  const points: SweepPoint[] = [];
  /** Which points have it, by problem. */
  const wrong = new Map<string, { problem: Problem; ids: string[] }>();
  const seedIsAxis = axes.some(({ values }) => values.some(({ set }) => Object.hasOwn(set, 'train.seed')));
  const ownKeys = [...Object.keys(file.set), ...(file.seeds.length > 0 ? ['train.seed'] : [])];
  for (const { cells, values } of combinations) {
    for (const seed of file.seeds.length > 0 ? file.seeds : [undefined]) {
      const layers = [
        ...common,
        ...values.map((value, i) => dottedLayer(value.set, label, () => lineOf(axes[i]!.path))),
        ...(seed === undefined ? [] : [dottedLayer({ 'train.seed': seed }, label, () => lineOf(['seeds']))]),
        dottedLayer({ output: pointsFolder(file.output) }, label, () => lineOf(['output'])),
      ];
      const merged = layers.reduce<Plain>((all, layer) => mergeLayers(all, layer.values), {});
      const parsed = configSchema.safeParse(merged);
      if (!parsed.success) {
        const id = pointId({ ...cells, ...(seed !== undefined && { seed }) });
        for (const problem of schemaProblems(parsed.error.issues, merged, layers)) {
          const key = `${problem.where} ${problem.message}`;
          const known = wrong.get(key) ?? { problem, ids: [] };
          known.ids.push(id);
          wrong.set(key, known);
        }
        continue;
      }
      const config = parsed.data;
      const setting = pointId(cells);
      const id = seedIsAxis ? setting : pointId({ ...cells, seed: config.train.seed });
      const folder = path.join(pointsFolder(file.output), id);
      points.push({
        ...{ id, setting, cells, folder, seed: config.train.seed },
        config: { ...config, output: folder },
        given: [...ownKeys, ...values.flatMap((value) => Object.keys(value.set)), ...keysOf(setLayers)],
      });
    }
  }
  const count = combinations.length * Math.max(file.seeds.length, 1);
  return { points, problems: [...wrong.values()].map(({ problem, ids }) => withPoints(problem, ids, count)) };
}

const pointsNamed = 4;

/** Adds which points have a problem, unless all do. */
function withPoints(problem: Problem, ids: readonly string[], count: number): Problem {
  const named = firstOf(ids, pointsNamed, '; ');
  const which =
    ids.length === count
      ? count === 1
        ? `point ${named}`
        : `all ${count} points`
      : `of ${count} points: ${named}`;
  return { ...problem, message: `${problem.message} (${which})` };
}

/** Dotted keys of layers. */
function keysOf(layers: readonly Layer[]): string[] {
  const leaves = (value: Plain, prefix: string): string[] =>
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? leaves(inner as Plain, `${prefix}${key}.`)
        : [`${prefix}${key}`],
    );
  return layers.flatMap(({ values }) => leaves(values, ''));
}

/** @throws InputError `SWEEP_POINT_UNKNOWN` with names that are no points and match none */
export function selectPoints(sweep: Sweep, patterns: readonly string[]): readonly SweepPoint[] {
  if (patterns.length === 0) return sweep.points;
  const tests = patterns.map((pattern) => ({ pattern, test: globTest(pattern) }));
  const empty = tests.filter(({ test }) => !sweep.points.some(({ id }) => test(id)));
  if (empty.length > 0) {
    const names = empty.map(({ pattern }) => `"${pattern}"`).join(', ');
    throw new InputError(
      'SWEEP_POINT_UNKNOWN',
      `${names}: no point of ${sweep.label} is named like that. --dry-run --shapes-only lists them; * stands for any signs.`,
    );
  }
  return sweep.points.filter(({ id }) => tests.some(({ test }) => test(id)));
}

/** A whole name, with `*` for any signs and `?` for one. */
function globTest(pattern: string): (id: string) => boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`);
  return (id) => expression.test(id);
}
