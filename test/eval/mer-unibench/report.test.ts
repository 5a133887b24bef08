import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reportHtml } from '../../../src/eval/mer-unibench/report/html.ts';
import { contractJson } from '../../../src/eval/mer-unibench/report/json.ts';
import { reportMarkdown } from '../../../src/eval/mer-unibench/report/markdown.ts';
import { wheelConfusion } from '../../../src/eval/mer-unibench/report/tables.ts';
import { writeReport } from '../../../src/eval/mer-unibench/report/write.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { evaluateGiven, type GivenSet } from './scored.ts';

const evil = `<script>alert(1)</script> & "quoted" <img src=x onerror='y'>`;
const ovmerd: GivenSet = {
  key: 'ovmerd',
  truths: { a: ['happy', 'sad'], [evil]: ['angry', evil], c: ['surprise'] },
  answers: {
    'epoch|1': {
      a: { text: 'happy\nand | sad', labels: ['joyful'] },
      [evil]: { text: evil, labels: [evil] },
      c: { labels: ['calm'] },
    },
  },
};
const sims: GivenSet = {
  key: 'sims',
  truths: { p: 1, q: -1, r: Number.NaN, s: -0.4 },
  answers: {
    'epoch|1': {
      p: { sentiment: 'positive' },
      q: { sentiment: 'neutral', text: 'who knows' },
      r: { sentiment: 'neutral' },
      s: { sentiment: 'mixed' },
    },
  },
};
const strict = () => evaluateGiven([ovmerd, sims], { allLevels: true });

describe('report.json', () => {
  it('holds settings, scores, findings and every sample', async () => {
    const { evaluation } = await strict();
    const folder = join(await temporaryFolder(), 'new', 'folder');
    const paths = await writeReport(folder, evaluation);
    expect(paths.map((path) => path.slice(folder.length + 1))).toEqual([
      'report.json',
      'report.md',
      'report.html',
    ]);
    const report = JSON.parse(await readFile(paths[0]!, 'utf8'));
    expect(report).toMatchObject({
      ...{ format: 'affectgpt-mer-unibench-report', version: 1, protocol: 'strict', wheelTable: 'corrected' },
      ...{ level: 1, extractor: 'stored', extractorDetail: null, seed: 1, resamples: 50, means: [] },
    });
    const [words, sentiments] = report.sets;
    expect(words).toMatchObject({
      benchmark: 'mer-unibench',
      dataset: 'ovmerd',
      metric: 'ew',
      title: 'OV-MERD',
      count: 332,
    });
    expect(words.findings[0]).toMatchObject({ kind: 'unmapped-labels', count: 2 });
    const [checkpoint] = words.checkpoints;
    expect(checkpoint).toMatchObject({ name: 'epoch|1', n: 3, nScored: 3, files: ['ovmerd/epoch|1'] });
    expect(checkpoint.metrics.twelve).toHaveLength(12);
    expect(checkpoint.interval).toMatchObject({ confidence: 0.95, resamples: 50 });
    expect(checkpoint.perWheel[4]).toMatchObject({ wheel: 5, nScored: 3, nUnmapped: 1 });
    // In the order of the names.
    expect(checkpoint.samples).toEqual([
      expect.objectContaining({
        name: evil,
        labels: ['angry', evil],
        predicted: [evil],
      }),
      {
        name: 'a',
        score: 2 / 3,
        wheels: Array(5).fill(2 / 3),
        labels: ['happy', 'sad'],
        predicted: ['joyful'],
        text: 'happy\nand | sad',
      },
      { name: 'c', score: 0, wheels: [0, 0, 0, 0, 0], labels: ['surprise'], predicted: ['calm'] },
    ]);
    expect(sentiments.checkpoints[0].samples[2]).toEqual({
      name: 'r',
      score: null,
      value: null,
      predicted: 'neutral',
    });
    expect(sentiments.checkpoints[0]).toMatchObject({
      classes: ['negative', 'neutral', 'positive'],
      confusion: [
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
      ],
    });
    for (const set of report.sets) {
      for (const { samples, n } of set.checkpoints) expect(samples).toHaveLength(n);
    }
  });

  it('has more than what the command prints, which is the contract and nothing else', async () => {
    const { evaluation } = await strict();
    const [words, sentiments] = evaluation.sets.map((set) => contractJson(evaluation, set));
    const keys = (value: object) => Object.keys(value).join(' ');
    expect(keys(words!)).toBe('benchmark dataset metric protocol wheelTable extractor seed checkpoints');
    const [checkpoint] = words!.checkpoints;
    expect(keys(checkpoint!)).toBe('name score n nScored metrics perWheel');
    expect(keys(checkpoint!.metrics)).toBe('f precision recall twelve');
    expect(keys(checkpoint!.perWheel[0]!)).toBe('wheel level score precision recall nScored');
    expect(keys(sentiments!.checkpoints[0]!.metrics)).toBe('waf acc');
    expect(sentiments!.checkpoints[0]!.perWheel).toEqual([]);
    const hits = await evaluateGiven([{ ...ovmerd, key: 'mer2024' }], { protocol: 'paper' });
    const json = contractJson(hits.evaluation, hits.evaluation.sets[0]!);
    expect(keys(json)).toBe('benchmark dataset metric protocol wheelTable extractor seed checkpoints best');
    expect(keys(json.checkpoints[0]!.metrics)).toBe('hit mscore');
    expect(keys(json.checkpoints[0]!.perWheel[0]!)).toBe('wheel level score nScored');
  });
});

describe('report.md', () => {
  it('has the layout of the papers, and states how it was made', async () => {
    const two = { ...ovmerd, key: 'ovmerdplus' } as const;
    const { evaluation } = await evaluateGiven([sims, two]);
    const text = reportMarkdown(evaluation);
    expect(text).toMatch(
      /^# MER-UniBench\n\n- protocol: strict: .*\n- checkpoint: epoch\|1\n- word table: corrected, level 1 of the wheels\n- extractor: stored\n- seed: 1\n- intervals: 95 %, percentile bootstrap over samples, 50 resamples\n/,
    );
    expect(text).toMatch(
      /\| {11}\| +CH-SIMS \| +OV-MERD\+ \| +fine-grained \| +mean \(2 of 9 sets\) \|\n\| -+ \| -+: \| -+: \| -+: \| -+: \|\n/,
    );
    expect(text).toMatch(
      /\| score {5}\| +33\.33 \| +\d\d\.\d\d \| +\d\d\.\d\d \| +\d\d\.\d\d \|\n\| 95 % from \|/,
    );
    // A sign of the table in a name is not one of the table.
    expect(text).toContain('| epoch\\|1 |');
    expect(text).toContain(
      '- sims/epoch|1: answers that are none of positive, negative and neutral; they are wrong (1): s.',
    );
  });

  it('marks the best checkpoint of each set', async () => {
    const worse = { ...sims, answers: { ...sims.answers, 'epoch|2': { p: { sentiment: 'negative' } } } };
    const { evaluation } = await evaluateGiven([worse], { protocol: 'paper' });
    const text = reportMarkdown(evaluation);
    expect(text).toMatch(
      /- protocol: paper: .*\n.*\n- word table: published.*\n(?:.*\n)*- intervals: none under this protocol\n/,
    );
    expect(text).toMatch(/\| epoch\\\|1 +\| 100\.00 \* \|\n\| epoch\\\|2 +\| +53\.33 \|\n/);
  });
});

describe('report.html', () => {
  it('escapes whatever comes from files, and needs nothing from elsewhere', async () => {
    const { evaluation } = await strict();
    const html = reportHtml(evaluation);
    expect(html).toContain(
      '&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot; &lt;img src=x onerror=&#39;y&#39;&gt;',
    );
    expect(html).not.toMatch(/<script|<img|onerror='|https?:|@import|url\(/);
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"`);
    const opened = html
      .match(/<(?!!|meta)[a-z]\w*(?=[\s>])(?:[^>"]|"[^"]*")*>/g)!
      .filter((tag) => !tag.endsWith('/>'));
    expect(opened.length).toBe(html.match(/<\/[a-z]\w*>/g)!.length);
  });

  it('shows bars, wheels, confusions and the worst samples', async () => {
    const { evaluation } = await strict();
    const html = reportHtml(evaluation);
    expect(html.match(/<svg /g)).toHaveLength(2);
    expect(html.match(/class="whisker"/g)).toHaveLength(6);
    expect(html.match(/<summary>wheel \d<\/summary>/g)).toHaveLength(5);
    expect(html).toContain('<th>label \\ answer</th><th class="number">disgusted</th>');
    expect(html).toContain('<th class="number">none of them</th>');
    const worst = html.slice(html.indexOf('Worst samples'));
    expect(worst).toContain('<p>3 of 3 that are not wholly right.</p>');
    expect(worst).toContain('<td>happy\nand | sad</td>');
    expect(html.slice(html.lastIndexOf('Worst samples'))).toContain('<td>who knows</td>');
  });
});

describe('the confusion of wheel centres', () => {
  it('counts each group of the labels once', () => {
    const { rows, columns, counts } = wheelConfusion(
      [
        { labels: ['sad', 'happy'], predicted: ['sad', 'mad', 'blorp'] },
        { labels: ['blip'], predicted: [] },
        { labels: ['sad'], predicted: ['happy', 'mad'] },
      ],
      ['happy', 'mad', 'sad'],
    );
    expect(rows).toEqual(['happy', 'mad', 'sad', 'other words']);
    expect(columns).toEqual([...rows, 'nothing']);
    expect(counts).toEqual([
      [0, 0.5, 0, 0.5, 0],
      [0, 0, 0, 0, 0],
      [0.5, 0.5, 1, 0, 0],
      [0, 0, 0, 0, 1],
    ]);
  });
});
