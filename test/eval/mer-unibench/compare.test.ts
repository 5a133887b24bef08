import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareReports } from '../../../src/eval/mer-unibench/compare/compare.ts';
import { comparisonJson, comparisonMarkdown } from '../../../src/eval/mer-unibench/compare/format.ts';
import { comparisonHtml } from '../../../src/eval/mer-unibench/compare/html.ts';
import { readReport } from '../../../src/eval/mer-unibench/compare/read-report.ts';
import { publishedResults } from '../../../src/eval/mer-unibench/published-results.ts';
import { writeReport } from '../../../src/eval/mer-unibench/report/write.ts';
import type { EvaluationOptions } from '../../../src/eval/mer-unibench/run.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { evaluateGiven, type GivenSet } from './scored.ts';

const names = Array.from({ length: 40 }, (_, i) => `s${i}`);
const emotions = ['happy', 'sad', 'angry', 'worried'];

/** A model that is right about every sample but each `wrongEach`th. */
function setsOf(wrongEach: number, labels = emotions): GivenSet[] {
  const truth = (i: number) => labels[i % labels.length]!;
  return [
    {
      key: 'mer2023',
      truths: Object.fromEntries(names.map((name, i) => [name, [truth(i)]])),
      answers: {
        model: Object.fromEntries(
          names.map((name, i) => [name, { labels: [i % wrongEach === 0 ? 'blorp' : truth(i)] }]),
        ),
      },
    },
    {
      key: 'sims',
      truths: Object.fromEntries(
        names.map((name, i) => [name, i === 7 ? Number.NaN : i % 2 === 0 ? 0.5 : -0.5]),
      ),
      answers: {
        model: Object.fromEntries(
          names.map((name, i) => [
            name,
            { sentiment: (i % 2 === 0) === (i % wrongEach !== 0) ? 'positive' : 'negative' },
          ]),
        ),
      },
    },
  ];
}

async function report(sets: readonly GivenSet[], options: Partial<EvaluationOptions> = {}, name = 'model') {
  const { evaluation } = await evaluateGiven(sets, options);
  const folder = join(await temporaryFolder(), name);
  await writeReport(folder, evaluation);
  return folder;
}

const options = { seed: 3, resamples: 400, allowDifferences: false };

describe('comparing reports', () => {
  it('tests differences on the same draws', async () => {
    const good = await report(setsOf(20), {}, 'good');
    const bad = await report(setsOf(3), {}, 'bad');
    const reports = [await readReport(good), await readReport(join(bad, 'report.json'))];
    const comparison = compareReports(reports, options);
    expect(comparison.names).toEqual(['good', 'bad']);
    expect(comparison.scores[0]![0]).toBeCloseTo(38 / 40, 12);
    expect(comparison.scores[1]![0]).toBeCloseTo(26 / 40, 12);
    expect(comparison.paired.map(({ key }) => key)).toEqual(['mer2023', 'sims', 'mean']);
    const [hits, sentiments, mean] = comparison.paired.map((one) => one.comparison);
    expect(hits!.difference).toBeCloseTo(-12 / 40, 12);
    expect(hits!.interval.high).toBeLessThan(0);
    // No resample turns it: the least that 400 of them can say, on both sides.
    expect(hits!.pValue).toBeCloseTo(2 / 401, 12);
    expect(mean!.difference).toBeCloseTo((hits!.difference + sentiments!.difference) / 2, 12);
    const same = compareReports([reports[0]!, reports[0]!], options);
    expect(same.paired.map(({ comparison: { difference, pValue } }) => [difference, pValue])).toEqual(
      Array(3).fill([0, 1]),
    );
    expect(same.names).toEqual([good, good]);
  });

  it('shows scores, differences and published rows', async () => {
    const good = await report(setsOf(20), {}, 'good');
    const bad = await report(setsOf(3), {}, 'bad');
    const comparison = compareReports([await readReport(good), await readReport(bad)], options);
    const text = comparisonMarkdown(comparison);
    expect(text).toMatch(/\| +\| +MER2023 \| CH-SIMS \| mean of 2 sets \|/);
    expect(text).toMatch(/\| good +\| +95\.00 \|/);
    expect(text).toMatch(/\| AffectGPT \[.*Tables 2 and 12\] \| +78\.54 \| +88\.49 \| +83\.52 \|/);
    expect(text).toContain('not comparable with scores under "strict"');
    expect(text).toMatch(/\| bad +\| mean of 2 sets \| +-\d/);
    expect(text).toMatch(/\| LoRA: rank 32 +\| +– \| +– \| +– \| 74\.92 \|/);
    const json = comparisonJson(comparison);
    expect(json.reports.map(({ name, protocol }) => [name, protocol])).toEqual([
      ['good', 'strict'],
      ['bad', 'strict'],
    ]);
    expect(json.published[0]).toMatchObject({ scores: { mer2023: 0.7854 }, means: { mean: 0.7477 } });
    expect(json.paired[0]).toMatchObject({ report: 'bad', against: 'good', dataset: 'mer2023' });
  });

  it('shows the same on a page, with bars', async () => {
    const good = await report(setsOf(20), {}, 'good');
    const bad = await report(setsOf(3), {}, '<b>bad');
    const comparison = compareReports([await readReport(good), await readReport(bad)], options);
    const html = comparisonHtml(comparison);
    // MER2023, CH-SIMS and their mean, with a bar of each report.
    expect(html.match(/<svg /g)).toHaveLength(3);
    expect(html.match(/class="bar"/g)).toHaveLength(6);
    expect(html).toContain('<h3>mean of 2 sets</h3>');
    expect(html).toContain('<td>good</td><td class="number">95.00</td>');
    expect(html).toContain('<h2>Differences to good</h2>');
    expect(html).toContain('<td>&lt;b&gt;bad</td><td>mean of 2 sets</td><td class="number">-');
    expect(html).toContain('not comparable with scores under &quot;strict&quot;');
    expect(html).not.toMatch(/<b>|<script|https?:|url\(/);
  });

  it('refuses what was made in different ways, unless told to show it as such', async () => {
    const strict = await readReport(await report(setsOf(3), {}, 'strict'));
    const paper = await readReport(await report(setsOf(3), { protocol: 'paper' }, 'paper'));
    expect(() => compareReports([strict, paper], options)).toThrow(
      /protocol: strict \| paper; wheelTable: corrected \| published/,
    );
    const comparison = compareReports([strict, paper], { ...options, allowDifferences: true });
    expect(comparison.paired).toEqual([]);
    const text = comparisonMarkdown(comparison);
    expect(text).toContain(
      '- **protocol differs: strict | paper**\n- **word table differs: corrected | published**\n',
    );
    expect(text).not.toContain('## Differences');
    const html = comparisonHtml(comparison);
    expect(html).toContain('<dt>protocol</dt><dd><strong>differs: strict | paper</strong></dd>');
    expect(html).toContain('nothing is tested.</p>');
    expect(html).not.toContain('<h2>Differences');
    expect(() => compareReports([strict], options)).toThrow(/two or more/);
  });

  it('refuses other samples and other labels', async () => {
    const read = async (sets: GivenSet[]) => readReport(await report(sets));
    const one = await read(setsOf(3));
    const [hits, sentiments] = setsOf(3);
    const { s0: _, ...fewer } = hits!.truths;
    const without = await read([{ ...hits!, truths: fewer }, sentiments!]);
    expect(() => compareReports([one, without], options)).toThrow(/1 are in one result alone, among them s0/);
    const other = await read(setsOf(3, ['happy', 'sad', 'angry', 'surprise']));
    expect(() => compareReports([one, other], options)).toThrow(
      /MER2023: 10 samples are labelled differently/,
    );
  });
});

describe('reading a report', () => {
  it('refuses what is none, and one whose scores do not follow from its words', async () => {
    const folder = await report(setsOf(3));
    const file = join(folder, 'report.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"predicted":["sad"]', '"predicted":["angry"]'));
    await expect(readReport(folder)).rejects.toThrow(/score of mer2023 is 0\.65.*its words come to 0\.625/);
    await writeFile(file, text.replace('"version": 1', '"version": 2'));
    await expect(readReport(folder)).rejects.toThrow(/no report of affectgpt eval mer-unibench: version/);
    await writeFile(file, text.slice(0, 1000));
    await expect(readReport(folder)).rejects.toThrow(/no report of affectgpt eval mer-unibench: /);
    await expect(readReport(join(folder, 'gone'))).rejects.toThrow(/no such file/);
  });
});

it('published rows agree with their own means', () => {
  const [main] = publishedResults;
  const scores = Object.values(main!.scores!);
  expect(scores).toHaveLength(9);
  expect(scores.reduce((sum, score) => sum + score, 0) / 9).toBeCloseTo(main!.means!.mean, 1);
  expect(new Set(publishedResults.map(({ name }) => name)).size).toBe(publishedResults.length);
});
