import { join } from 'node:path';
import { writeFileAtomic } from '../io/atomic.ts';
import { heatMap, heatMapStyle } from '../report/heat-map.ts';
import { type Curve, lineChart, lineChartStyle } from '../report/line-chart.ts';
import { escapeHtml, htmlPage } from '../report/page.ts';
import { parallelCoordinates, parallelCoordinatesStyle } from '../report/parallel-coordinates.ts';
import { htmlTable, markdownTable } from '../report/table.ts';
import { matches } from './axes.ts';
import type { Sweep } from './load.ts';
import { valueText } from './point-id.ts';
import { publishedHtml, publishedMarkdown } from './published.ts';
import { collectResults, type SettingResult, type SweepResults } from './results.ts';
import {
  differencesTable,
  faultLines,
  figure,
  metricTitle,
  pointsTable,
  resultsCsv,
  settingCells,
  settingsTable,
  testNotes,
} from './tables.ts';

/** How far a sweep is, in a sentence. */
function progressText({ points, sweep }: SweepResults): string {
  const done = points.filter(({ state }) => state.state === 'done').length;
  const compared = sweep.settings.find(({ id }) => id === sweep.compare);
  return `${done} of ${points.length} points are done. Compared with: ${compared?.id ?? sweep.compare}.`;
}

const meaning =
  'Mean ± sample standard deviation over seeds; the best mean of each column is bold. train.loss is the mean of the last tenth of the logged steps.';

/** `results.md` */
function resultsMarkdown(results: SweepResults): string {
  const { sweep } = results;
  const differences = differencesTable(results);
  const faults = faultLines(results);
  const notes = testNotes(results);
  const parts = [
    `# Sweep: ${sweep.label}\n\n${progressText(results)} ${meaning}\n`,
    markdownTable(settingsTable(results)),
    differences === undefined
      ? undefined
      : `## Differences to ${sweep.compare}\n\n${markdownTable(differences)}\n${notes.map((note) => `- ${note}\n`).join('')}`,
    publishedMarkdown(results),
    `## Points\n\n${markdownTable(pointsTable(results))}`,
    faults.length === 0
      ? undefined
      : `## What is missing\n\n${faults.map((line) => `- ${line.replaceAll(/\s*\n\s*/g, ' ')}\n`).join('')}`,
  ];
  return parts.filter((part) => part !== undefined).join('\n');
}

/** What the command prints: the table, and what to make of its differences. */
export function resultsText(results: SweepResults): string {
  const differences = differencesTable(results);
  const notes = testNotes(results).map((note) => `- ${note}\n`);
  const tested = differences === undefined ? '' : `\n${markdownTable(differences)}${notes.join('')}`;
  return `${markdownTable(settingsTable(results))}${tested}`;
}

/** Settings whose curves stand in one picture: no more than it has colours for. */
const curvesAtOnce = 4;

/** The mean loss over the seeds of a setting, at the steps that all of them have logged. */
function meanLosses({ points }: SettingResult): [number, number][] {
  const runs = points.filter(({ losses }) => losses.length > 0).map(({ losses }) => new Map(losses));
  const [first, ...others] = runs;
  if (first === undefined) return [];
  return [...first.keys()]
    .filter((step) => others.every((run) => run.has(step)))
    .map((step) => [step, runs.reduce((sum, run) => sum + run.get(step)!, 0) / runs.length]);
}

/** Loss curves of all settings over each other, the compared one in every picture. */
function curvesSection({ settings, sweep, columns }: SweepResults): string {
  const curveOf = (setting: SettingResult): Curve => ({
    name: settingCells(setting, columns).join(', '),
    points: meanLosses(setting),
  });
  const base = settings.filter(({ id }) => id === sweep.compare);
  const others = settings.filter(({ id }) => id !== sweep.compare);
  const groups: SettingResult[][] = [];
  for (let from = 0; from === 0 || from < others.length; from += curvesAtOnce - 1) {
    groups.push([...base, ...others.slice(from, from + curvesAtOnce - 1)]);
  }
  return groups
    .map((group, i) =>
      lineChart({
        title: groups.length === 1 ? 'training loss' : `training loss (${i + 1} of ${groups.length})`,
        xName: 'steps',
        curves: group.map(curveOf),
      }),
    )
    .join('\n');
}

/** A heat map of two axes, parallel coordinates of more; nothing where one axis says it all in the table. */
function gridSection({ sweep, settings, metrics }: SweepResults): string {
  const { axes } = sweep;
  const [metric] = metrics;
  if (metric === undefined || axes.length < 2) return '';
  const names = axes.map(({ values }) =>
    values.map(({ cells }) => Object.values(cells).map(valueText).join(', ')),
  );
  const common = { format: (value: number) => figure(metric, value), lowerIsBetter: metric.lowerIsBetter };
  if (axes.length === 2) {
    const [rows, columns] = axes as [(typeof axes)[0], (typeof axes)[0]];
    return heatMap({
      title: `${metricTitle(metric)}, mean over seeds`,
      ...{ rowName: rows.name, columnName: columns.name, rows: names[0]!, columns: names[1]!, ...common },
      values: rows.values.map((row) =>
        columns.values.map((column) => {
          const wanted = { ...row.cells, ...column.cells };
          return settings.find(({ cells }) => matches(cells, wanted))?.summaries[0]?.mean;
        }),
      ),
    });
  }
  const lines = settings.flatMap((setting) => {
    const value = setting.summaries[0]?.mean;
    if (value === undefined) return [];
    const places = axes.map(({ values }) => values.findIndex(({ cells }) => matches(setting.cells, cells)));
    return [{ name: setting.id, places, value }];
  });
  if (lines.length === 0) return '';
  return parallelCoordinates({
    title: `${metricTitle(metric)} over all axes, mean over seeds`,
    axes: axes.map(({ name }, i) => ({ name, values: names[i]! })),
    ...{ valueName: metricTitle(metric), lines, ...common },
  });
}

const style = `
  body { max-width: 1080px; } .wide { overflow-x: auto; } table { font-size: 0.9rem; margin: 0.6rem 0; }
  pre { white-space: pre-wrap; background: var(--panel); border: 1px solid var(--rule); padding: 0.6rem 1rem; }${lineChartStyle}${heatMapStyle}${parallelCoordinatesStyle}`;

/** `results.html`: one page without scripts or anything from elsewhere. */
function resultsHtml(results: SweepResults): string {
  const { sweep } = results;
  const differences = differencesTable(results);
  const faults = faultLines(results);
  const list = (lines: readonly string[]) =>
    `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
  const parts = [
    `<h1>Sweep: ${escapeHtml(sweep.label)}</h1>\n<p>${escapeHtml(`${progressText(results)} ${meaning}`)}</p>`,
    `<div class="wide">${htmlTable(settingsTable(results))}</div>`,
    gridSection(results),
    `<h2>Loss</h2>\n${curvesSection(results)}`,
    differences === undefined
      ? ''
      : `<h2>Differences to ${escapeHtml(sweep.compare)}</h2>\n<div class="wide">${htmlTable(differences)}</div>${list(testNotes(results))}`,
    publishedHtml(results),
    `<h2>Points</h2>\n<div class="wide">${htmlTable(pointsTable(results))}</div>`,
    faults.length === 0 ? '' : `<h2>What is missing</h2>\n${list(faults)}`,
    `<h2>The sweep file</h2>\n<pre>${escapeHtml(sweep.text)}</pre>`,
  ];
  return htmlPage({
    title: `Sweep: ${sweep.label}`,
    style,
    hasDarkMode: true,
    body: parts.filter(Boolean).join('\n'),
  });
}

/**
 * Writes `results.csv`, `results.md` and `results.html` of what is done so far, each whole or not at all.
 * @throws InputError of `fileError`
 */
export async function writeResults(sweep: Sweep): Promise<SweepResults> {
  const results = await collectResults(sweep);
  const texts = {
    'results.csv': resultsCsv(results),
    'results.md': resultsMarkdown(results),
    'results.html': resultsHtml(results),
  };
  for (const [name, text] of Object.entries(texts)) await writeFileAtomic(join(sweep.output, name), text);
  return results;
}
