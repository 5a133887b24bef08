import type { MmlaDimension, MmlaTask } from '../../../data/mmla/tasks.ts';
import { escapeHtml, htmlPage } from '../../../report/page.ts';
import { htmlTable } from '../../../report/table.ts';
import type { Average } from './averages.ts';
import { type BoardEntry, boardEntries, dimensionsOn, type Leaderboard, sameContestant } from './board.ts';
import {
  averageText,
  intervalText,
  legend,
  marks,
  methodText,
  modalityText,
  noteTexts,
  placeText,
  publishedText,
  taskText,
} from './cells.ts';
import { alwaysStays } from './filter.ts';
import { chosenText, referenceTable } from './markdown.ts';
import { sizeClasses, sizeClassOf, sizeText } from './models.ts';
import { leaderboardScript } from './page-script.ts';
import { boardMetrics, type LeaderboardRow, methodTitles, modalityTitles, vintageTitles } from './row.ts';

const style = `
  body { max-width: none; margin: 2rem; } .wide { overflow-x: auto; } table { font-size: 0.85rem; margin: 0.6rem 0; }
  tr[hidden], form[hidden] { display: none; } #tasks td, #dimensions td { white-space: nowrap; } #dimensions th { text-align: left; } tr.ours { background: var(--note); } td { vertical-align: top; }
  form { display: flex; flex-wrap: wrap; gap: 0.4rem 1.2rem; margin: 1rem 0; } select { font: inherit; color: inherit; background: var(--panel); }
  th button { all: unset; font: inherit; font-weight: bold; cursor: pointer; } th button:disabled { cursor: auto; } th button:focus-visible { outline: 2px solid var(--hue-0); }
  th[aria-sort=ascending] button::after { content: ' ↑'; } th[aria-sort=descending] button::after { content: ' ↓'; }
  .bar { min-width: 7rem; white-space: nowrap; } .bar svg { display: block; width: 7rem; height: 0.6rem; } .bar rect { fill: var(--hue-0); }
  summary { cursor: pointer; } details { max-width: 34rem; } .place { white-space: nowrap; }`;

/** A row with its entries for all metrics, in the order of `boardMetrics`. */
interface PageRow {
  readonly row: LeaderboardRow;
  readonly entries: readonly BoardEntry[];
  /** Place in the order in which other numbers of a model give way to the first. */
  readonly order: number;
  readonly contestant: number;
}

/** All rows, those of the chosen metric by score and the rest behind. */
function pageRows({ rows, entries, tasks }: Leaderboard): PageRow[] {
  const byMetric = boardMetrics.map((metric) => boardEntries(rows, metric, tasks));
  const found = rows.map((row, order) => ({
    ...{ row, order },
    entries: byMetric.map((of) => of[order]!),
    contestant: rows.findIndex((other) => sameContestant(other, row)),
  }));
  const shown = new Map(entries.map(({ row }, i) => [row, i]));
  const placeOf = ({ row }: PageRow) => shown.get(row) ?? Number.POSITIVE_INFINITY;
  // Rows without a place are as many infinities, whose difference is no number.
  return found.sort((a, b) => placeOf(a) - placeOf(b) || 0);
}

/** One text for each metric, as an attribute that the script reads. */
const attribute = (name: string, texts: readonly string[]): string =>
  ` data-${name}="${escapeHtml(texts.join('|'))}"`;

/** A cell whose text depends on the metric. */
const cell = (texts: readonly string[], chosen: number, name: string): string =>
  `<td class="${name}"${attribute('texts', texts)}>${escapeHtml(texts[chosen]!)}</td>`;
const fixedCell = (text: string): string => `<td>${escapeHtml(text)}</td>`;

interface Column {
  readonly title: string;
  /** Sorted as text, from A; else by number. */
  readonly isText?: boolean;
  /** Which way the first click sorts; default: the highest first. */
  readonly first?: 'ascending';
  /** Whether the name of the metric is part of the title. */
  readonly hasMetric?: boolean;
}

function headOf(columns: readonly Column[], metric: string): string {
  const cells = columns.map(({ title, isText = false, first, hasMetric = false }) => {
    const name = `${escapeHtml(title)}${hasMetric ? ` <span class="metric">${escapeHtml(metric)}</span>` : ''}`;
    const sorting = first === undefined ? '' : ` data-first="${first}"`;
    const kind = isText ? ' data-text="" data-first="ascending"' : ` class="number"${sorting}`;
    return `<th${kind}><button type="button" disabled>${name}</button></th>`;
  });
  return `<thead><tr>${cells.join('')}</tr></thead>`;
}

const text = (title: string): Column => ({ title, isText: true });
const names = [text('model'), text('method'), text('numbers of')];

/** Opening tag of a row in whichever table; a filter hides it in all of them. */
const opening = ({ row, order }: PageRow, more = ''): string =>
  `<tr data-row="${order}"${row.vintage === 'ours' ? ' class="ours"' : ''}${more}>`;

const nameCells = ({ row, entries }: PageRow): string =>
  [row.model, methodText(entries[0]!), vintageTitles[row.vintage]].map(fixedCell).join('');

function rankingTable(rows: readonly PageRow[], chosen: number): string {
  const columns: Column[] = [
    ...[{ title: 'rank', first: 'ascending' } as const, text('model'), { title: 'size' }, text('input')],
    ...[text('method'), { title: 'micro', hasMetric: true }, { title: '95 % interval' }],
    ...[{ title: 'mean', hasMetric: true }, { title: 'published' }, text('numbers of, with their source')],
  ];
  const body = rows.map((page) => {
    const { row, entries, order, contestant } = page;
    const scores = entries.map(({ score }) => score);
    const data = [
      ` data-order="${order}" data-contestant="${contestant}"`,
      ` data-method="${row.method ?? ''}" data-modality="${row.modality ?? ''}"`,
      ` data-size="${sizeClassOf(row.parameters)}" data-vintage="${row.vintage}"`,
      alwaysStays(row) ? ' data-stays=""' : '',
      attribute(
        'score',
        scores.map((score) => score?.value.toFixed(6) ?? ''),
      ),
      attribute(
        'low',
        scores.map((score) => score?.interval?.low.toFixed(6) ?? ''),
      ),
      attribute(
        'high',
        scores.map((score) => score?.interval?.high.toFixed(6) ?? ''),
      ),
      attribute(
        'mark',
        scores.map((score) => (score?.from === 'published' ? marks.published : '')),
      ),
    ].join('');
    const source = [row.source, ...noteTexts(entries[0]!, 'ACC')].map(escapeHtml).join('<br>');
    const each = (show: (entry: BoardEntry, i: number) => string) =>
      cell(entries.map(show), chosen, 'number');
    return [
      opening(page, data),
      `<td class="number place">${escapeHtml(placeText(entries[chosen]!))}</td>`,
      `<td><b>${escapeHtml(row.model)}</b></td><td class="number">${escapeHtml(sizeText(row.parameters))}</td>`,
      fixedCell(modalityText(entries[0]!)),
      fixedCell(methodText(entries[0]!)),
      cell(
        entries.map(({ micro }) => averageText(micro)),
        chosen,
        'number micro',
      ),
      each(intervalText),
      each(({ mean }) => averageText(mean)),
      each((entry, i) => publishedText(entry, boardMetrics[i]!)),
      `<td><details><summary>${escapeHtml(vintageTitles[row.vintage])}</summary>${source}</details></td></tr>`,
    ].join('');
  });
  return `<div class="wide"><table id="ranking">${headOf(columns, boardMetrics[chosen]!)}\n<tbody>${body.join('\n')}</tbody></table></div>`;
}

function taskTable(rows: readonly PageRow[], tasks: readonly MmlaTask[], chosen: number): string {
  const body = rows.map((page) => {
    const cells = tasks.map(({ key }) =>
      cell(
        boardMetrics.map((metric, i) => taskText(page.entries[i]!, key, metric)),
        chosen,
        'number',
      ),
    );
    return `${opening(page)}${nameCells(page)}${cells.join('')}</tr>`;
  });
  const columns = [...names, ...tasks.map(({ title }) => ({ title }))];
  return `<div class="wide"><table id="tasks">${headOf(columns, '')}\n<tbody>${body.join('\n')}</tbody></table></div>`;
}

/** A bar from 0 to 100 % with its number; nothing is drawn where tasks are missing. */
function barCell(averages: readonly (Average | undefined)[], chosen: number, label: string): string {
  const widths = averages.map((average) =>
    average === undefined || average.tasks < average.of ? '0' : average.value.toFixed(1),
  );
  const texts = averages.map(averageText);
  return [
    `<td class="bar"><span${attribute('texts', texts)}>${escapeHtml(texts[chosen]!)}</span>`,
    `<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}">`,
    `<rect x="0" y="0" height="10" width="${widths[chosen]!}"${attribute('widths', widths)}/></svg></td>`,
  ].join('');
}

function dimensionTable(
  rows: readonly PageRow[],
  dimensions: readonly MmlaDimension[],
  chosen: number,
): string {
  const body = rows.map((page) => {
    const bars = dimensions.map((dimension) =>
      barCell(
        page.entries.map(({ dimensions }) => dimensions[dimension]),
        chosen,
        `${page.row.model}, ${dimension}`,
      ),
    );
    return `${opening(page)}${nameCells(page)}${bars.join('')}</tr>`;
  });
  const columns = [...names, ...dimensions.map((title) => ({ title }))];
  return `<div class="wide"><table id="dimensions">${headOf(columns, '')}\n<tbody>${body.join('\n')}</tbody></table></div>`;
}

function choice(filter: string, title: string, titles: Readonly<Record<string, string>>): string {
  const options = Object.entries({ '': 'all', ...titles }).map(
    ([value, shown]) => `<option value="${escapeHtml(value)}">${escapeHtml(shown)}</option>`,
  );
  return `<label>${escapeHtml(title)} <select data-filter="${filter}" autocomplete="off">${options.join('')}</select></label>`;
}

/** Hidden until the script makes it work. */
function controls(chosen: number): string {
  const { ours: _ours, floor: _floor, ...vintages } = vintageTitles;
  const { floor: _method, ...methods } = methodTitles;
  const metrics = boardMetrics.map(
    (metric, i) => `<option${i === chosen ? ' selected' : ''}>${metric}</option>`,
  );
  return [
    '<form hidden>',
    `<label>metric <select name="metric" autocomplete="off">${metrics.join('')}</select></label>`,
    choice('method', 'method', methods),
    choice('modality', 'input', modalityTitles),
    choice('size', 'size', sizeClasses),
    choice('vintage', 'numbers of', vintages),
    '</form>',
  ].join('\n');
}

/** `leaderboard.html`: one page that needs nothing from elsewhere, with one script, whose filters hold for all tables. */
export function leaderboardHtml(board: Leaderboard): string {
  const chosen = boardMetrics.indexOf(board.metric);
  const rows = pageRows(board);
  const explained = [
    ...legend('ACC', board.tasks),
    'Other metrics than ACC: micro is their mean, weighted by the same sizes; intervals only where they are reported.',
  ].map((line) => `<li>${escapeHtml(line)}</li>`);
  const metric = `<span class="metric">${escapeHtml(board.metric)}</span>`;
  const body = [
    `<h1>MMLA leaderboard</h1>\n<p>Metric: ${metric}, in percent. ${escapeHtml(chosenText(board))}</p>`,
    controls(chosen),
    rankingTable(rows, chosen),
    `<ul>${explained.join('')}</ul>`,
    `<h2>Tasks (${metric})</h2>\n${taskTable(rows, board.tasks, chosen)}`,
    `<h2>Dimensions (${metric}, weighted by samples)</h2>\n${dimensionTable(rows, dimensionsOn(board), chosen)}`,
    `<h2>Prior state of the art and people (lines of Figures 4 and 5)</h2>\n${htmlTable(referenceTable(board))}`,
  ].join('\n');
  return htmlPage({ title: 'MMLA leaderboard', style, hasDarkMode: true, body, script: leaderboardScript });
}
