import { mmlaTask, paperTasks } from '../../../data/mmla/tasks.ts';
import type { Table } from '../../../report/table.ts';
import { microAverage, unweightedMean } from '../leaderboard/averages.ts';
import type { TaskCells } from '../leaderboard/row.ts';
import { type MmlaMetrics, mmlaMetricNames, roundedPercent } from '../metrics.ts';
import type { MmlaReport, MmlaTaskReport } from './schema.ts';

/** Percent with two decimals, rounded as the published evaluation rounds. */
const percentText = (fraction: number): string => roundedPercent(fraction).toFixed(2);

const counted = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));

const metricCells = (metrics: MmlaMetrics, deviation: MmlaMetrics | null = null): string[] =>
  mmlaMetricNames.map((name) =>
    deviation === null
      ? percentText(metrics[name])
      : `${percentText(metrics[name])} ± ${percentText(deviation[name])}`,
  );

const isOfSeveralSeeds = ({ tasks }: MmlaReport): boolean => tasks.some(({ seeds }) => seeds.length > 1);

/** What the figures are of, as pairs of a key and a value. */
export function headerRows(report: MmlaReport): [string, string][] {
  const { model, tasks } = report;
  const { mode, split, intervals } = tasks[0]!;
  const averages =
    mode === 'compat'
      ? 'compat: as published; F1, P and R are plain means over all values that occur as label or answer, unknown and multi included'
      : 'strict: F1, P and R are plain means over the labels of the task; invalid answers are wrong';
  const { confidence, resamples, seed } = intervals?.ACC ?? {};
  return [
    ['model', `${model.name} (${model.provenance})`],
    ['mode', averages],
    ['split', split],
    ...(intervals === null
      ? []
      : ([['intervals', `${100 * confidence!} %, ${resamples} resamples of the samples, seed ${seed}`]] as [
          string,
          string,
        ][])),
    ...(isOfSeveralSeeds(report)
      ? ([
          [
            'seeds',
            `${tasks[0]!.seeds.length}: mean ± sample standard deviation (divided by their number less one)`,
          ],
        ] as [string, string][])
      : []),
  ];
}

/** All tasks, and with several of them their averages. */
export function scoreTable({ tasks }: MmlaReport): Table {
  const cells: TaskCells = Object.fromEntries(
    tasks.map(({ task, n, metrics }) => [
      mmlaTask(task).key,
      {
        metrics: Object.fromEntries(mmlaMetricNames.map((name) => [name, 100 * metrics[name]])),
        samples: n,
      },
    ]),
  );
  const averages = [
    // Weighted by numbers of test samples, as the published leaderboards.
    ...(tasks.every(({ split }) => split === 'test') ? [['micro', microAverage(cells, 'ACC')] as const] : []),
    ['mean', unweightedMean(cells, 'ACC')] as const,
  ];
  const averaged = tasks.filter(({ task }) => paperTasks.some(({ key }) => key === task));
  const samples = averaged.reduce((sum, { n }) => sum + n, 0);
  return {
    head: ['task', 'samples', ...mmlaMetricNames, 'unknown', 'multi'],
    rows: [
      ...tasks.map(({ task, n, metrics, deviation, invalid }) => [
        ...[task, String(n), ...metricCells(metrics, deviation)],
        ...[counted(invalid.unknown), counted(invalid.multi)],
      ]),
      ...(averaged.length < 2
        ? []
        : averages.map(([title, average]) => [
            ...[`${title} over ${averaged.length} of ${paperTasks.length}`, String(samples)],
            average!.value.toFixed(2),
            ...Array.from({ length: mmlaMetricNames.length + 1 }, () => ''),
          ])),
    ],
  };
}

/** Intervals of all tasks; undefined where there are none. */
export function intervalTable({ tasks }: MmlaReport): Table | undefined {
  const rows = tasks.flatMap(({ task, intervals }) => {
    if (intervals === null) return [];
    const ends = mmlaMetricNames.map((name) => {
      const { low, high } = intervals[name];
      return `${percentText(low)}–${percentText(high)}`;
    });
    return [[task, ...ends]];
  });
  return rows.length === 0 ? undefined : { head: ['95 % of', ...mmlaMetricNames], rows };
}

/** Each file of predictions by itself; undefined where there is one. */
export function seedTable({ seeds }: MmlaTaskReport): Table | undefined {
  if (seeds.length === 1) return undefined;
  return {
    head: ['predictions', ...mmlaMetricNames, 'unknown', 'multi'],
    rows: seeds.map(({ predictions, metrics, invalid }) => [
      ...[predictions, ...metricCells(metrics), String(invalid.unknown), String(invalid.multi)],
    ]),
  };
}

/** What is known of each class. */
export const classTable = ({ perClass }: MmlaTaskReport): Table => ({
  head: ['label', 'precision', 'recall', 'F1', 'samples'],
  rows: perClass.map(({ label, precision, recall, f1, support }) => [
    ...[label, percentText(precision), percentText(recall), percentText(f1), counted(support)],
  ]),
});

/** Rows are labels, columns answers. */
export const confusionAsTable = ({ confusion: { rows, columns, counts } }: MmlaTaskReport): Table => ({
  head: ['label \\ answer', ...columns],
  rows: rows.map((row, i) => [row, ...counts[i]!.map((count) => (count === 0 ? '' : String(count)))]),
});
