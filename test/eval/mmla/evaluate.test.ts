import { describe, expect, it } from 'vitest';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { evaluateMmlaTask, type MmlaAnswerSet } from '../../../src/eval/mmla/evaluate.ts';
import { meanMetrics, sampleDeviation } from '../../../src/eval/mmla/seeds.ts';

const task = mmlaTask('MOSI');

/** Half of the samples positive; each list says which answers are right, the others name no label. */
function answerSet(n: number, ...seeds: ((i: number) => boolean)[]): MmlaAnswerSet {
  const gold = Array.from({ length: n }, (_, i) => ({
    ...{ id: `MOSI_${i}`, clip: `MOSI_${i}`, label: i % 2 === 0 ? 'positive' : 'negative' },
  }));
  return {
    ...{ task, split: 'test', goldFile: 'gold.tsv', gold },
    seeds: seeds.map((isRight, seed) => ({
      predictions: `seed-${seed}.jsonl`,
      texts: gold.map(({ label }, i) => (isRight(i) ? `Sentiment: ${label}` : 'I cannot say.')),
    })),
  };
}
const strict = { mode: 'strict', bootstrap: { seed: 1, resamples: 400 } } as const;

describe('a task of MMLA', () => {
  it('has means over seeds, and the deviation of a sample', () => {
    const { report, seeds } = evaluateMmlaTask(
      answerSet(
        100,
        (i) => i < 60,
        (i) => i < 70,
        (i) => i < 80,
      ),
      strict,
    );
    expect(seeds.map(({ score }) => score.metrics.ACC)).toEqual([0.6, 0.7, 0.8]);
    expect(report.metrics.ACC).toBeCloseTo(0.7, 12);
    expect(report.deviation?.ACC).toBeCloseTo(0.1, 12);
    expect(report.invalid).toEqual({ unknown: 30, multi: 0 });
    expect(report.confusion.counts).toEqual([
      [105, 0, 45, 0],
      [0, 105, 45, 0],
    ]);
    expect(report.perClass.map(({ label, recall, support }) => [label, recall, support])).toEqual([
      ['positive', expect.closeTo(0.7, 12), 50],
      ['negative', expect.closeTo(0.7, 12), 50],
    ]);
    expect(report.seeds.map(({ predictions }) => predictions)).toEqual([
      'seed-0.jsonl',
      'seed-1.jsonl',
      'seed-2.jsonl',
    ]);
  });

  it('has no deviation of a single seed, and its own figures to the last bit', () => {
    const { report, seeds } = evaluateMmlaTask(
      answerSet(30, (i) => i % 3 !== 0),
      strict,
    );
    expect(report.deviation).toBeNull();
    expect(report.metrics).toEqual(seeds[0]!.score.metrics);
    expect(report.perClass).toEqual(seeds[0]!.score.perClass);
  });

  it('has intervals under strict alone, about as wide as theory has them', () => {
    const set = answerSet(400, (i) => i < 280);
    const { intervals } = evaluateMmlaTask(set, strict).report;
    // 0.7 ± 1.96 √(0.7 · 0.3 / 400)
    expect(Math.abs(intervals!.ACC.low - 0.655)).toBeLessThan(0.012);
    expect(Math.abs(intervals!.ACC.high - 0.745)).toBeLessThan(0.012);
    expect(intervals!.F1.low).toBeLessThan(intervals!.F1.high);
    expect(intervals!.P).toMatchObject({ low: 1, high: 1, resamples: 400, seed: 1 });
    expect(evaluateMmlaTask(set, strict).report.intervals).toEqual(intervals);
    const otherSeed = { ...strict, bootstrap: { seed: 2, resamples: 400 } };
    expect(evaluateMmlaTask(set, otherSeed).report.intervals).not.toEqual(intervals);
    expect(evaluateMmlaTask(set, { ...strict, mode: 'compat' }).report.intervals).toBeNull();
  });

  it('draws the same samples for all seeds', () => {
    // Whatever is drawn, one of the two is right about each sample.
    const set = answerSet(
      200,
      (i) => i < 50,
      (i) => i >= 50,
    );
    const { intervals } = evaluateMmlaTask(set, strict).report;
    expect(intervals!.ACC).toMatchObject({ low: 0.5, high: 0.5 });
  });

  it('counts a class of one seed as 0 in the others under compat', () => {
    const set = answerSet(
      10,
      (i) => i > 0,
      () => true,
    );
    const { perClass } = evaluateMmlaTask(set, { ...strict, mode: 'compat' }).report;
    expect(perClass.map(({ label }) => label)).toEqual(['positive', 'negative', 'unknown']);
  });
});

describe('figures over seeds', () => {
  it('are divided by one less than their number', () => {
    expect(sampleDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
    const metrics = (value: number) => ({
      ...{ ACC: value, F1: value, P: value },
      ...{ R: value, WF1: value, WP: value },
    });
    expect(meanMetrics([metrics(0.1), metrics(0.3)])).toEqual(metrics(0.2));
  });
});
