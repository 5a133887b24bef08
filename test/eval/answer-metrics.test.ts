import { describe, expect, it } from 'vitest';
import type { AnswerType } from '../../src/data/prompts.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { answerMetrics } from '../../src/eval/validation/answer-metrics.ts';

let count = 0;
function answer(type: AnswerType, known: Partial<SampleRecord>, text: string, expected = 'expected') {
  const name = `clip-${count++}`;
  const record: SampleRecord = { name, origin: 'row', ...known };
  return { name, question: '?', finish: 'stop' as const, type, record, text, expected };
}

describe('metrics of answers', () => {
  it('are none without answers', () => {
    expect(answerMetrics([])).toEqual({});
  });

  it('compare words on the wheels: synonyms count, order and sentence do not', () => {
    const metrics = answerMetrics([
      answer('ovlabel', { labels: ['joyful'] }, "The character's emotional state is happy."),
      answer('description', { labels: ['sad', 'angry'] }, 'Overall we can infer that he is sad.'),
    ]);
    expect(metrics).toEqual({
      exactMatch: 0,
      // Everything that was said is right; of the second sample one of two was said.
      emotionPrecision: 1,
      emotionRecall: expect.closeTo(0.75, 12),
      emotionF: expect.closeTo((2 * 0.75) / 1.75, 12),
    });
  });

  it('count an answer without words as wrong, and leave out what has no labels', () => {
    const right = answer('ovlabel', { labels: ['sad'] }, 'sad');
    const silent = answer('ovlabel', { labels: ['sad'] }, '');
    const unlabelled = answer('description', { description: 'so' }, 'happy');
    expect(answerMetrics([right, silent, unlabelled])).toMatchObject({ emotionRecall: 0.5 });
  });

  it('take the class that is named first', () => {
    const metrics = answerMetrics([
      answer('sentiment', { sentiment: 'positive' }, "The character's sentiment state is Positive."),
      answer('sentiment', { sentiment: 'negative' }, 'Neutral, not negative.'),
      answer('sentiment', { sentiment: 'negative' }, 'nonnegative'),
      answer('sentiment', { sentiment: 'negative' }, 'negative'),
    ]);
    expect(metrics).toEqual({
      exactMatch: 0,
      sentimentAccuracy: 0.5,
      // F1: positive 1 of weight 1; negative precision 1, recall 1/3, so 1/2 of weight 3.
      sentimentWeightedF1: expect.closeTo((1 + 3 * 0.5) / 4, 12),
    });
  });

  it('compare whole answers but for white space around them', () => {
    const metrics = answerMetrics([
      answer('valence', { valence: 1 }, ' The valence score is 1.00. ', 'The valence score is 1.00.'),
      answer('valence', { valence: 1 }, 'The valence score is 1.', 'The valence score is 1.00.'),
    ]);
    expect(metrics).toEqual({ exactMatch: 0.5 });
  });
});
