import { markdownTable, percent, type Table } from '../../../report/table.ts';
import { jsonNumber } from '../checkpoint-json.ts';
import type { BenchmarkKey } from '../datasets.ts';
import { MEANS } from '../evaluate.ts';
import { type PublishedRow, publishedResults } from '../published-results.ts';
import { intervalJson } from '../report/json.ts';
import { mainMetric } from '../report/tables.ts';
import type { Comparison } from './compare.ts';

/** What `eval compare --json` prints. */
export function comparisonJson(comparison: Comparison) {
  const { names, reports, differences, sets, scores, meanSets, means, paired } = comparison;
  return {
    benchmark: 'mer-unibench',
    reports: reports.map(({ path, header, sets: own }, i) => ({
      ...{ name: names[i], path, ...header },
      sets: own.map(({ key, checkpoint, result }) => ({
        ...{ dataset: key, checkpoint, score: jsonNumber(result.score) },
      })),
      mean: jsonNumber(means[i]!),
    })),
    differences,
    sets: sets.map(({ key }, i) => ({
      dataset: key,
      scores: scores.map((row) => (row[i] === undefined ? null : jsonNumber(row[i]))),
    })),
    meanSets,
    paired: paired.map(({ report, key, comparison: { difference, interval, pValue } }) => ({
      ...{ report: names[report], against: names[0], dataset: key },
      ...{ difference: jsonNumber(difference), interval: intervalJson(interval), pValue },
    })),
    published: publishedResults.map(
      ({ name, source, scores: of = {}, accuracies = {}, means: over = {} }) => ({
        ...{ name, source, scores: fractions(of), accuracies: fractions(accuracies), means: fractions(over) },
      }),
    ),
  };
}

/** Printed percents have two decimals; dividing by 100 would add others. */
const fractions = (percents: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(percents).map(([key, value]) => [key, Number((value / 100).toFixed(4))]));

/** The settings that reports have to share: one value, or that of each report where they differ. */
export function settingRows({ differences, reports }: Comparison) {
  return (['protocol', 'wheelTable', 'level', 'extractor'] as const).map((key) => {
    const differing = differences.find((difference) => difference.key === key);
    return {
      title: key === 'wheelTable' ? 'word table' : key,
      values: differing?.values ?? [String(reports[0]!.header[key])],
      differs: differing !== undefined,
    };
  });
}

/** What is to be said where scores under `strict` stand beside published rows. */
export const strictNote = ({ reports }: Comparison): string | undefined =>
  reports.some(({ header }) => header.protocol === 'strict')
    ? 'Published rows are under the protocol "paper" and not comparable with scores under "strict".'
    : undefined;

/** Side by side for people: settings, what differs, scores, differences with their p-values, published rows. */
export function comparisonMarkdown(comparison: Comparison): string {
  const { differences, names, paired } = comparison;
  const settings = settingRows(comparison).map(({ title, values, differs }) =>
    differs ? `- **${title} differs: ${values.join(' | ')}**\n` : `- ${title}: ${values[0]}\n`,
  );
  const note =
    differences.length > 0
      ? '- **Scores made in different ways say nothing about each other; nothing is tested.**\n'
      : '';
  const strict = strictNote(comparison);
  const parts = [
    `# MER-UniBench: comparison\n\n${settings.join('')}${note}`,
    `${strict === undefined ? '' : `${strict}\n\n`}${markdownTable(scoresTable(comparison))}`,
    paired.length === 0
      ? undefined
      : `## Differences to ${names[0]}\n\n${markdownTable(pairedTable(comparison))}`,
    `## Published means over the nine sets\n\n${markdownTable(publishedMeansTable())}`,
  ];
  return parts.filter((part) => part !== undefined).join('\n');
}

/** Over the sets of the published mean that all reports have. */
export const meanTitle = ({ meanSets }: Comparison): string =>
  meanSets.length === 9 ? 'mean' : `mean of ${meanSets.length} sets`;

/** Main scores of all reports, and of the published rows that have one of the sets. */
export function scoresTable(comparison: Comparison): Table {
  const { names, sets, scores, meanSets, means } = comparison;
  const withMean = meanSets.length > 1;
  const published = publishedResults.filter(({ scores: of }) =>
    sets.some(({ key }) => of?.[key] !== undefined),
  );
  return {
    head: ['', ...sets.map(({ dataset }) => dataset.title), ...(withMean ? [meanTitle(comparison)] : [])],
    rows: [
      ['', ...sets.map(({ dataset }) => mainMetric(dataset.metric)), ...(withMean ? [''] : [])],
      ...names.map((name, i) => [name, ...scores[i]!.map(percent), ...(withMean ? [percent(means[i])] : [])]),
      ...published.map((row) => [
        `${row.name} [${row.source}]`,
        ...sets.map(({ key }) => row.scores?.[key]?.toFixed(2) ?? '–'),
        ...(withMean ? [meanOfRow(row, meanSets)] : []),
      ]),
    ],
  };
}

/** The mean of a published row over the same sets; the printed one where those are all nine. */
function meanOfRow({ scores = {}, means }: PublishedRow, sets: readonly BenchmarkKey[]): string {
  const values = sets.map((key) => scores[key]);
  if (!values.every((value) => value !== undefined)) return '–';
  if (sets.length === 9 && means !== undefined) return means.mean.toFixed(2);
  return (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(2);
}

/** Every other report against the first. */
export function pairedTable(comparison: Comparison): Table {
  const { names, sets, meanSets, paired } = comparison;
  const title = (key: BenchmarkKey | 'mean') =>
    key === 'mean'
      ? `mean of ${meanSets.length} sets`
      : (sets.find((set) => set.key === key)?.dataset.title ?? key);
  return {
    head: ['report', 'set', 'difference', '95 % from', '95 % to', 'p'],
    textColumns: [0, 1],
    rows: paired.map(({ report, key, comparison: { difference, interval, pValue } }) => [
      ...[names[report]!, title(key), percent(difference)],
      ...[percent(interval.low), percent(interval.high), pValue.toFixed(4)],
    ]),
  };
}

/** What the papers print of means over all nine sets. */
export function publishedMeansTable(): Table {
  const rows = publishedResults.filter(({ means }) => means !== undefined);
  return {
    head: ['', ...MEANS.map(({ title }) => title), 'source'],
    textColumns: [0, MEANS.length + 1],
    rows: rows.map(({ name, source, means }) => [
      ...[name, ...MEANS.map(({ key }) => means![key]?.toFixed(2) ?? '–'), source],
    ]),
  };
}
