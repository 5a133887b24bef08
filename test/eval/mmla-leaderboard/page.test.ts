import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { leaderboard } from '../../../src/eval/mmla/leaderboard/board.ts';
import { leaderboardHtml } from '../../../src/eval/mmla/leaderboard/html.ts';
import { mergeReports } from '../../../src/eval/mmla/leaderboard/merge.ts';
import { leaderboardScript } from '../../../src/eval/mmla/leaderboard/page-script.ts';
import { folderWith } from '../../config/files.ts';
import { findChromium, noChromium } from '../../support/chromium.ts';
import { run } from '../../support/command-output.ts';
import { report, taskReport, wholeReport, writeReportTo } from './sample-reports.ts';

const hostile = `<img src=x onerror="alert('1')">|</script>`;
const ours = mergeReports(
  [
    { file: hostile, report: wholeReport(hostile, 0.6, 0.02) },
    { file: 'b.json', report: wholeReport('mine', 0.5, 0.02) },
  ],
  new Map(),
);
const html = leaderboardHtml(leaderboard(ours, 'ACC', {}));

describe('the page', () => {
  it('escapes what comes from reports', () => {
    expect(html).not.toContain('<img');
    expect(html).toContain('&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;|&lt;/script&gt;');
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(html.match(/<\/script>/g)).toHaveLength(1);
  });

  it('asks for nothing from elsewhere and lets run its own script alone', () => {
    expect(html).not.toMatch(/https?:|<link|@import|url\(/);
    const hash = createHash('sha256').update(leaderboardScript).digest('base64');
    expect(html).toContain(
      `content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-${hash}'"`,
    );
    expect(html).toContain(`<script>${leaderboardScript}</script>`);
  });

  it('has every row in all three tables, with vintage, source and six bars', () => {
    const rows = leaderboard(ours, 'ACC', {}).rows.length;
    expect(rows).toBe(46 + 2 + 2);
    for (let order = 0; order < rows; order++) {
      expect(html.split(`<tr data-row="${order}"`)).toHaveLength(4);
    }
    expect(html.split('<details><summary>')).toHaveLength(rows + 1);
    expect(html.split('<rect ')).toHaveLength(6 * rows + 1);
    for (const said of [
      'first version: Figures 2-5',
      'Table 8',
      'bars of Figure 5',
      'UR-FUNNY F1: misread, likely 58.13.',
    ]) {
      expect(html).toContain(said);
    }
  });

  it('leaves a bar undrawn where tasks are missing', () => {
    const part = mergeReports(
      [{ file: 'a.json', report: report('part', [taskReport('MELD', 0.7)]) }],
      new Map(),
    );
    const page = leaderboardHtml(leaderboard(part, 'ACC', {}));
    expect(page).toMatch(/70\.00 over 1 of 2\)<\/span><svg [^>]*part, emotion"><rect [^>]*width="0"/);
  });
});

describe('affectgpt leaderboard mmla', () => {
  const rank = (...argv: string[]) => run('leaderboard', 'mmla', ...argv);

  it('prints JSON and writes three files', async () => {
    const folder = folderWith({});
    const file = writeReportTo(folder, 'a.json', wholeReport('mine', 0.6, 0.02));
    const { exitCode, out } = await rank(
      ...[file, '--mode', 'sft', '--modality', 'text', '--size', 'small', '--about', 'mine=sft,text,0.5B'],
      ...['--output', path.join(folder, 'board'), '--json'],
    );
    expect(exitCode).toBe(0);
    const json = JSON.parse(out);
    expect(json).toMatchObject({
      ...{ benchmark: 'mmla', metric: 'ACC', filter: { mode: 'sft', modality: 'text', size: 'small' } },
    });
    const rows = json.rows.map((row: { model: string }) => row.model);
    expect(rows).toEqual([
      ...['Qwen2-1.5B', 'Qwen2-0.5B', 'mine', 'majority label', 'TF-IDF + logistic regression'],
    ]);
    expect(json.rows[0]).toMatchObject({
      ...{ rank: 1, rankedBy: 'published', published: 64, vintage: 'revised: Tables 6-8' },
      micro: { value: null, tasks: 10, of: 12 },
    });
    expect(json.rows[2]).toMatchObject({
      ...{
        rank: 3,
        rankRange: [3, 3],
        isOurs: true,
        method: 'sft',
        parameters: 0.5,
        source: `${file}: stored answers`,
      },
      micro: { interval: { from: 'report' } },
      tasks: { 'Ch-sims': { n: 1031, metrics: { ACC: 60 } } },
    });
    expect(json.rows[2].micro.value).toBeCloseTo(60, 10);
    const read = (name: string) => readFileSync(path.join(folder, 'board', name), 'utf8');
    expect(JSON.parse(read('leaderboard.json'))).toEqual(json);
    expect(read('leaderboard.md')).toMatch(/^# MMLA leaderboard\n/);
    expect(read('leaderboard.html')).toMatch(/^<!doctype html>/);
  });

  it('prints a table of another metric without any report', async () => {
    const { exitCode, out } = await rank('--metric', 'WF1', '--mode', 'zero-shot');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/\| +micro WF1 \|/);
    expect(out).toContain('GPT-4o');
    expect(out).toContain('UR-FUNNY F1, R, P: lost (73.11,73.11,73.12 in the text).');
    expect(out).not.toContain('| SFT');
  });

  it('compares on the tasks that are named', async () => {
    const { exitCode, out } = await rank('--task', 'MUStARD', '--task', 'MOSI', '--mode', 'it');
    expect(exitCode).toBe(0);
    expect(out).toContain('Tasks: MOSI, MUStARD; all else is left out.');
    expect(out).toMatch(/^\| model +\| method \| numbers of +\| +MOSI \| +MUStARD \|$/m);
    expect(await rank('--task', 'MOZI')).toMatchObject({ exitCode: 2 });
    expect((await rank('--task', 'MOSI', '--task', 'MOSI')).err).toContain('MOSI is given more than once');
  });

  it('ends with 2 where a report is not there or an option is unknown', async () => {
    expect((await rank('missing.json')).exitCode).toBe(2);
    expect(await rank('--metric', 'BLEU')).toMatchObject({ exitCode: 2 });
    expect((await rank('--about', 'mine=sft')).err).toContain('MMLA_ABOUT_UNUSED');
  });
});

const executablePath = findChromium();
if (executablePath === undefined) console.warn(`The leaderboard is not opened in a browser. ${noChromium}`);

describe.skipIf(executablePath === undefined)('the page in a browser', () => {
  let page: Page;
  const errors: string[] = [];
  beforeAll(async () => {
    const browser: Browser = await chromium.launch({
      ...(executablePath !== undefined && { executablePath }),
      args: ['--no-sandbox'],
    });
    page = await browser.newPage();
    page.on('pageerror', ({ message }) => errors.push(message));
    page.on('console', (message) => void (message.type() === 'error' && errors.push(message.text())));
    await page.setContent(html);
    return () => browser.close();
  });
  const shown = async (table: string): Promise<string[][]> =>
    (await page.evaluate(
      `[...document.querySelectorAll('${table} tbody tr:not([hidden])')].map((row) => [...row.cells].map((cell) => cell.textContent))`,
    )) as string[][];

  it('filters, ranks, changes the metric and sorts, as the command does', async () => {
    const places = (rows: string[][]) => rows.map(([rank, model]) => `${rank} ${model}`);
    const expected = (metric: 'ACC' | 'F1') =>
      leaderboard(ours, metric, { method: 'zero-shot', modality: 'video' });
    await page.selectOption('select[data-filter=method]', 'zero-shot');
    await page.selectOption('select[data-filter=modality]', 'video');
    for (const metric of ['ACC', 'F1'] as const) {
      await page.selectOption('select[name=metric]', metric);
      const rows = expected(metric).entries.map(({ row, place }) => {
        const range = place?.range === undefined ? '' : ` (${place.range.join('–')})`;
        return `${place === undefined ? '—' : `${place.rank}${range}`} ${row.model}`;
      });
      expect(places(await shown('#ranking')).sort()).toEqual(rows.sort());
      expect(await shown('#tasks')).toHaveLength(rows.length);
      expect(await shown('#dimensions')).toHaveLength(rows.length);
    }
    await page.selectOption('select[name=metric]', 'ACC');
    await page.selectOption('select[data-filter=vintage]', 'first');
    // None is both; what was given and the floors stay.
    expect(await shown('#ranking')).toHaveLength(4);
    await page.click('#ranking th button:has-text("model")');
    expect((await shown('#ranking')).map((cells) => cells[1]!).slice(1)).toEqual([
      ...['majority label', 'mine', 'TF-IDF + logistic regression'],
    ]);
    await page.click('#ranking th button:has-text("micro")');
    expect((await shown('#ranking')).map((cells) => cells[5]!.slice(0, 5))).toEqual([
      ...['60.00', '50.00', '34.28', '— (62'],
    ]);
    expect(errors).toEqual([]);
  });
});
