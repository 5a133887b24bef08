import { describe, expect, it } from 'vitest';
import { clipLayouts } from '../../../src/data/clip-layouts.ts';
import { checkpointJson } from '../../../src/eval/mer-unibench/checkpoint-json.ts';
import type { BenchmarkKey } from '../../../src/eval/mer-unibench/datasets.ts';
import { benchmarkDataset, benchmarkDatasets } from '../../../src/eval/mer-unibench/datasets.ts';
import { scoreEmotionWheels } from '../../../src/eval/mer-unibench/metrics/emotion-wheel.ts';
import { scoreHitRate } from '../../../src/eval/mer-unibench/metrics/hit-rate.ts';
import { scoreSentiment } from '../../../src/eval/mer-unibench/metrics/sentiment.ts';
import { truthsOfCorpus } from '../../../src/eval/mer-unibench/truths.ts';

const keys = Object.keys(benchmarkDatasets) as BenchmarkKey[];

/** Two samples as the label file of each kind has them, the words they mean, and answers of which the first is right. */
const emotions: Partial<Record<BenchmarkKey, { emo: unknown; word: string }[]>> = {
  mer2023: [
    { emo: 'worried', word: 'worried' },
    { emo: 'happy', word: 'happy' },
  ],
  mer2024: [
    { emo: 'worried', word: 'worried' },
    { emo: 'surprise', word: 'surprise' },
  ],
  meld: [
    { emo: 5n, word: 'fear' },
    { emo: 3, word: 'neutral' },
  ],
  iemocapfour: [
    { emo: 3, word: 'anger' },
    { emo: 1n, word: 'sad' },
  ],
};
const rightAnswer: Record<string, string> = { worried: 'anxious', fear: 'scared', anger: 'angry' };

describe('the sets of MER-UniBench', () => {
  it('are nine, and two more', () => {
    expect(keys.join(' ')).toBe(
      'mer2023 mer2024 meld iemocapfour cmumosi cmumosei sims simsv2 ovmerdplus ovmerd mer2025ov',
    );
    expect(Object.values(benchmarkDatasets).filter(({ inMean }) => inMean)).toHaveLength(9);
    const total = Object.values(benchmarkDatasets).reduce(
      (sum, { count, inMean }) => sum + (inMean ? count : 0),
      0,
    );
    expect(total).toBe(12_799);
  });

  it.each(keys)('score %s by the labels of its file', (key) => {
    const dataset = benchmarkDataset(key);
    if (dataset.metric === 'hit') {
      const [first, second] = emotions[key]!;
      const entries = new Map([
        ['Ses05_a', { emo: first!.emo, val: -10 }],
        ['Ses05_b', { emo: second!.emo, val: -10 }],
      ]);
      const truths = truthsOfCorpus(dataset, entries, 'label.npz');
      expect(truths).toEqual({
        kind: 'labels',
        of: new Map([
          ['Ses05_a', [first!.word]],
          ['Ses05_b', [second!.word]],
        ]),
      });
      const result = scoreHitRate(
        [
          { name: 'Ses05_a', labels: [first!.word], predicted: [rightAnswer[first!.word]!] },
          { name: 'Ses05_b', labels: [second!.word], predicted: ['blorp'] },
        ],
        { protocol: 'strict' },
      );
      expect(checkpointJson('x', result)).toMatchObject({ name: 'x', score: 0.5, n: 2, nScored: 2 });
    } else if (dataset.metric === 'sentiment') {
      const entries = new Map([
        ['a', { emo: 0, val: -0.2 }],
        ['b', { emo: 0, val: 0 }],
        ['c', { emo: 0, val: 1 }],
      ]);
      const truths = truthsOfCorpus(dataset, entries, 'label.npz');
      if (truths.kind !== 'sentiment') throw new Error('Those are sentiments.');
      const samples = Array.from(truths.of, ([name, value]) => ({ name, value, predicted: 'positive' }));
      const result = scoreSentiment(samples, { protocol: 'paper' });
      // One of two is positive, so is every answer: F1 is 2/3 and 0.
      expect(checkpointJson('x', result)).toMatchObject({
        n: 3,
        nScored: 2,
        metrics: { acc: 0.5, waf: 1 / 3 },
      });
    } else {
      expect(dataset.labels).toEqual({ kind: 'openset', column: 'openset' });
      const samples = [{ name: 'a', labels: ['worried', 'sad'], predicted: ['anxious'] }];
      const result = scoreEmotionWheels(samples, { protocol: 'strict' });
      expect(checkpointJson('x', result).metrics).toEqual({ f: 2 / 3, precision: 1, recall: 0.5 });
    }
  });

  it('take session 5 of IEMOCAP', () => {
    const entries = ['Ses01F_impro01_F000', 'Ses05M_script03_M044'].map(
      (name) => [name, { emo: 0 }] as const,
    );
    expect(truthsOfCorpus(benchmarkDatasets.iemocapfour, entries, 'label_4way.npz')).toEqual({
      kind: 'labels',
      of: new Map([['Ses05M_script03_M044', ['happy']]]),
    });
  });

  it('refuse labels of another set, all at once', () => {
    const entries = [
      ['a', { emo: 4 }],
      ['b', { emo: 0 }],
      ['c', {}],
    ] as const;
    const message = /"a" has the emo 4; expected is a word, or 0 to 3; "c" has the emo undefined/;
    const anyName = { ...benchmarkDatasets.iemocapfour, isTest: () => true };
    expect(() => truthsOfCorpus(anyName, entries, 'x.npz')).toThrow(message);
    expect(() => truthsOfCorpus(benchmarkDatasets.mer2023, entries, 'x.npz')).toThrow(/expected is a word;/);
    expect(() => truthsOfCorpus(benchmarkDatasets.sims, entries, 'x.npz')).toThrow(/no number/);
    expect(() => truthsOfCorpus(benchmarkDatasets.ovmerd, entries, 'x.npz')).toThrow(/CSV/);
    expect(() => benchmarkDataset('mer2022')).toThrow(/Its sets are mer2023/);
  });
});

describe('the layouts of clips', () => {
  it('say where each file of a sample lies', () => {
    const { mer2025, iemocapfour, meld, ovmerdplus, mer2024 } = clipLayouts;
    expect(mer2025.face('N')).toBe('openface_face/N/N.npy');
    expect(ovmerdplus.face('N')).toBe('openface_face/N.npy');
    expect(iemocapfour.videos('N')).toEqual(['subvideo-tgt/N.avi']);
    expect(meld.videos('N')).toEqual(['subvideo/N.mp4', 'subvideo/N.avi']);
    expect(meld.audio('N')).toBe('subaudio/N.wav');
    expect([mer2024, ovmerdplus, meld].map(({ subtitles }) => subtitles.column)).toEqual([
      'chinese',
      'sentence',
      'english',
    ]);
    for (const key of keys) expect(benchmarkDataset(key).layout.folders).toContain('openface_face');
  });
});
