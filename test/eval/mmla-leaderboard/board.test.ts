import { describe, expect, it } from 'vitest';
import { microAverage, unweightedMean } from '../../../src/eval/mmla/leaderboard/averages.ts';
import { leaderboard } from '../../../src/eval/mmla/leaderboard/board.ts';
import { placeText } from '../../../src/eval/mmla/leaderboard/cells.ts';
import { leaderboardHtml } from '../../../src/eval/mmla/leaderboard/html.ts';
import {
  cellInterval,
  combinedInterval,
  wilsonInterval,
} from '../../../src/eval/mmla/leaderboard/intervals.ts';
import { leaderboardJson } from '../../../src/eval/mmla/leaderboard/json.ts';
import { leaderboardMarkdown } from '../../../src/eval/mmla/leaderboard/markdown.ts';
import { mergeReports } from '../../../src/eval/mmla/leaderboard/merge.ts';
import { places } from '../../../src/eval/mmla/leaderboard/ranks.ts';
import { report, taskReport, wholeReport } from './sample-reports.ts';

const noAbout = new Map();
const rowsOf = (...reports: ReturnType<typeof report>[]) =>
  mergeReports(
    reports.map((one, i) => ({ file: `${i}.json`, report: one })),
    noAbout,
  );

describe('averages', () => {
  const cells = {
    MOSI: { metrics: { ACC: 80 }, samples: 686 },
    MUStARD: { metrics: { ACC: 50 }, samples: 138 },
  };

  it('weigh by the sizes of the leaderboards, or all tasks alike, and say over how many they are', () => {
    expect(microAverage(cells, 'ACC')).toMatchObject({ tasks: 2, of: 12 });
    expect(microAverage(cells, 'ACC')!.value).toBeCloseTo((686 * 80 + 138 * 50) / 824, 10);
    expect(unweightedMean(cells, 'ACC')!.value).toBe(65);
    expect(microAverage(cells, 'F1')).toBeUndefined();
  });

  it('take the 1,034 samples of the leaderboards for CH-SIMS, though 1,031 are released', () => {
    const two = { 'Ch-sims': { metrics: { ACC: 100 }, samples: 1031 }, MUStARD: cells.MUStARD };
    expect(microAverage(two, 'ACC')!.value).toBeCloseTo((1034 * 100 + 138 * 50) / 1172, 10);
  });
});

describe('intervals', () => {
  it("Wilson's of 50 of 100 and of 0 of 10", () => {
    const half = wilsonInterval(50, 100);
    expect(half.low).toBeCloseTo(40.383, 3);
    expect(half.high).toBeCloseTo(59.617, 3);
    expect(wilsonInterval(0, 10)).toMatchObject({ low: 0, from: 'wilson' });
    expect(wilsonInterval(0, 10).high).toBeCloseTo(27.753, 3);
  });

  it('are those of a report where there is one, and of other metrics than ACC only those', () => {
    const reported = { metrics: { ACC: 50, F1: 40 }, samples: 9, intervals: { ACC: { low: 45, high: 56 } } };
    expect(cellInterval(reported, 'ACC')).toEqual({ low: 45, high: 56, from: 'report' });
    expect(cellInterval(reported, 'F1')).toBeUndefined();
    expect(cellInterval({ metrics: { ACC: 50 }, samples: 100 }, 'ACC')).toEqual(wilsonInterval(50, 100));
  });

  it('add up in squares', () => {
    const interval = (low: number, high: number, from: 'report' | 'wilson') => ({ low, high, from });
    const combined = combinedInterval([
      { value: 50, weight: 3, interval: interval(46, 52, 'report') },
      { value: 70, weight: 1, interval: interval(54, 78, 'report') },
    ])!;
    expect(combined.low).toBeCloseTo(55 - Math.hypot(0.75 * 4, 0.25 * 16), 10);
    expect(combined.high).toBeCloseTo(55 + Math.hypot(0.75 * 2, 0.25 * 8), 10);
    expect(combined.from).toBe('report');
    const parts = [{ value: 50, weight: 1, interval: interval(40, 60, 'wilson') }];
    expect(combinedInterval(parts)!.from).toBe('wilson');
    expect(combinedInterval([...parts, { value: 1, weight: 1, interval: undefined }])).toBeUndefined();
  });
});

describe('places', () => {
  it('are open where intervals overlap', () => {
    const of = (score: number, low: number, high: number) => ({ score, interval: { low, high } });
    const none = { score: undefined, interval: undefined };
    expect(places([of(70, 68, 72), of(90, 88, 92), none, of(69, 66, 71), of(50, 40, 60)])).toEqual([
      { rank: 2, range: [2, 3] },
      { rank: 1, range: [1, 1] },
      undefined,
      { rank: 3, range: [2, 3] },
      { rank: 4, range: [4, 4] },
    ]);
  });

  it('are shared by equal scores, and certain of nothing without an interval', () => {
    const exact = (score: number) => ({ score, interval: undefined });
    expect(places([exact(1), exact(1), exact(0)]).map((place) => place?.rank)).toEqual([1, 1, 3]);
    expect(places([exact(1)])[0]!.range).toBeUndefined();
  });
});

describe('the leaderboard', () => {
  it('ranks a whole report among the published rows, and a partial one not', () => {
    const ours = rowsOf(wholeReport('mine', 0.6, 0.02), report('part', [taskReport('MELD', 0.7)]));
    const { entries } = leaderboard(ours, 'ACC', {});
    const mine = entries.find(({ row }) => row.model === 'mine')!;
    expect(mine.micro!.value).toBeCloseTo(60, 10);
    expect(mine.micro!.interval!.from).toBe('report');
    // All 20 of SFT and IT are above it, those of zero-shot below.
    expect(placeText(mine)).toBe('21 (21–21)');
    const part = entries.find(({ row }) => row.model === 'part')!;
    expect(part).toMatchObject({ score: undefined, place: undefined });
    const text = leaderboardMarkdown(leaderboard(ours, 'ACC', {}));
    expect(text).toMatch(/^\| 21 \(21–21\) +\| \*\*mine\*\* /m);
    expect(text).toMatch(/^\| — +\| \*\*part\*\* .*— \(70\.00 over 1 of 12\)/m);
  });

  it('compares on some tasks alone, where a report has no more', () => {
    const four = ['MIntRec', 'MELD', 'Ch-sims', 'MUStARD'] as const;
    const ours = rowsOf(
      report(
        'mine',
        [...four, 'MOSI'].map((key) => taskReport(key, 0.62)),
      ),
    );
    const board = leaderboard(ours, 'ACC', {}, ['MUStARD', 'Ch-sims', 'MELD', 'MIntRec']);
    expect(board.tasks.map(({ key }) => key)).toEqual(four);
    const of = (model: string, method?: string) =>
      board.entries.find(
        ({ row }) => row.model === model && (method === undefined || row.method === method),
      )!;
    expect(Object.keys(of('mine').row.cells).sort()).toEqual([...four].sort());
    expect(of('mine').micro).toMatchObject({ tasks: 4, of: 4 });
    expect(of('mine').micro!.value).toBeCloseTo(62, 10);
    const gpt = (445 * 63.37 + 2610 * 51.17 + 1034 * 67.8 + 138 * 55.07) / (445 + 2610 + 1034 + 138);
    expect(of('GPT-4o').micro!.value).toBeCloseTo(gpt, 10);
    expect(of('GPT-4o').mean!.value).toBeCloseTo((63.37 + 51.17 + 67.8 + 55.07) / 4, 10);
    // Scores over all tasks are of no use here, and the floor of ten tasks is whole over these.
    expect(
      board.entries.every(({ row, disagreement }) => (row.published ?? disagreement) === undefined),
    ).toBe(true);
    expect(of('TF-IDF + logistic regression').place!.rank).toBeGreaterThan(of('mine').place!.rank);
    expect(of('mine').place!.rank).toBeLessThan(of('GPT-4o').place!.rank);
    expect(of('mine').place!.rank).toBeGreaterThan(of('Qwen2-VL-72B', 'sft').place!.rank);
    const text = leaderboardMarkdown(board);
    expect(text).toContain('Tasks: MIntRec, MELD, CH-SIMS v2.0, MUStARD; all else is left out.');
    expect(text).toContain('(4,227 in all)');
    expect(text).not.toMatch(/MOSI \||dialogue act/);
    const json = leaderboardJson(board);
    expect(json.tasks).toEqual(four);
    expect(json.references.map(({ task }) => task)).not.toContain('MOSI');
    const page = leaderboardHtml(board);
    expect(page).toContain('(4,227 in all)');
    expect(page).not.toContain('dialogue act');
  });

  it('filters published rows by method, modality and size; reports and floors stay', () => {
    const ours = rowsOf(wholeReport('mine', 0.6));
    const models = (filter: Parameters<typeof leaderboard>[2]) =>
      leaderboard(ours, 'ACC', filter).entries.map(({ row }) => row.model);
    const stay = ['TF-IDF + logistic regression', 'majority label', 'mine'];
    const text = models({ method: 'it', modality: 'text' });
    expect([...new Set(text)].sort()).toEqual(['InternLM2.5-7B', 'Llama-3-8B', 'Qwen2-7B', ...stay].sort());
    const small = models({ size: 'small' });
    expect([...new Set(small)].sort()).toEqual(['Llama-3.2-1B', 'Qwen2-0.5B', 'Qwen2-1.5B', ...stay].sort());
    expect(models({ size: 'unknown' }).sort()).toEqual(['GPT-4o', ...stay].sort());
    const large = models({ method: 'zero-shot', modality: 'video', size: 'large' });
    expect(large).toHaveLength(3 + stay.length);
  });

  it('gives a model one place by one method, and the score as published where tasks are missing', () => {
    const { entries } = leaderboard([], 'ACC', { method: 'sft' });
    const qwen = entries.filter(({ row }) => row.model === 'Qwen2-VL-7B');
    expect(qwen.map(({ row, place }) => [row.vintage, place === undefined])).toEqual([
      ['seeds', true],
      ['first', false],
    ]);
    const small = entries.find(({ row }) => row.model === 'Qwen2-0.5B')!;
    expect(small.score).toMatchObject({ value: 62.8, from: 'published' });
    expect(placeText(small)).toBe('13 (12–13)ᵖ');
  });

  it('is of another metric for the rows that have it', () => {
    const { entries } = leaderboard([], 'F1', {});
    expect(entries.map(({ row }) => row.vintage)).not.toContain('first');
    expect(entries[0]).toMatchObject({ row: { model: 'Qwen2-VL-7B', vintage: 'seeds' } });
    const lost = entries.find(({ row }) => row.model === 'GPT-4o')!;
    expect(lost).toMatchObject({ micro: { tasks: 11 }, score: undefined });
    const text = leaderboardMarkdown(leaderboard([], 'F1', {}));
    expect(text).toContain('88.13†');
    // Its averages hold that number, too.
    expect(text).toMatch(/\| InternLM2\.5-7B .* 37\.61† .* 42\.98† /);
  });
});
