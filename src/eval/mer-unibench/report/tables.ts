import type { ConfusionCounts } from '../../../report/confusion-table.ts';
import { percent, type Table } from '../../../report/table.ts';
import type { Interval } from '../../bootstrap.ts';
import type { CheckpointEvaluation, SetEvaluation } from '../evaluate.ts';
import { TWELVE_STEPS } from '../metrics/emotion-wheel.ts';
import type { Finding } from '../scoring-findings.ts';
import type { Evaluation } from './json.ts';

const protocols = {
  paper: 'paper: the published rules, and of each set the checkpoint that is best on its test set',
  strict: 'strict: one checkpoint for all sets, chosen beforehand; every label counts',
} as const;

/** What a report states before any figure. */
export function headerRows({
  settings,
  extractor,
  extractorDetail,
  setLevel,
  sets,
}: Evaluation): [string, string][] {
  const { protocol, wheelTable, level, seed, resamples } = settings;
  const checkpoints = [...new Set(sets.flatMap(({ chosen }) => chosen?.name ?? []))];
  const intervals =
    protocol === 'paper'
      ? 'none under this protocol'
      : `95 %, percentile bootstrap over samples, ${resamples} resamples`;
  return [
    ['protocol', protocols[protocol]],
    ['checkpoint', checkpoints.join(', ') || 'none has a score'],
    ['word table', `${wheelTable}, level ${level} of the wheels`],
    ['extractor', extractorDetail === undefined ? extractor : `${extractor}: ${extractorDetail}`],
    ...(setLevel === undefined ? [] : [['set level', setLevel] satisfies [string, string]]),
    ['seed', String(seed)],
    ['intervals', intervals],
  ];
}

/** Names of the metrics as people write them, the main score first. */
const metricTitles = {
  hit: [
    ['hit', 'hit rate'],
    ['mscore', 'mscore'],
  ],
  sentiment: [
    ['waf', 'WAF'],
    ['acc', 'ACC'],
  ],
  ew: [
    ['f', 'F'],
    ['precision', 'precision'],
    ['recall', 'recall'],
  ],
} as const satisfies Record<string, readonly (readonly [string, string])[]>;

export const mainMetric = (metric: keyof typeof metricTitles): string => metricTitles[metric][0][1];

export const intervalText = (interval: Interval | undefined): string =>
  interval === undefined ? '' : `${percent(interval.low)} to ${percent(interval.high)}`;

/** The layout of the papers: one column a set, then the means of the main scores. */
export function scoreTable({ sets, means, settings }: Evaluation): Table {
  const chosen = sets.map((set) => set.chosen);
  const row = (
    title: string,
    ofSet: (one: CheckpointEvaluation | undefined) => string,
    ofMeans: readonly string[],
  ) => [title, ...chosen.map(ofSet), ...ofMeans];
  return {
    head: [
      '',
      ...sets.map(({ dataset }) => dataset.title),
      ...means.map(({ title, sets: members, of }) =>
        members.length === of ? title : `${title} (${members.length} of ${of} sets)`,
      ),
    ],
    rows: [
      ['metric', ...sets.map(({ dataset }) => mainMetric(dataset.metric)), ...means.map(() => '')],
      row(
        'score',
        (one) => percent(one?.result.score),
        means.map(({ score }) => percent(score)),
      ),
      ...(settings.protocol === 'paper'
        ? []
        : [
            row(
              '95 % from',
              (one) => percent(one?.interval?.low),
              means.map(({ interval }) => percent(interval?.low)),
            ),
            row(
              '95 % to',
              (one) => percent(one?.interval?.high),
              means.map(({ interval }) => percent(interval?.high)),
            ),
          ]),
      row(
        'scored',
        (one) => String(one?.result.nScored ?? '–'),
        means.map(() => ''),
      ),
      row(
        'of',
        (one) => String(one?.result.n ?? '–'),
        means.map(() => ''),
      ),
    ],
  };
}

/** All checkpoints, the best of each set marked; undefined where there is one alone. */
export function checkpointTable({ sets }: Evaluation): Table | undefined {
  const names = [...new Set(sets.flatMap(({ checkpoints }) => checkpoints.map(({ name }) => name)))];
  if (names.length < 2) return undefined;
  return {
    head: ['checkpoint', ...sets.map(({ dataset }) => dataset.title)],
    rows: names.map((name) => [
      name,
      ...sets.map(({ checkpoints, chosen }) => {
        const one = checkpoints.find((checkpoint) => checkpoint.name === name);
        return one === undefined ? '–' : `${percent(one.result.score)}${one === chosen ? ' *' : ''}`;
      }),
    ]),
  };
}

/** The metrics of a set's chosen checkpoint. */
export function metricTable({ dataset, chosen }: SetEvaluation): Table {
  const values: Readonly<Record<string, number>> = chosen?.result.metrics ?? {};
  return {
    head: ['', ...metricTitles[dataset.metric].map(([, title]) => title), '95 % of the main score'],
    rows: [
      [
        chosen?.name ?? 'none',
        ...metricTitles[dataset.metric].map(([key]) => percent(values[key])),
        intervalText(chosen?.interval) || '–',
      ],
    ],
  };
}

/** The chosen checkpoint on each wheel; undefined for sentiments. */
export function wheelTable({ chosen }: SetEvaluation): Table | undefined {
  if (chosen?.kind !== 'labels') return undefined;
  const { perWheel, metric } = chosen.result;
  const columns =
    metric === 'ew' ? (['score', 'precision', 'recall'] as const) : (['score', 'mscore'] as const);
  return {
    head: [
      'wheel',
      ...columns.map((column) => (column === 'score' ? mainMetric(metric) : column)),
      'scored',
      'labels unknown',
      'nothing predicted',
    ],
    rows: perWheel.map((wheel) => [
      `${wheel.wheel}, level ${wheel.level}`,
      ...columns.map((column) => percent(wheel[column])),
      ...[wheel.nScored, wheel.nUnmapped, wheel.nEmptyPredictions].map(String),
    ]),
  };
}

/** F under the twelve groupings, where that was asked for. */
export function twelveTable({ chosen }: SetEvaluation): Table | undefined {
  if (chosen?.kind !== 'labels' || chosen.twelve === undefined) return undefined;
  const titles = TWELVE_STEPS.map((step) =>
    typeof step === 'string'
      ? step === 'case1'
        ? 'word forms'
        : 'synonyms'
      : `wheel ${step.wheel}, level ${step.level}`,
  );
  return { head: ['grouping', 'F'], rows: titles.map((title, i) => [title, percent(chosen.twelve![i])]) };
}

/** The set-level metric of all checkpoints, where that was asked for. */
export function setLevelTable({ checkpoints }: SetEvaluation): Table | undefined {
  const rows = checkpoints.flatMap((checkpoint) => {
    if (checkpoint.kind !== 'labels' || checkpoint.setLevel === undefined) return [];
    const { result, interval } = checkpoint.setLevel;
    const { accuracy, recall, average, nScored, n } = result;
    const scores = [accuracy, recall, average].map(percent);
    return [[checkpoint.name, ...scores, intervalText(interval) || '–', String(nScored), String(n)]];
  });
  if (rows.length === 0) return undefined;
  return { head: ['set level', 'Accuracy_s', 'Recall_s', 'Avg', '95 % of Avg', 'scored', 'of'], rows };
}

/** What is no group of the wheel. */
const otherWords = 'other words';
const nothing = 'nothing';

/**
 * What was said where a group was right, on one wheel. Every group of a sample's labels counts once: at itself where it was
 * said, else in equal shares at what was said instead (groups that are right for the sample left out), or at `nothing`.
 *
 * @param centres groups of the wheel; all others are counted as `other words`
 */
export function wheelConfusion(
  perSample: readonly { readonly labels: readonly string[]; readonly predicted: readonly string[] }[],
  centres: readonly string[],
): ConfusionCounts {
  const rows = [...centres, otherWords];
  const columns = [...rows, nothing];
  const counts = rows.map(() => columns.map(() => 0));
  const place = new Map(centres.map((centre, i) => [centre, i]));
  const at = (group: string): number => place.get(group) ?? centres.length;
  for (const { labels, predicted } of perSample) {
    const instead = predicted.filter((group) => !labels.includes(group));
    for (const group of labels) {
      const row = counts[at(group)]!;
      if (predicted.includes(group)) row[at(group)]! += 1;
      else if (instead.length === 0) row[columns.length - 1]! += 1;
      else for (const other of instead) row[at(other)]! += 1 / instead.length;
    }
  }
  return { rows, columns, counts };
}

export const findingsOf = ({ findings, checkpoints }: SetEvaluation): Finding[] => [
  ...findings,
  ...checkpoints.flatMap((checkpoint) => checkpoint.findings),
];
