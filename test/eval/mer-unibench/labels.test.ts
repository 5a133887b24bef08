import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BenchmarkDataset } from '../../../src/eval/mer-unibench/datasets.ts';
import { benchmarkDatasets } from '../../../src/eval/mer-unibench/datasets.ts';
import { readLabels } from '../../../src/eval/mer-unibench/labels.ts';
import { scoreSentiment } from '../../../src/eval/mer-unibench/metrics/sentiment.ts';
import { fixturePath } from '../../support/fixture.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const { mer2023, meld, iemocapfour, cmumosi, ovmerd } = benchmarkDatasets;

async function fileOf(name: string, ...lines: string[]): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, lines.join('\n'));
  return path;
}

/** Labels, and findings as `kind count: of`, without that about the number of samples. */
async function read(dataset: BenchmarkDataset, path: string) {
  const { truths, findings } = await readLabels(dataset, path);
  return {
    of: Object.fromEntries<unknown>(truths.of),
    findings: findings
      .filter(({ kind }) => kind !== 'count')
      .map(({ kind, count, of }) => `${kind} ${count}: ${of.join(' | ')}`),
  };
}

describe('labels of one own', () => {
  it('are open vocabularies in either notation', async () => {
    const published = await fileOf(
      'a.csv',
      'name,openset',
      `a,"['x', 'y']"`,
      'b,[]',
      'c,',
      'd,nan',
      `a,"['x', 'y']"`,
    );
    expect(await read(ovmerd, published)).toEqual({
      of: { a: ['x', 'y'], b: [], c: [], d: [] },
      findings: ['empty 2: b | c', 'nan 1: d', 'duplicate 1: a'],
    });
    const lines = [
      '{"id":"a","labels":["x","y"]}',
      '{"name":"b","openset":"[z]"}',
      '{"name":"c","labels":null}',
    ];
    expect(await read(ovmerd, await fileOf('a.jsonl', ...lines))).toEqual({
      of: { a: ['x', 'y'], b: ['z'], c: [] },
      findings: ['nan 1: c'],
    });
    const cells = await fileOf('a.csv', 'name,labels,openset', 'a,x; y,', 'b,,[z]');
    expect((await read(ovmerd, cells)).of).toEqual({ a: ['x', 'y'], b: ['z'] });
  });

  it('are sentiments as numbers or words; a missing one is left out of the score', async () => {
    const csv = await fileOf('a.csv', 'name,valence,more', 'a,-1.5,x', 'b,0,x', 'c,,x', 'd,NaN,x');
    expect(await read(cmumosi, csv)).toEqual({
      of: { a: -1.5, b: 0, c: Number.NaN, d: Number.NaN },
      findings: ['nan 2: c | d'],
    });
    const { truths } = await readLabels(cmumosi, csv);
    if (truths.kind !== 'sentiment') throw new Error('Those are sentiments.');
    const samples = Array.from(truths.of, ([name, value]) => ({ name, value, predicted: 'negative' }));
    expect(scoreSentiment(samples, { protocol: 'strict' })).toMatchObject({ nScored: 2, nInvalidLabels: 2 });
    const words = ['positive', 'Negative', 'neutral'].map(
      (word, i) => `{"name":"${i}","sentiment":"${word}"}`,
    );
    expect((await read(cmumosi, await fileOf('a.jsonl', ...words))).of).toEqual({ 0: 1, 1: -1, 2: 0 });
  });

  it('are single emotions as words or as the integers of the published file', async () => {
    const lines = ['name,label', 'a,0', 'b,joy', 'c,6'];
    expect((await read(meld, await fileOf('a.csv', ...lines))).of).toEqual({
      a: ['anger'],
      b: ['joy'],
      c: ['surprise'],
    });
    const session = await fileOf('a.jsonl', '{"name":"Ses01","label":0}', '{"name":"Ses05","label":0}');
    expect(await readLabels(iemocapfour, session)).toMatchObject({ outsideSplit: 1 });
    expect((await read(iemocapfour, session)).of).toEqual({ Ses05: ['happy'] });
  });

  it.each<[string, BenchmarkDataset, string[], RegExp]>([
    [
      'rows that cannot be read, all of them',
      mer2023,
      ['{"name":"a","label":null}', '{"name":"b"}', '{"label":"x"}', '{', '{"name":"c","labels":["x","y"]}'],
      /no labels of MER2023: row 2: .*without any of.*; row 3: rows without a name; row 4 .*not JSON.*; row 1: the label of "a" cannot be read; row 5: the labels of "c"/s,
    ],
    [
      'two labels',
      ovmerd,
      ['{"name":"a","labels":[],"openset":"[]"}'],
      /row 1 has openset and labels; give one/,
    ],
    ['a word for a number', cmumosi, ['{"name":"a","valence":"high"}'], /the valence of "a" cannot be read/],
    ['another sentiment', cmumosi, ['{"name":"a","sentiment":"mixed"}'], /the sentiment of "a"/],
    [
      'an integer that stands for nothing',
      meld,
      ['{"name":"a","label":7}'],
      /emo 7; expected is a word, or 0 to 6/,
    ],
    ['an integer where words are due', mer2023, ['{"name":"a","label":1}'], /emo 1; expected is a word/],
    [
      'contradictions, all of them',
      ovmerd,
      ['a,x', 'a,y', 'b,x', 'b,z'].map((row) => `{"name":"${row[0]}","labels":["${row[2]}"]}`),
      /labels the same sample in different ways.*: a; b\./,
    ],
    ['no sample of the test split', iemocapfour, ['{"name":"Ses01","label":0}'], /none of its 1 samples/],
  ])('are refused for %s', async (_, dataset, lines, message) => {
    const path = await fileOf('labels.jsonl', ...lines);
    await expect(readLabels(dataset, path)).rejects.toMatchObject({
      ...{ name: 'InputError', code: expect.stringMatching(/^LABELS_/) },
      message: expect.stringMatching(message),
    });
  });

  it('have the columns of their set', async () => {
    const path = await fileOf('labels.csv', 'name,openset', 'a,[happy]');
    await expect(readLabels(cmumosi, path)).rejects.toMatchObject({ code: 'ROWS_NO_COLUMN' });
  });
});

describe('published label files', () => {
  const label = (key: string, file: string) => fixturePath(`npz/sets/${key}/${file}`);

  it('of another set are refused', async () => {
    await expect(readLabels(mer2023, label('meld', 'label.npz'))).rejects.toMatchObject({
      code: 'NPZ_NO_SUCH_ARRAY',
      message: expect.stringContaining(
        'no array "test1_corpus"; its arrays are: "train_corpus", "val_corpus"',
      ),
    });
    await expect(readLabels(iemocapfour, label('meld', 'label.npz'))).rejects.toThrow(/"whole_corpus"/);
    await expect(readLabels(ovmerd, label('sims', 'label.npz'))).rejects.toThrow(/come as a CSV file/);
    await expect(readLabels(mer2023, 'label.xlsx')).rejects.toThrow(/expected is label-6way\.npz, or one of/);
    await expect(readLabels(mer2023, fixturePath('npz/arrays.npz'))).rejects.toThrow(
      /no array "test1_corpus"/,
    );
  });

  it('have all their splits, of which the one for tests is read', async () => {
    const splits = (corpus: string) => ({ ...mer2023, labels: { kind: 'emotion' as const, corpus } });
    for (const [corpus, count] of [
      ['train_corpus', 2],
      ['test1_corpus', 5],
      ['test2_corpus', 2],
      ['test3_corpus', 2],
    ] as const) {
      const { truths } = await readLabels(splits(corpus), label('mer2023', mer2023.labelFile));
      expect(truths.of.size).toBe(count);
    }
  });
});

const { merUnibench } = publishedFiles;

describe.skipIf(isMissing('published labels (AFFECTGPT_MER_UNIBENCH)', merUnibench))(
  'the labels that were published',
  () => {
    it.each<[BenchmarkDataset, string, string, unknown]>([
      [mer2023, 'labels/mer2023-label-6way.npz', 'sample_00001998', ['worried']],
      [cmumosi, 'labels/cmumosi-label.npz', 'k5Y_838nuGo_1', -1.6],
      [ovmerd, 'ovmerd/check-openset.csv', 'sample_00000007', ['excited', 'joyful', 'happy']],
    ])('of $title are read, as many as there should be', async (dataset, file, name, truth) => {
      const { truths, findings } = await readLabels(dataset, join(merUnibench, file));
      expect(truths.of.size).toBe(dataset.count);
      expect(findings).toEqual([]);
      expect(truths.of.get(name)).toEqual(truth);
    });
  },
);
