import type { Layer, Plain, Problem } from '../config/layer.ts';
import { mergeLayers } from '../config/merge.ts';
import { configSchema } from '../config/schema.ts';
import type { MetricName } from '../config/sweep.ts';
import { VALIDATION_METRICS } from '../config/validation.ts';
import type { Axis, Locate } from './axes.ts';
import { effectiveConfig } from './effective.ts';
import type { SweepPoint } from './load.ts';
import { metricOf } from './metric-names.ts';
import { valueText } from './point-id.ts';

/** What is wrong with points that are valid by themselves: axes that change nothing, points that are the same. */
export function checkPoints(
  points: readonly SweepPoint[],
  axes: readonly Axis[],
  metric: MetricName | readonly MetricName[],
  locate: Locate,
): Problem[] {
  const effective = new Map(points.map((point) => [point, effectiveConfig(point.config)]));
  const idle = axes.filter((axis) => changesNothing(axis, points, effective));
  const problems = idle.map(
    (axis): Problem => ({
      where: locate(axis.path),
      message: `${axis.name} changes nothing: with ${listed(axis)} the same is trained${whyIdle(axis)}`,
    }),
  );
  const idleColumns = new Set(idle.flatMap(({ columns }) => columns));
  const isTold = (a: SweepPoint, b: SweepPoint) =>
    idle.length > 0 && differing(a, b).some((column) => idleColumns.has(column));
  const first = new Map<string, SweepPoint>();
  const ids = new Map<string, SweepPoint>();
  for (const point of points) {
    const same = first.get(effective.get(point)!);
    if (same === undefined) first.set(effective.get(point)!, point);
    else if (!isTold(point, same)) {
      problems.push({
        where: locate(['grid']),
        message: `the points ${same.id} and ${point.id} are the same training; put one of them under exclude, or make them differ`,
      });
    }
    // Some file systems do not tell capitals apart.
    const alike = ids.get(point.id.toLowerCase());
    if (alike !== undefined && alike !== same) {
      problems.push({
        where: locate(['grid']),
        message: `two points would be named ${point.id}; give their values labels that differ`,
      });
    }
    ids.set(point.id.toLowerCase(), point);
  }
  return [...problems, ...unavailable(points, metric, locate(['metric']))];
}

const differing = (a: SweepPoint, b: SweepPoint): string[] =>
  Object.keys(a.cells).filter(
    (column) => JSON.stringify(a.cells[column]) !== JSON.stringify(b.cells[column]),
  );

const listed = ({ values }: Axis): string =>
  values.map(({ cells }) => Object.values(cells).map(valueText).join(', ')).join(' | ');

function whyIdle({ columns }: Axis): string {
  const reasons: readonly (readonly [RegExp, string])[] = [
    [/^lora\b/, 'the adapters are not used unless train.parts.decoder is "lora"'],
    [/^fusion\.(multi|queryTokens\.multi)/, 'model.inputs has no pre-fused vector'],
    [/^(model\.audioEncoder|fusion\.audio)/, 'model.inputs needs no sound'],
    [/^(model\.visualEncoder|model\.frames|fusion\.video)/, 'model.inputs needs no pictures'],
    [/^data\.root/, 'data.manifest is given'],
  ];
  const found = reasons.find(([pattern]) => columns.some((column) => pattern.test(column)));
  return found === undefined ? '' : ` (${found[1]})`;
}

/** Whether all values of an axis give the same trainings, whatever the other axes and the seed are. */
function changesNothing(
  { columns, values }: Axis,
  points: readonly SweepPoint[],
  effective: ReadonlyMap<SweepPoint, string>,
): boolean {
  if (values.length < 2) return false;
  const groups = new Map<string, Set<string>>();
  let isCompared = false;
  for (const point of points) {
    const others = Object.entries(point.cells).filter(([column]) => !columns.includes(column));
    const key = JSON.stringify([others, point.seed]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, new Set([effective.get(point)!]));
    else {
      isCompared = true;
      group.add(effective.get(point)!);
    }
  }
  return isCompared && [...groups.values()].every((group) => group.size === 1);
}

/** Metrics that the configurations of points do not give. */
function unavailable(
  points: readonly SweepPoint[],
  metric: MetricName | readonly MetricName[],
  where: string,
): Problem[] {
  return [metric].flat().flatMap((one): Problem[] => {
    const { name, source } = metricOf(one as MetricName);
    const fault = (message: string, ids: readonly SweepPoint[]): Problem[] =>
      ids.length === 0
        ? []
        : [{ where, message: `metric: "${name}" ${message} (${ids.length} of ${points.length} points)` }];
    if (source.from === 'evaluation') {
      const without = points.filter(({ config }) => config.evaluation === null);
      return fault('needs a section evaluation: (set: {evaluation.split: test})', without);
    }
    if (source.from !== 'validation') return [];
    const isKnown = (VALIDATION_METRICS as readonly string[]).includes(source.key);
    if (!isKnown) return fault(`is none of ${VALIDATION_METRICS.join(', ')}`, points);
    const unvalidated = points.filter(({ config }) => config.train.validation === null);
    return fault('needs a section train.validation', unvalidated);
  });
}

/** The setting whose points train what the base trains. */
export function equalsBase(points: readonly SweepPoint[], base: readonly Layer[]): string | undefined {
  const merged = [...base.map(({ values }) => values), { output: 'base' }].reduce<Plain>(
    (all, values) => mergeLayers(all, values),
    {},
  );
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success) return undefined;
  return points.find(({ config }) => {
    const seeded = { ...parsed.data, train: { ...parsed.data.train, seed: config.train.seed } };
    return effectiveConfig(config) === effectiveConfig(seeded);
  })?.setting;
}
