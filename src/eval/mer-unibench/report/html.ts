import { barChart } from '../../../report/bar-chart.ts';
import { type ConfusionCounts, confusionTable } from '../../../report/confusion-table.ts';
import { escapeHtml, htmlPage } from '../../../report/page.ts';
import { htmlTable, percent, type Table } from '../../../report/table.ts';
import type { CheckpointEvaluation, SetEvaluation } from '../evaluate.ts';
import { openGrouping } from '../grouping.ts';
import { WHEELS } from '../tables.ts';
import { compareCodePoints } from '../words.ts';
import type { Evaluation } from './json.ts';
import {
  checkpointTable,
  findingsOf,
  headerRows,
  metricTable,
  scoreTable,
  setLevelTable,
  twelveTable,
  wheelConfusion,
  wheelTable,
} from './tables.ts';

const worstShown = 20;
/** Share of the samples that a word outside of a wheel has to label to get a row in its confusion. */
const ownRowShare = 0.02;
/** Characters of an answer that are shown. */
const longestText = 600;

const style = `
  body { max-width: 1080px; } .bar { fill: #2458a6; } .whisker { stroke: #1d2430; stroke-width: 1.5; } .wide { overflow-x: auto; }
  table { font-size: 0.9rem; margin: 0.6rem 0; } section { border-top: 1px solid #d5d5cf; margin-top: 2rem; }
  .worst td { vertical-align: top; } .worst td:last-child { max-width: 32rem; overflow-wrap: anywhere; }
  summary { cursor: pointer; margin: 0.4rem 0; } li { overflow-wrap: anywhere; }`;

/** `report.html`: one page without scripts or anything from elsewhere. */
export function reportHtml(evaluation: Evaluation): string {
  const { sets, means } = evaluation;
  const rows = headerRows(evaluation).map(
    ([key, value]) => `<dt>${escapeHtml(key)}</dt><dd>${escapeHtml(value)}</dd>`,
  );
  const bars = [
    ...sets.map(({ dataset, chosen }) => ({
      title: dataset.title,
      value: chosen?.result.score ?? Number.NaN,
      ...(chosen?.interval && { interval: chosen.interval }),
    })),
    ...means.map(({ title, score, sets: members, of, interval }) => ({
      title: members.length === of ? title : `${title} (${members.length} of ${of})`,
      value: score,
      ...(interval && { interval }),
    })),
  ];
  const checkpoints = checkpointTable(evaluation);
  const body = [
    `<h1>MER-UniBench</h1>\n<dl>${rows.join('')}</dl>`,
    `<h2>Scores</h2>\n${barChart('scores of all sets in percent', bars)}`,
    `<div class="wide">${htmlTable(scoreTable(evaluation))}</div>`,
    checkpoints === undefined
      ? ''
      : `<h2>Checkpoints</h2>\n<p>The best of each set is marked with *.</p><div class="wide">${htmlTable(checkpoints)}</div>`,
    ...sets.map((set) => setSection(set, evaluation)),
  ];
  return htmlPage({ title: 'MER-UniBench', style, body: body.join('\n') });
}

function setSection(set: SetEvaluation, evaluation: Evaluation): string {
  const { chosen, dataset } = set;
  const tables = [metricTable(set), wheelTable(set), twelveTable(set), setLevelTable(set)].filter(
    (table): table is Table => table !== undefined,
  );
  const findings = findingsOf(set).map(({ message }) => `<li>${escapeHtml(message)}</li>`);
  return [
    `<section><h2>${escapeHtml(dataset.title)}</h2>`,
    ...tables.map(htmlTable),
    chosen === undefined ? '' : perWheelBars(chosen) + confusions(chosen, evaluation) + worstSamples(chosen),
    findings.length === 0 ? '' : `<h3>Findings</h3><ul>${findings.join('')}</ul>`,
    '</section>',
  ].join('\n');
}

function perWheelBars(chosen: CheckpointEvaluation): string {
  if (chosen.kind === 'sentiment') return '';
  const bars = chosen.result.perWheel.map(({ wheel, score }) => ({ title: `wheel ${wheel}`, value: score }));
  return `<h3>Wheels</h3>\n${barChart('score on each wheel in percent', bars)}`;
}

function confusions(chosen: CheckpointEvaluation, { settings }: Evaluation): string {
  const explained =
    '<p>Every group of the labels counts once: where it was said, else in equal shares at what was said instead.</p>';
  if (chosen.kind === 'sentiment') {
    return `<h3>Confusion</h3>\n${confusionTable(sentimentConfusion(chosen.result))}`;
  }
  const grouping = openGrouping(settings.wheelTable);
  const { perSample, level } = chosen.result;
  const tables = WHEELS.map((wheel, i) => {
    const centres = [...new Set(grouping.wheelMap(wheel, level).values())].sort(compareCodePoints);
    const counted = perSample.flatMap((sample) => sample.perWheel[i] ?? []);
    centres.push(...frequentWords(counted, centres));
    return `<details${i === 0 ? ' open' : ''}><summary>wheel ${wheel}</summary>${confusionTable(wheelConfusion(counted, centres))}</details>`;
  });
  return `<h3>Confusion of wheel centres</h3>\n${explained}\n${tables.join('\n')}`;
}

/** Words such as `neutral`, which are groups of their own, where many samples are labelled with them. */
function frequentWords(
  counted: readonly { readonly labels: readonly string[] }[],
  centres: readonly string[],
): string[] {
  const times = new Map<string, number>();
  for (const group of counted.flatMap(({ labels }) => labels)) {
    if (!centres.includes(group)) times.set(group, (times.get(group) ?? 0) + 1);
  }
  const enough = (number: number) => number >= ownRowShare * counted.length;
  return Array.from(times)
    .filter(([, number]) => enough(number))
    .map(([group]) => group)
    .sort(compareCodePoints);
}

/** With a column for answers that are no sentiment. */
function sentimentConfusion({
  classes,
  confusion,
  perSample,
}: Extract<CheckpointEvaluation, { kind: 'sentiment' }>['result']): ConfusionCounts {
  const invalid = classes.map(
    (truth) =>
      perSample.filter((one) => one.score !== null && one.truth === truth && one.predicted === null).length,
  );
  return {
    ...{ rows: classes, columns: [...classes, 'none of them'] },
    counts: confusion.map((row, i) => [...row, invalid[i]!]),
  };
}

/** Samples with the lowest scores, those of the same score by name. */
function worstSamples({ kind, samples, result, texts }: CheckpointEvaluation): string {
  const scored = samples.flatMap((sample, i) => {
    const { score } = result.perSample[i]!;
    return score === null || score === 1 ? [] : [{ sample, score }];
  });
  if (scored.length === 0) return '';
  scored.sort((a, b) => a.score - b.score || compareCodePoints(a.sample.name, b.sample.name));
  const rows = scored.slice(0, worstShown).map(({ sample, score }) => {
    const labels = 'labels' in sample ? sample.labels.join(', ') : String(sample.value);
    const predicted = 'labels' in sample ? sample.predicted.join(', ') : sample.predicted;
    const text = texts.get(sample.name) ?? '';
    const shown = text.length > longestText ? `${text.slice(0, longestText)}…` : text;
    const cells = [sample.name, percent(score), labels, predicted, shown].map(
      (cell) => `<td>${escapeHtml(cell)}</td>`,
    );
    return `<tr>${cells.join('')}</tr>`;
  });
  const found = kind === 'labels' ? 'words found' : 'sentiment found';
  const head = ['sample', 'score', kind === 'labels' ? 'labels' : 'valence', found, 'answer'];
  return `<h3>Worst samples</h3>
<p>${rows.length} of ${scored.length} that are not wholly right.</p>
<div class="wide"><table class="worst"><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr>
${rows.join('\n')}</table></div>`;
}
