import { formatBytes } from '../../train/dry-run/format.ts';
import { formatDuration } from '../../train/progress.ts';
import { percent, type Table } from '../report/table.ts';
import type { Metric } from './metric-names.ts';
import { valueText } from './point-id.ts';
import type { Difference, PointResult, SettingResult, Summary, SweepResults } from './results.ts';
import { fewestPairs } from './statistics.ts';

/** Whether a figure is a fraction, shown as percent: scores are, losses and numbers of other files are not. */
const isFraction = ({ source, name }: Metric): boolean =>
  source.from === 'evaluation' ||
  source.from === 'mer-unibench' ||
  (source.from === 'validation' && !/\.loss$/.test(name));

/** A figure without its sign of percent. */
export const figure = (metric: Metric, value: number): string =>
  isFraction(metric) ? percent(value) : value.toFixed(4);

export const metricTitle = (metric: Metric): string =>
  isFraction(metric) ? `${metric.name} (%)` : metric.name;

const none = '–';

/** `74.77 ± 0.31`, or the value of the one seed. */
export function summaryText(metric: Metric, summary: Summary | undefined): string {
  if (summary === undefined) return none;
  const { mean, deviation } = summary;
  return deviation === undefined
    ? figure(metric, mean)
    : `${figure(metric, mean)} ± ${figure(metric, deviation)}`;
}

/** The values of a setting, and what its name is where nothing but the seed varies. */
export const settingCells = ({ cells }: SettingResult, columns: readonly string[]): string[] =>
  columns.length === 0 ? ['base'] : columns.map((column) => valueText(cells[column]));

const settingColumns = (columns: readonly string[]): readonly string[] =>
  columns.length === 0 ? ['setting'] : columns;

/** The table that a paper prints: a row a setting, mean ± deviation over its seeds, the best of each column bold. */
export function settingsTable({ metrics, columns, settings, sweep }: SweepResults): Table {
  const names = settingColumns(columns);
  const rows = settings.map((setting) => {
    const done = setting.points.filter(({ state }) => state.state === 'done').length;
    const seeds = `${done} of ${setting.points.length}${setting.id === sweep.compare ? ' (base)' : ''}`;
    return [
      ...settingCells(setting, columns),
      ...metrics.map((metric, i) => summaryText(metric, setting.summaries[i])),
      seeds,
    ];
  });
  return {
    head: [...names, ...metrics.map(metricTitle), 'seeds done'],
    rows,
    textColumns: names.map((_, i) => i),
    isStrong: (row, column) => settings[row]?.summaries[column - names.length]?.isBest === true,
  };
}

const signed = (metric: Metric, value: number): string => `${value > 0 ? '+' : ''}${figure(metric, value)}`;

/** `p = 0.031 (6 seeds)`; a dash where so few pairs can show nothing. */
const seedsText = ({ seeds: { pValue, pairs } }: Difference): string =>
  pValue === null ? `${none} (${pairs})` : `${pValue.toFixed(3)} (${pairs})`;

/** `0.012 [0.10, 2.40]` */
function samplesText(metric: Metric, { samples }: Difference): string {
  if (samples === undefined) return none;
  const { pValue, interval } = samples;
  return `${pValue.toFixed(3)} [${signed(metric, interval.low)}, ${signed(metric, interval.high)}]`;
}

/** Every setting beside the one that it is compared with; undefined where nothing can be compared yet. */
export function differencesTable({ metrics, columns, settings }: SweepResults): Table | undefined {
  const names = settingColumns(columns);
  const rows = settings.flatMap((setting) =>
    metrics.flatMap((metric, i) => {
      const difference = setting.differences[i];
      if (difference === undefined) return [];
      return [
        [
          ...settingCells(setting, columns),
          metricTitle(metric),
          signed(metric, difference.difference),
          seedsText(difference),
          samplesText(metric, difference),
        ],
      ];
    }),
  );
  if (rows.length === 0) return undefined;
  return {
    head: [...names, 'figure', 'difference', 'p over seeds (pairs)', 'p over samples [95 % interval]'],
    rows,
    textColumns: Array.from({ length: names.length + 1 }, (_, i) => i),
  };
}

/** What is to be said about the tests, so that nobody reads more out of them than there is. */
export function testNotes({ settings, metrics }: SweepResults): string[] {
  const differences = settings.flatMap((setting) => setting.differences.filter((one) => one !== undefined));
  if (differences.length === 0) return [];
  const most = Math.max(...differences.map(({ seeds }) => seeds.pairs));
  const tested = differences.filter(({ seeds, samples }) => seeds.pValue !== null || samples !== undefined);
  return [
    most < fewestPairs
      ? `Over seeds: ${most === 1 ? 'one seed' : `${most} seeds`} in common. With fewer than ${fewestPairs} no paired test can come below p = 0.05, so none is made: read differences beside the deviations.`
      : 'Over seeds: exact paired sign-flip test, two-sided.',
    ...(differences.some(({ samples }) => samples !== undefined)
      ? [
          'Over samples: paired bootstrap, 1,000 resamples, two-sided; all seeds of a setting together. It says whether these trained models differ on such samples, not what other seeds would give.',
        ]
      : []),
    ...(tested.length > 1
      ? [
          `${tested.length} differences are tested${metrics.length > 1 ? ` (${metrics.length} figures)` : ''}; p-values are as they are, not corrected for that.`,
        ]
      : []),
  ];
}

/** Points that are not done, and done ones that lack a figure, with the reason. */
export function faultLines({ points }: SweepResults): string[] {
  return points.flatMap(({ point, state, faults }) => {
    const { error } = state;
    const reason =
      state.state === 'done'
        ? undefined
        : `${point.id}: ${state.state}${error === undefined ? '' : `, error[${error.code}]: ${error.message}`}`;
    return [...(reason === undefined ? [] : [reason]), ...faults];
  });
}

/** Every point by itself. */
export function pointsTable({ points, metrics }: SweepResults): Table {
  return {
    head: ['point', 'state', ...metrics.map(metricTitle), 'time', 'peak memory'],
    rows: points.map((one) => [
      one.point.id,
      one.state.state,
      ...metrics.map((metric, i) => (one.values[i] === undefined ? none : figure(metric, one.values[i]!))),
      one.seconds === null ? none : formatDuration(one.seconds),
      one.peakMemoryBytes === null ? none : formatBytes(one.peakMemoryBytes),
    ]),
    textColumns: [0, 1],
  };
}

/** A cell of a CSV file (RFC 4180). */
const csvCell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** `results.csv`: a row a point, numbers unrounded. */
export function resultsCsv({ points, metrics, columns }: SweepResults): string {
  const head = [
    ...['point', ...columns, 'seed', 'state'],
    ...metrics.map(({ name }) => name),
    ...['seconds', 'peakMemoryBytes', 'error'],
  ];
  const rows = points.map((one: PointResult) => [
    one.point.id,
    ...columns.map((column) => valueText(one.point.cells[column])),
    String(one.point.seed),
    one.state.state,
    ...one.values.map((value) => (value === undefined ? '' : String(value))),
    ...[one.seconds, one.peakMemoryBytes].map((value) => (value === null ? '' : String(value))),
    one.state.error === undefined
      ? one.faults.join(' ')
      : `${one.state.error.code}: ${one.state.error.message}`,
  ]);
  return [head, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}
