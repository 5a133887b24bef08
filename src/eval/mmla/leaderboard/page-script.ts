/**
 * What the page of the leaderboard runs: filters, the choice of the metric, sorting, and places among the rows that are
 * shown, by the same rule as `places`. It only moves elements and sets texts that the page holds already; without it the
 * page shows everything.
 */
export const leaderboardScript = `
'use strict';
const form = document.querySelector('form');
const filters = [...form.querySelectorAll('select[data-filter]')];
const metric = form.querySelector('select[name=metric]');
const rows = [...document.querySelectorAll('#ranking tbody tr')];
const inOrder = [...rows].sort((a, b) => a.dataset.order - b.dataset.order);
const numberAt = (text, k) => (text.split('|')[k] === '' ? undefined : Number(text.split('|')[k]));

function rank(k) {
  const taken = new Set();
  const scored = [];
  for (const row of inOrder) {
    const score = numberAt(row.dataset.score, k);
    row.querySelector('.place').textContent = '\u2014';
    if (row.hidden || score === undefined || taken.has(row.dataset.contestant)) continue;
    taken.add(row.dataset.contestant);
    const low = numberAt(row.dataset.low, k);
    scored.push({ row, score, hasInterval: low !== undefined, low: low ?? score, high: numberAt(row.dataset.high, k) ?? score });
  }
  for (const one of scored) {
    const count = (isCounted) => scored.filter(isCounted).length;
    const best = 1 + count(({ low }) => low > one.high);
    const worst = scored.length - count(({ high }) => high < one.low);
    const range = one.hasInterval ? ' (' + best + '\u2013' + worst + ')' : '';
    const mark = one.row.dataset.mark.split('|')[k];
    one.row.querySelector('.place').textContent = 1 + count(({ score }) => score > one.score) + range + mark;
  }
}

function show() {
  const k = metric.selectedIndex;
  const hidden = new Map();
  for (const row of rows) {
    const isOut = filters.some(({ value, dataset }) => value !== '' && row.dataset[dataset.filter] !== value);
    const isEmpty = row.querySelector('.micro').dataset.texts.split('|')[k] === '\u2014';
    hidden.set(row.dataset.row, isEmpty || (isOut && row.dataset.stays === undefined));
  }
  for (const row of document.querySelectorAll('[data-row]')) row.hidden = hidden.get(row.dataset.row);
  for (const cell of document.querySelectorAll('[data-texts]')) cell.textContent = cell.dataset.texts.split('|')[k];
  for (const bar of document.querySelectorAll('[data-widths]')) bar.setAttribute('width', bar.dataset.widths.split('|')[k]);
  for (const name of document.querySelectorAll('.metric')) name.textContent = metric.value;
  rank(k);
}

function orderByScore() {
  const k = metric.selectedIndex;
  const scoreOf = (row) => numberAt(row.dataset.score, k) ?? -1;
  const places = new Map([...rows].sort((a, b) => scoreOf(b) - scoreOf(a)).map((row, i) => [row.dataset.row, i]));
  for (const table of document.querySelectorAll('#ranking, #tasks, #dimensions')) {
    const body = table.tBodies[0];
    for (const head of table.tHead.rows[0].cells) head.removeAttribute('aria-sort');
    body.append(...[...body.rows].sort((a, b) => places.get(a.dataset.row) - places.get(b.dataset.row)));
  }
}

function sort(button) {
  const head = button.closest('th');
  const body = head.closest('table').tBodies[0];
  const isDown = head.getAttribute('aria-sort') !== (head.dataset.first ?? 'descending');
  const order = isDown ? (head.dataset.first ?? 'descending') : head.dataset.first === 'ascending' ? 'descending' : 'ascending';
  for (const other of head.parentElement.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', order);
  const sign = order === 'ascending' ? 1 : -1;
  const isText = head.dataset.text !== undefined;
  const key = (row) => {
    const text = row.cells[head.cellIndex].textContent;
    return isText ? text : Number.parseFloat(text);
  };
  const compare = (a, b) => {
    if (isText) return sign * a.localeCompare(b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  };
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
}

form.hidden = false;
form.addEventListener('change', show);
metric.addEventListener('change', orderByScore);
for (const button of document.querySelectorAll('th button')) {
  button.disabled = false;
  button.addEventListener('click', () => sort(button));
}
show();
`;
