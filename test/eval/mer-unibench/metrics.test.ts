import { describe, expect, it } from 'vitest';
import { checkpointJson } from '../../../src/eval/mer-unibench/checkpoint-json.ts';
import {
  scoreEmotionWheels,
  scoreTwelve,
  TWELVE_STEPS,
} from '../../../src/eval/mer-unibench/metrics/emotion-wheel.ts';
import { scoreHitRate } from '../../../src/eval/mer-unibench/metrics/hit-rate.ts';
import { scoreSentiment } from '../../../src/eval/mer-unibench/metrics/sentiment.ts';
import type { LabelSample } from '../../../src/eval/mer-unibench/samples.ts';
import { alignPredictions } from '../../../src/eval/mer-unibench/samples.ts';
import { unmappedWords } from '../../../src/eval/mer-unibench/unmapped.ts';

/** `name: labels > predictions` a line. */
const samplesOf = (...lines: string[]): LabelSample[] =>
  lines.map((line) => {
    const [name, labels, predicted] = line.split(/[:>]/) as [string, string, string];
    const words = (list: string) => list.split(',').filter((word) => word.trim() !== '');
    return { name, labels: words(labels), predicted: words(predicted) };
  });

const paper = { protocol: 'paper' } as const;
const strict = { protocol: 'strict' } as const;

describe('the emotion wheel metric', () => {
  const samples = samplesOf(
    'a: happy, sad > joy',
    'b: angry > sad, anger',
    'c: neutral > neutral, blorp',
    'd: surprise >',
  );

  it('leaves out, under paper, what a wheel does not know', () => {
    const result = scoreEmotionWheels(samples, paper);
    // Wheels 1 to 4: a (1, 1/2), b (1/2, 1), d (0, 0). Wheel 5 does not know surprise.
    const figures = result.perWheel.map((wheel) => [wheel.score, wheel.precision, wheel.recall]);
    expect(figures).toEqual([...Array(4).fill([0.5, 0.5, 0.5]), [0.75, 0.75, 0.75]]);
    expect(result.perWheel.map(({ nScored }) => nScored)).toEqual([3, 3, 3, 3, 2]);
    expect(result.perWheel.map(({ nUnmapped }) => nUnmapped)).toEqual([1, 1, 1, 1, 2]);
    expect(result.perWheel.map(({ nEmptyPredictions }) => nEmptyPredictions)).toEqual([2, 2, 2, 2, 2]);
    expect(result.score).toBeCloseTo((4 * 0.5 + 0.75) / 5, 15);
    expect(result.metrics).toEqual({ f: result.score, precision: 0.55, recall: 0.55 });
    expect([result.n, result.nScored, result.wheelTable]).toEqual([4, 3, 'published']);
    expect(result.perSample.map(({ score }) => score)).toEqual([2 / 3, 2 / 3, null, 0]);
    expect(result.perSample[0]!.perWheel[0]).toEqual({
      ...{ labels: ['happy', 'sad'], predicted: ['happy'], score: 2 / 3 },
    });
  });

  it('counts every label under strict', () => {
    const result = scoreEmotionWheels(samples, strict);
    // a (1, 1/2), b (1/2, 1), c (1/2, 1), d (0, 0) on all wheels.
    for (const { score, precision, recall, nScored } of result.perWheel) {
      expect([precision, recall, nScored]).toEqual([0.5, 0.625, 4]);
      expect(score).toBeCloseTo(5 / 9, 15);
    }
    expect(result.score).toBeCloseTo(5 / 9, 15);
    expect([result.n, result.nScored, result.wheelTable]).toEqual([4, 4, 'corrected']);
    expect(result.perWheel.map(({ nUnmapped }) => nUnmapped)).toEqual([1, 1, 1, 1, 2]);
  });

  it('tells words that no wheel knows apart, but not forms of the same one', () => {
    const { perWheel } = scoreEmotionWheels(
      samplesOf('a: disgusted > disgust', 'b: blorp > blip', 'c: neutral > neutrality', 'd: > Neutral'),
      strict,
    );
    expect(perWheel[4]!).toMatchObject({ precision: 0.75, recall: 0.75, nUnmapped: 4 });
  });

  it('reports twelve groupings', () => {
    const twelve = scoreTwelve(samples, paper);
    expect(twelve).toHaveLength(12);
    expect(TWELVE_STEPS[5]).toEqual({ wheel: 2, level: 2 });
    // Word forms: only anger is found, (0, 0), (1/2, 1), (0, 0). Synonyms: happy and joy are one. Level 2: they are not.
    [2 / 9, 1 / 2, 1 / 2, 2 / 9].forEach((f, i) => {
      expect(twelve[i]).toBeCloseTo(f, 15);
    });
    expect(twelve[2]).toBe(scoreEmotionWheels(samples, paper).perWheel[0]!.score);
    expect(twelve[3]).toBe(scoreEmotionWheels(samples, { ...paper, level: 2 }).perWheel[0]!.score);
  });

  it('is not a number under paper where nothing is right, and 0 under strict', () => {
    const wrong = samplesOf('a: happy > sad');
    const result = scoreEmotionWheels(wrong, paper);
    expect(result.score).toBeNaN();
    expect(scoreTwelve(wrong, paper)[0]).toBeNaN();
    expect(JSON.parse(JSON.stringify(checkpointJson('x', result, scoreTwelve(wrong, paper))))).toMatchObject({
      ...{ name: 'x', score: null, n: 1, nScored: 1 },
      metrics: { f: null, precision: 0, recall: 0, twelve: Array(12).fill(null) },
      perWheel: Array(5).fill({ level: 1, score: null, precision: 0, recall: 0, nScored: 1 }),
    });
    expect(scoreEmotionWheels(wrong, strict).score).toBe(0);
    expect(scoreEmotionWheels(samplesOf('a: neutral > neutral'), paper).score).toBeNaN();
  });

  it('takes the other table where it is asked to', () => {
    const afraid = samplesOf('a: fear > worried');
    expect(scoreEmotionWheels(afraid, strict).score).toBe(1);
    expect(scoreEmotionWheels(afraid, { ...strict, wheelTable: 'published' }).score).toBe(1 / 5);
    expect(scoreEmotionWheels(afraid, { ...paper, wheelTable: 'corrected' }).score).toBe(1);
  });

  it('depends neither on the order of samples nor of words, nor on case, space and repetition', () => {
    const other = samplesOf(
      'd:SURPRISE>',
      'c: neutral>blorp , Neutral',
      'b: angry>anger,sad,sad',
      'a:sad,happy>joy',
    );
    for (const options of [paper, strict]) {
      const { perSample: _, scoreOf: _of, ...figures } = scoreEmotionWheels(samples, options);
      expect(scoreEmotionWheels(other, options)).toMatchObject(figures);
    }
  });
});

describe('the hit rate', () => {
  const samples = samplesOf(
    'a: happy > joy, sad',
    'b: angry > sad',
    'c: neutral > neutral',
    'd: surprise > surprised, happy',
  );

  it('leaves out, under paper, neutral and what else a wheel does not know', () => {
    const result = scoreHitRate(samples, paper);
    expect(result.perWheel.map(({ score }) => score)).toEqual([2 / 3, 2 / 3, 2 / 3, 2 / 3, 1 / 2]);
    expect(result.perWheel.map(({ mscore }) => mscore)).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
    expect(result.perWheel.map(({ nScored }) => nScored)).toEqual([3, 3, 3, 3, 2]);
    expect(result.perWheel.map(({ nEmptyPredictions }) => nEmptyPredictions)).toEqual([1, 1, 1, 1, 1]);
    expect(result.metrics.hit).toBeCloseTo((4 * (2 / 3) + 1 / 2) / 5, 15);
    expect(result.score).toBe(result.metrics.hit);
    expect(result.metrics.mscore).toBe(0.5);
    expect(result.perSample.map(({ score }) => score)).toEqual([1, 0, null, 1]);
  });

  it('counts every sample under strict', () => {
    const result = scoreHitRate(samples, strict);
    expect(result.perWheel.map(({ score }) => score)).toEqual(Array(5).fill(0.75));
    expect(result.metrics).toEqual({ hit: 0.75, mscore: 0.625 });
    expect([result.n, result.nScored]).toEqual([4, 4]);
    expect(result.perWheel.map(({ nUnmapped }) => nUnmapped)).toEqual([1, 1, 1, 1, 2]);
    expect(checkpointJson('x', result).perWheel[0]).toEqual({
      ...{ wheel: 1, level: 1, score: 0.75, mscore: 0.625, nScored: 4, nUnmapped: 1, nEmptyPredictions: 0 },
    });
  });

  it('names the words that wheels do not know', () => {
    expect(unmappedWords(samples, 'labels', strict)).toEqual([
      { word: 'neutral', samples: 1, wheels: [1, 2, 3, 4, 5] },
      { word: 'surprise', samples: 1, wheels: [5] },
    ]);
    expect(unmappedWords(samples, 'predicted', paper).map(({ word }) => word)).toEqual([
      'neutral',
      'surprised',
    ]);
  });
});

describe('the sentiment metric', () => {
  const samples = [
    { name: 'a', value: 1, predicted: 'positive' },
    { name: 'b', value: -1, predicted: 'neutral' },
    { name: 'c', value: 0, predicted: 'neutral' },
    { name: 'd', value: 2.4, predicted: 'mixed' },
    { name: 'e', value: -0.2, predicted: 'positive' },
    { name: 'f', value: Number.NaN, predicted: 'positive' },
  ];

  it('tells positive from the rest under paper', () => {
    const result = scoreSentiment(samples, paper);
    expect(result.metrics).toEqual({ waf: 0.5, acc: 0.5 });
    expect(result).toMatchObject({
      n: 6,
      nScored: 4,
      nNeutral: 1,
      nInvalidLabels: 1,
      invalidPredictions: ['d'],
    });
    expect(result.perSample.map(({ score }) => score)).toEqual([1, 1, null, 0, 0, null]);
    expect(result.confusion).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(scoreSentiment([{ name: 'a', value: 1, predicted: 'Positive' }], paper).metrics.acc).toBe(0);
  });

  it('has three classes under strict', () => {
    const result = scoreSentiment(samples, strict);
    expect(result.metrics.acc).toBe(0.4);
    expect(result.metrics.waf).toBeCloseTo((2 * 0.5 + 2 * 0 + 2 / 3) / 5, 15);
    expect(result).toMatchObject({ nScored: 5, nNeutral: 1, nInvalidLabels: 1, invalidPredictions: ['d'] });
    expect(scoreSentiment([{ name: 'a', value: 1, predicted: ' Positive.' }], strict).metrics.acc).toBe(1);
    expect(checkpointJson('x', result)).toMatchObject({ metrics: result.metrics, perWheel: [] });
  });

  it('is not a number where nothing counts', () => {
    const neutral = [{ name: 'a', value: 0, predicted: 'neutral' }];
    expect(checkpointJson('x', scoreSentiment(neutral, paper))).toMatchObject({ score: null, nScored: 0 });
    expect(scoreSentiment(neutral, strict).metrics).toEqual({ waf: 1, acc: 1 });
  });
});

describe('samples', () => {
  it('are put beside their predictions by name', () => {
    const truths = new Map([
      ['b', ['sad']],
      ['a', ['happy']],
    ]);
    const predictions = new Map([
      ['z', ['joy']],
      ['b', ['sad']],
    ]);
    expect(alignPredictions<string[], string[]>(truths, predictions, [])).toEqual({
      pairs: [
        { name: 'a', truth: ['happy'], predicted: [] },
        { name: 'b', truth: ['sad'], predicted: ['sad'] },
      ],
      missing: ['a'],
      unknown: ['z'],
    });
  });

  it('have to be there, and each once', () => {
    expect(() => scoreHitRate([], strict)).toThrow(/no samples/);
    const twice = samplesOf('a: happy > joy', 'a: sad > sad');
    expect(() => scoreEmotionWheels(twice, paper)).toThrow(/a occur more than once/);
    expect(() => scoreSentiment([], paper)).toThrow(/no samples/);
  });
});
