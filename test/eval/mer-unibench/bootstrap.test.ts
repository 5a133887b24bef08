import { describe, expect, it } from 'vitest';
import { bootstrapInterval, pairedBootstrap } from '../../../src/eval/bootstrap.ts';
import { scoreEmotionWheels } from '../../../src/eval/mer-unibench/metrics/emotion-wheel.ts';
import { scoreHitRate } from '../../../src/eval/mer-unibench/metrics/hit-rate.ts';
import { scoreSentiment } from '../../../src/eval/mer-unibench/metrics/sentiment.ts';

const strict = { protocol: 'strict' } as const;
/** Of 100 samples the first `right` are hits. */
const hits = (right: number, of = 100) =>
  scoreHitRate(
    Array.from({ length: of }, (_, i) => ({
      name: `s${String(i).padStart(3, '0')}`,
      labels: ['happy'],
      predicted: [i < right ? 'joy' : 'sad'],
    })),
    strict,
  );

describe('an interval by bootstrap', () => {
  it('is about as wide as theory has it, and the same for the same seed', () => {
    const interval = bootstrapInterval(hits(70), { seed: 7 });
    // 0.7 ± 1.96 * sqrt(0.7 * 0.3 / 100)
    expect(interval.low).toBeGreaterThan(0.59);
    expect(interval.low).toBeLessThan(0.63);
    expect(interval.high).toBeGreaterThan(0.77);
    expect(interval.high).toBeLessThan(0.81);
    expect(interval).toMatchObject({ confidence: 0.95, resamples: 1000, seed: 7 });
    expect(bootstrapInterval(hits(70), { seed: 7 })).toEqual(interval);
    const fine = hits(437, 1000);
    expect(bootstrapInterval(fine, { seed: 8 }).low).not.toBe(bootstrapInterval(fine, { seed: 7 }).low);
    const narrow = bootstrapInterval(hits(70), { seed: 7, confidence: 0.5 });
    expect(narrow.low).toBeGreaterThan(interval.low);
  });

  it('has no width where all samples are alike', () => {
    const options = { seed: 1, resamples: 50 };
    expect(bootstrapInterval(hits(100), options)).toMatchObject({ low: 1, high: 1 });
    const labels = scoreEmotionWheels([{ name: 'a', labels: ['joy', 'sad'], predicted: ['happy'] }], strict);
    expect(bootstrapInterval(labels, options)).toMatchObject({ low: labels.score, high: labels.score });
    const sentiment = scoreSentiment([{ name: 'a', value: 1, predicted: 'positive' }], strict);
    expect(bootstrapInterval(sentiment, options)).toMatchObject({ low: 1, high: 1 });
  });

  it('leaves out resamples in which nothing counts', () => {
    const samples = ['happy', 'neutral'].map((label, i) => ({
      name: `${i}`,
      labels: [label],
      predicted: ['joy'],
    }));
    const interval = bootstrapInterval(scoreHitRate(samples, { protocol: 'paper' }), { seed: 3 });
    expect(interval).toMatchObject({ low: 1, high: 1 });
    expect(interval.resamples).toBeGreaterThan(650);
    expect(interval.resamples).toBeLessThan(850);
  });

  it('draws each sample as often as it says', () => {
    const fractions: number[] = [];
    const result = {
      perSample: Array.from({ length: 5 }, (_, i) => ({ name: `${i}` })),
      scoreOf: (counts: ArrayLike<number>) => {
        expect(Array.from(counts).reduce((sum, count) => sum + count)).toBe(5);
        fractions.push(counts[4]!);
        return 0;
      },
    };
    bootstrapInterval(result, { seed: 11, resamples: 4000 });
    const mean = fractions.reduce((sum, count) => sum + count, 0) / fractions.length;
    expect(mean).toBeGreaterThan(0.94);
    expect(mean).toBeLessThan(1.06);
  });
});

describe('two models', () => {
  it('are compared on the same draws', () => {
    const better = pairedBootstrap(hits(80), hits(70), { seed: 5 });
    expect(better.difference).toBeCloseTo(0.1, 12);
    // The same ten samples make all of the difference: 0.1 ± 1.96 * sqrt(0.1 * 0.9 / 100)
    expect(better.interval.low).toBeGreaterThan(0.03);
    expect(better.interval.high).toBeLessThan(0.17);
    expect(better.pValue).toBeLessThan(0.01);
    expect(pairedBootstrap(hits(70), hits(80), { seed: 5 }).difference).toBeCloseTo(-0.1, 12);
    expect(pairedBootstrap(hits(70), hits(70), { seed: 5 })).toMatchObject({ difference: 0, pValue: 1 });
  });

  it('have to be scored on the same samples', () => {
    expect(() => pairedBootstrap(hits(3), hits(3, 101), { seed: 5 })).toThrow(
      /1 are in one result alone.*s100/,
    );
  });
});
