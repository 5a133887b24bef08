import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import {
  type MmlaMetrics,
  mmlaMetricNames,
  mmlaModes,
  roundedPercent,
  scoreMmla,
} from '../../../src/eval/mmla/metrics.ts';

interface ReferenceCase {
  readonly task: string;
  readonly gold: number[];
  /** Places in the labels, `unknown` and `multi`. */
  readonly predicted: number[];
  readonly compat: MmlaMetrics;
  readonly strict: MmlaMetrics;
  readonly percent: MmlaMetrics;
}
const reference = JSON.parse(
  readFileSync(new URL('../../fixtures/mmla-python/scikit-learn.json', import.meta.url), 'utf8'),
) as { rounded: number[]; cases: ReferenceCase[] };

describe('metrics of MMLA', () => {
  it.each(mmlaModes)('are those of scikit-learn, to the last bit: %s', (mode) => {
    for (const { task: key, gold, predicted, ...expected } of reference.cases) {
      const task = mmlaTask(key);
      const names = [...task.labels, 'unknown', 'multi'];
      const named = (places: number[]) => places.map((place) => names[place]!);
      const { metrics, n } = scoreMmla(task, mode, named(gold), named(predicted));
      expect(metrics, key).toEqual(expected[mode]);
      expect(n).toBe(gold.length);
      if (mode === 'compat') {
        for (const name of mmlaMetricNames) {
          expect(roundedPercent(metrics[name]), `${key} ${name}`).toBe(expected.percent[name]);
        }
      }
    }
  });

  it('round as Python does, ties included', () => {
    const { rounded } = reference;
    for (let i = 0; i < rounded.length; i += 2) {
      expect(roundedPercent(rounded[i]!), String(rounded[i])).toBe(rounded[i + 1]);
    }
    expect([0.50125, 0.50375, 0.00125, 0.33375].map(roundedPercent)).toEqual([50.12, 50.38, 0.12, 33.38]);
  });

  const mosi = mmlaTask('MOSI');
  const gold = ['positive', 'positive', 'positive', 'negative', 'negative'];
  const answers = ['positive', 'unknown', 'negative', 'negative', 'multi'];

  it('count invalid answers as classes of their own under compat', () => {
    const score = scoreMmla(mosi, 'compat', gold, answers);
    // positive: 1 of 1 said, 1 of 3 found. negative: 1 of 2 said, 1 of 2 found.
    expect(score).toEqual({
      n: 5,
      metrics: {
        ...{ ACC: 2 / 5, F1: (1 / 2 + 1 / 2) / 4, P: (1 + 1 / 2) / 4, R: (1 / 3 + 1 / 2) / 4 },
        ...{ WF1: 1 / 2, WP: (3 * 1 + 2 / 2) / 5 },
      },
      invalid: { unknown: 1, multi: 1 },
      perClass: [
        { label: 'positive', precision: 1, recall: 1 / 3, f1: 1 / 2, support: 3 },
        { label: 'negative', precision: 1 / 2, recall: 1 / 2, f1: 1 / 2, support: 2 },
        { label: 'unknown', precision: 0, recall: 0, f1: 0, support: 0 },
        { label: 'multi', precision: 0, recall: 0, f1: 0, support: 0 },
      ],
      confusion: {
        rows: ['positive', 'negative'],
        columns: ['positive', 'negative', 'unknown', 'multi'],
        counts: [
          [1, 1, 1, 0],
          [0, 1, 0, 1],
        ],
      },
    });
  });

  it('average over the labels of the task alone under strict, those without samples included', () => {
    const { metrics, perClass, invalid } = scoreMmla(mosi, 'strict', gold, answers);
    expect(metrics.F1).toBe(1 / 2);
    expect(metrics.R).toBe((1 / 3 + 1 / 2) / 2);
    expect(metrics.ACC).toBe(2 / 5);
    expect(perClass.map(({ label }) => label)).toEqual(['positive', 'negative']);
    expect(invalid).toEqual({ unknown: 1, multi: 1 });
    const meld = mmlaTask('MELD');
    expect(scoreMmla(meld, 'strict', ['joy'], ['joy']).metrics.F1).toBe(1 / 7);
    expect(scoreMmla(meld, 'compat', ['joy'], ['joy']).metrics.F1).toBe(1);
  });

  it('are of labels of the task alone', () => {
    expect(() => scoreMmla(mosi, 'compat', ['neutral'], ['positive'])).toThrow(
      expect.objectContaining({ code: 'MMLA_LABELS_UNKNOWN' }),
    );
    expect(() => scoreMmla(mosi, 'compat', ['unknown'], ['positive'])).toThrow('"unknown"');
  });
});
