import { describe, expect, it } from 'vitest';
import { classificationReport } from '../../src/eval/classification.ts';

const labels = ['neutral', 'joy', 'anger', 'fear', 'disgust'];
/** truth>predicted; one prediction names no label, one label has no sample. */
const pairs =
  'joy>joy neutral>neutral joy>joy fear>joy neutral>neutral neutral>joy anger>anger neutral>neutral joy>joy ' +
  'anger>anger neutral>anger anger>anger neutral>anger neutral>neutral neutral>joy joy>joy joy>joy neutral>neutral ' +
  'neutral>neutral neutral>neutral anger>neutral joy>joy neutral>neutral anger>joy neutral>none neutral>neutral ' +
  'fear>anger fear>fear anger>anger neutral>neutral anger>neutral anger>anger joy>joy neutral>neutral neutral>anger ' +
  'neutral>none anger>anger neutral>neutral neutral>neutral joy>anger';
const samples = pairs.split(' ').map((pair) => {
  const [truth, predicted] = pair.split('>') as [string, string];
  return { truth, predicted: predicted === 'none' ? null : predicted };
});

describe('the classification report', () => {
  const report = classificationReport(samples, labels);
  const close = (actual: readonly number[], expected: readonly number[]) => {
    expect(actual).toHaveLength(expected.length);
    expected.forEach((value, i) => {
      expect(actual[i]).toBeCloseTo(value, 12);
    });
  };

  // scikit-learn 1.9.1: precision_recall_fscore_support(..., labels=labels, zero_division=0), accuracy_score, confusion_matrix.
  it('is that of scikit-learn', () => {
    const { perClass, macro, weighted, accuracy, confusion } = report;
    expect(accuracy).toBe(0.675);
    expect(perClass.map(({ label }) => label)).toEqual(labels);
    close(
      perClass.map(({ precision }) => precision),
      [0.8666666666666667, 0.6363636363636364, 0.5454545454545454, 1, 0],
    );
    close(
      perClass.map(({ recall }) => recall),
      [0.65, 0.875, 0.6666666666666666, 0.3333333333333333, 0],
    );
    close(
      perClass.map(({ f1 }) => f1),
      [0.7428571428571429, 0.7368421052631579, 0.6, 0.5, 0],
    );
    expect(perClass.map(({ support }) => support)).toEqual([20, 8, 9, 3, 0]);
    close([macro.precision, macro.recall, macro.f1], [0.6096969696969696, 0.505, 0.5159398496240601]);
    close([weighted.precision, weighted.recall, weighted.f1], [0.7583333333333333, 0.675, 0.691296992481203]);
    expect(confusion).toEqual([
      [13, 2, 3, 0, 0],
      [0, 7, 1, 0, 0],
      [2, 1, 6, 0, 0],
      [0, 1, 1, 1, 0],
      [0, 0, 0, 0, 0],
    ]);
  });

  it('refuses samples of other labels, and is zero of nothing', () => {
    expect(() => classificationReport(samples, labels.slice(0, 3))).toThrow(/"fear".*none of neutral, joy/);
    expect(classificationReport([], labels)).toMatchObject({ accuracy: 0, weighted: { f1: 0 } });
  });
});
