import { type Bar, barChart } from '../../../report/bar-chart.ts';
import { escapeHtml, htmlPage } from '../../../report/page.ts';
import { htmlTable } from '../../../report/table.ts';
import { mainMetric } from '../report/tables.ts';
import type { Comparison } from './compare.ts';
import {
  meanTitle,
  pairedTable,
  publishedMeansTable,
  scoresTable,
  settingRows,
  strictNote,
} from './format.ts';

const style = `
  body { max-width: 1080px; } .bar { fill: #2458a6; } .wide { overflow-x: auto; } table { font-size: 0.9rem; margin: 0.6rem 0; }`;

/** `compare.html`: what `comparisonMarkdown` says, with bars, as one page without scripts or anything from elsewhere. */
export function comparisonHtml(comparison: Comparison): string {
  const { differences, names, paired, reports } = comparison;
  const settings = settingRows(comparison).map(({ title, values, differs }) => {
    const text = escapeHtml(values.join(' | '));
    return `<dt>${escapeHtml(title)}</dt><dd>${differs ? `<strong>differs: ${text}</strong>` : text}</dd>`;
  });
  const paths = names.map((name, i) => {
    const checkpoints = [...new Set(reports[i]!.sets.map(({ checkpoint }) => checkpoint))];
    return `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(`${reports[i]!.path}: ${checkpoints.join(', ')}`)}</dd>`;
  });
  const note = (text: string) => `<p class="note">${escapeHtml(text)}</p>`;
  const parts = [
    `<h1>MER-UniBench: comparison</h1>\n<dl>${[...settings, ...paths].join('')}</dl>`,
    differences.length > 0
      ? note('Scores made in different ways say nothing about each other; nothing is tested.')
      : '',
    strictNote(comparison) === undefined ? '' : note(strictNote(comparison)!),
    `<h2>Scores</h2>\n${charts(comparison)}`,
    `<div class="wide">${htmlTable(scoresTable(comparison))}</div>`,
    paired.length === 0
      ? ''
      : `<h2>Differences to ${escapeHtml(names[0]!)}</h2>\n<div class="wide">${htmlTable(pairedTable(comparison))}</div>`,
    `<h2>Published means over the nine sets</h2>\n<div class="wide">${htmlTable(publishedMeansTable())}</div>`,
  ];
  return htmlPage({ title: 'MER-UniBench: comparison', style, body: parts.filter(Boolean).join('\n') });
}

/** Bars of all reports, for each set and for the mean. */
function charts(comparison: Comparison): string {
  const { names, sets, scores, meanSets, means } = comparison;
  const bars = (of: (report: number) => number | undefined): Bar[] =>
    names.flatMap((title, i) => {
      const value = of(i);
      return value === undefined ? [] : [{ title, value }];
    });
  const ofSets = sets.map(({ dataset }, i) => ({
    title: `${dataset.title}, ${mainMetric(dataset.metric)}`,
    bars: bars((report) => scores[report]![i]),
  }));
  const ofMean =
    meanSets.length > 1 ? [{ title: meanTitle(comparison), bars: bars((report) => means[report]) }] : [];
  return [...ofSets, ...ofMean]
    .map(
      (one) =>
        `<h3>${escapeHtml(one.title)}</h3>\n${barChart(`${one.title} of all reports in percent`, one.bars)}`,
    )
    .join('\n');
}
