import { markdownTable, percent } from '../../../report/table.ts';
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

/** Side by side for people: settings, what differs, scores, differences with their p-values, published rows. */
export function comparisonMarkdown(comparison: Comparison): string {
  const { differences, paired, reports } = comparison;
  const [first] = reports;
  const { header } = first!;
  const settings = (['protocol', 'wheelTable', 'level', 'extractor'] as const).map((key) => {
    const differing = differences.find((difference) => difference.key === key);
    const title = key === 'wheelTable' ? 'word table' : key;
    return differing === undefined
      ? `- ${title}: ${header[key]}\n`
      : `- **${title} differs: ${differing.values.join(' | ')}**\n`;
  });
  const note =
    differences.length > 0
      ? '- **Scores made in different ways say nothing about each other; nothing is tested.**\n'
      : '';
  const strict = reports.some((report) => report.header.protocol === 'strict')
    ? 'Published rows are under the protocol "paper" and not comparable with scores under "strict".\n\n'
    : '';
  const parts = [
    `# MER-UniBench: comparison\n\n${settings.join('')}${note}`,
    `${strict}${scoreRows(comparison)}`,
    paired.length === 0 ? undefined : `## Differences to ${comparison.names[0]}\n\n${pairedRows(comparison)}`,
    `## Published means over the nine sets\n\n${publishedMeans()}`,
  ];
  return parts.filter((part) => part !== undefined).join('\n');
}

function scoreRows({ names, sets, scores, meanSets, means }: Comparison): string {
  const withMean = meanSets.length > 1;
  const meanTitle = meanSets.length === 9 ? 'mean' : `mean of ${meanSets.length} sets`;
  const published = publishedResults.filter(({ scores: of }) =>
    sets.some(({ key }) => of?.[key] !== undefined),
  );
  return markdownTable({
    head: ['', ...sets.map(({ dataset }) => dataset.title), ...(withMean ? [meanTitle] : [])],
    rows: [
      ['', ...sets.map(({ dataset }) => mainMetric(dataset.metric)), ...(withMean ? [''] : [])],
      ...names.map((name, i) => [name, ...scores[i]!.map(percent), ...(withMean ? [percent(means[i])] : [])]),
      ...published.map((row) => [
        `${row.name} [${row.source}]`,
        ...sets.map(({ key }) => row.scores?.[key]?.toFixed(2) ?? '–'),
        ...(withMean ? [meanOfRow(row, meanSets)] : []),
      ]),
    ],
  });
}

/** The mean of a published row over the same sets; the printed one where those are all nine. */
function meanOfRow({ scores = {}, means }: PublishedRow, sets: readonly BenchmarkKey[]): string {
  const values = sets.map((key) => scores[key]);
  if (!values.every((value) => value !== undefined)) return '–';
  if (sets.length === 9 && means !== undefined) return means.mean.toFixed(2);
  return (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(2);
}

function pairedRows({ names, sets, meanSets, paired }: Comparison): string {
  const title = (key: BenchmarkKey | 'mean') =>
    key === 'mean'
      ? `mean of ${meanSets.length} sets`
      : (sets.find((set) => set.key === key)?.dataset.title ?? key);
  return markdownTable({
    head: ['report', 'set', 'difference', '95 % from', '95 % to', 'p'],
    textColumns: [0, 1],
    rows: paired.map(({ report, key, comparison: { difference, interval, pValue } }) => [
      ...[names[report]!, title(key), percent(difference)],
      ...[percent(interval.low), percent(interval.high), pValue.toFixed(4)],
    ]),
  });
}

function publishedMeans(): string {
  const rows = publishedResults.filter(({ means }) => means !== undefined);
  return markdownTable({
    head: ['', ...MEANS.map(({ title }) => title), 'source'],
    textColumns: [0, MEANS.length + 1],
    rows: rows.map(({ name, source, means }) => [
      ...[name, ...MEANS.map(({ key }) => means![key]?.toFixed(2) ?? '–'), source],
    ]),
  });
}
