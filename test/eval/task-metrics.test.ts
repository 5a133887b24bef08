import { describe, expect, it } from 'vitest';
import type { MmlaTaskKey } from '../../src/data/mmla/tasks.ts';
import { answerMetrics } from '../../src/eval/validation/answer-metrics.ts';
import { exactSamples } from '../../src/eval/validation/teacher-forcing.ts';
import { judge } from '../../train/validation/judge.ts';

let count = 0;
function answer(task: MmlaTaskKey, label: string, text: string) {
  const name = `${task}_${count++}`;
  const expected = `x: ${label}`;
  const record = { name, task, labels: [label], question: '?', answer: expected, origin: 'row' };
  return { name, question: '?', finish: 'stop' as const, type: 'own' as const, record, text, expected };
}
const mosi = [
  answer('MOSI', 'positive', 'sentiment: positive'),
  answer('MOSI', 'positive', 'negative'),
  answer('MOSI', 'negative', 'It is negative, not positive.'),
  answer('MOSI', 'negative', 'Negative.'),
];

describe('metrics of tasks', () => {
  it('are those of the published rule', () => {
    expect(answerMetrics(mosi)).toEqual({
      exactMatch: 0,
      taskAccuracy: 0.5,
      // Positive: precision 1, recall 1/2; negative: 1/2 and 1/2.
      taskWeightedF1: expect.closeTo((2 / 3 + 1 / 2) / 2, 12),
      taskInvalid: 0.25,
    });
  });

  it('are means over all samples, and of each task apart where there are several', () => {
    const style = [answer('MUStARD', 'sarcastic', 'speaking style: sarcastic')];
    expect(answerMetrics([...mosi, ...style])).toMatchObject({
      taskAccuracy: 3 / 5,
      taskWeightedF1: expect.closeTo((4 * (7 / 12) + 1) / 5, 12),
      taskInvalid: 1 / 5,
      'taskAccuracy/MOSI': 0.5,
      'taskInvalid/MOSI': 0.25,
      'taskAccuracy/MUStARD': 1,
      'taskWeightedF1/MUStARD': 1,
    });
  });

  it('choose the first of the best, by fewer invalid answers where these count', () => {
    const steps = [0.3, 0.1, 0.1, 0.2].map((taskInvalid, i) => ({
      ...{ step: i + 1, loss: 1, metrics: { taskInvalid, taskAccuracy: taskInvalid } },
    }));
    const policy = { patience: null, minDelta: 0 };
    expect(judge(steps, { ...policy, metric: 'taskInvalid' }).best).toEqual({ step: 2, value: 0.1 });
    expect(judge(steps, { ...policy, metric: 'taskAccuracy' }).best).toEqual({ step: 1, value: 0.3 });
  });
});

describe('samples that are right under teacher forcing', () => {
  it('have no token that is not the most likely one; what fills a list up does not count', () => {
    const inputs = {
      inputIds: { dtype: 'int32', shape: [3, 4], data: new Int32Array(12) },
      positions: { dtype: 'int32', shape: [6], data: Int32Array.of(1, 2, 5, 6, 10, 1) },
    } as const;
    const hits = (...data: number[]) =>
      exactSamples(
        { inputs, names: ['a', 'b', 'c'], supervisedTokens: 5, tokens: 12 },
        { dtype: 'float32', shape: [6], data: Float32Array.from(data) },
      );
    expect(hits(1, 1, 1, 0, 1, 0)).toBe(2);
    expect(hits(0, 0, 0, 1, 1, 1)).toBe(1);
    expect(hits(1, 1, 1, 1, 1, 0)).toBe(3);
  });
});
