import { describe, expect, it } from 'vitest';
import { MEANS } from '../../../src/eval/mer-unibench/evaluate.ts';
import { finding } from '../../../src/eval/mer-unibench/findings.ts';
import { contractJson } from '../../../src/eval/mer-unibench/report/json.ts';
import { chooseWheelTable, findingMessages } from '../../../src/eval/mer-unibench/run.ts';
import { bestOf, selectCheckpoint } from '../../../src/eval/mer-unibench/selection.ts';
import { evaluateGiven, type GivenSet } from './scored.ts';

const words = (...labels: string[]) => ({ labels });

const mer2023: GivenSet = {
  key: 'mer2023',
  truths: { a: ['happy'], b: ['angry'], c: ['neutral'], d: ['sad'] },
  answers: {
    one: { a: words('joyful'), b: words('sad'), c: words('neutral'), d: words() },
    two: { a: words('joyful'), b: words('furious'), c: words('sad'), x: words('sad') },
  },
};
const cmumosi: GivenSet = {
  key: 'cmumosi',
  truths: { p: 1, q: -1, r: 0, s: 2 },
  answers: {
    one: {
      p: { sentiment: 'positive' },
      q: { sentiment: 'mixed' },
      r: { sentiment: 'neutral' },
      s: { sentiment: 'positive' },
    },
    two: {
      p: { sentiment: 'negative' },
      q: { sentiment: 'negative' },
      r: { sentiment: 'neutral' },
      s: { sentiment: 'negative' },
    },
  },
};

describe('the checkpoint that counts', () => {
  it('is the best of each set under paper', async () => {
    const { evaluation } = await evaluateGiven([mer2023, cmumosi], { protocol: 'paper' });
    const [hits, sentiments] = evaluation.sets.map((set) => contractJson(evaluation, set));
    expect(hits).toMatchObject({ best: 'two', metric: 'hit', wheelTable: 'published', extractor: 'stored' });
    expect(hits!.checkpoints.map(({ score }) => score)).toEqual([1 / 3, 2 / 3]);
    expect(sentiments).toMatchObject({ best: 'one', metric: 'sentiment' });
    expect(sentiments!.checkpoints.map(({ score }) => score)).toEqual([1, (1 / 3) * 0.5]);
    // One name each, and the mean of the best.
    expect(evaluation.means).toMatchObject([{ key: 'mean', sets: ['mer2023', 'cmumosi'], of: 9 }]);
    expect(evaluation.means[0]!.score).toBeCloseTo((2 / 3 + 1) / 2, 15);
    expect(evaluation.means[0]!.interval).toBeUndefined();
  });

  it('is one for all sets under strict', async () => {
    const { evaluation } = await evaluateGiven([mer2023, cmumosi], { pick: 'one' });
    const [hits, sentiments] = evaluation.sets.map((set) => contractJson(evaluation, set));
    expect(hits!.checkpoints).toMatchObject([{ name: 'one', score: 0.5, n: 4, nScored: 4 }]);
    expect(sentiments!.checkpoints).toMatchObject([{ name: 'one', metrics: { acc: 0.75 } }]);
    expect(hits).not.toHaveProperty('best');
    const { interval } = evaluation.sets[0]!.chosen!;
    expect(interval).toMatchObject({ confidence: 0.95, resamples: 50, seed: 1 });
    expect(interval!.low).toBeLessThanOrEqual(0.5);
    expect(evaluation.means[0]!.interval!.low).toBeGreaterThan(interval!.low);
  });

  it('is never one without a score', async () => {
    const nothing = { a: words('blorp'), b: words('blorp'), c: words(), d: words() };
    const set: GivenSet = { ...mer2023, key: 'ovmerd', answers: { ...mer2023.answers, '0': nothing } };
    const { evaluation } = await evaluateGiven([set], { protocol: 'paper' });
    const json = contractJson(evaluation, evaluation.sets[0]!);
    expect(json).toMatchObject({ best: 'two' });
    expect(json.checkpoints[0]).toMatchObject({ name: '0', score: null });
    const alone = await evaluateGiven([{ ...set, answers: { '0': nothing } }], { protocol: 'paper' });
    expect(contractJson(alone.evaluation, alone.evaluation.sets[0]!)).toMatchObject({ best: null });
    expect(alone.notes.join('\n')).toContain('no checkpoint has a score (1): 0.');
  });

  it('is the first of equal ones', () => {
    const scored = (name: string, score: number) => ({ name, result: { score } });
    expect(bestOf([scored('a', Number.NaN), scored('b', 0.5), scored('c', 0.5)])?.name).toBe('b');
    expect(bestOf([scored('a', Number.NaN)])).toBeUndefined();
  });

  it('has to be named where there are several', () => {
    const sets = [
      { key: 'mer2023', names: ['epoch-1', 'epoch-2'] },
      { key: 'sims', names: ['epoch-2', 'epoch-3'] },
    ] as const;
    const select = (pick?: string, protocol: 'paper' | 'strict' = 'strict') =>
      selectCheckpoint(sets, { protocol, pick });
    expect(() => select()).toThrow(/answers of 3 checkpoints.*--pick: epoch-2\.$/);
    expect(() => select('epoch-1')).toThrow(
      /no answers of a checkpoint "epoch-1" on sims\..*There are: epoch-2, epoch-3\./,
    );
    expect(() => select('epoc-2')).toThrow(/on mer2023, sims\. Did you mean "epoch-/);
    expect(select('epoch-2')).toBe('epoch-2');
    expect(select(undefined, 'paper')).toBeUndefined();
    expect(() => select('epoch-2', 'paper')).toThrow(/best checkpoint of each set/);
    expect(
      selectCheckpoint([{ key: 'sims', names: ['only'] }], { protocol: 'strict', pick: undefined }),
    ).toBe('only');
  });
});

describe('means', () => {
  it('are those of the papers', () => {
    expect(MEANS.map(({ key, sets }) => [key, sets.length])).toEqual([
      ['fine', 1],
      ['basic', 4],
      ['sentiment', 4],
      ['mean', 9],
    ]);
  });

  it('are given for kinds whose sets are all there', async () => {
    const keys = ['mer2023', 'mer2024', 'meld', 'iemocapfour'] as const;
    const { evaluation } = await evaluateGiven(
      keys.map((key) => ({ ...mer2023, key })),
      { pick: 'one' },
    );
    expect(evaluation.means.map(({ key, score, of }) => [key, score, of])).toEqual([
      ['basic', 0.5, 4],
      ['mean', 0.5, 9],
    ]);
    const other = await evaluateGiven([mer2023, { ...mer2023, key: 'ovmerd' }], { pick: 'one' });
    expect(other.evaluation.means).toEqual([]);
  });
});

describe('what was found', () => {
  it('is told with counts', async () => {
    const set: GivenSet = {
      key: 'mer2023',
      truths: { a: ['happy'], b: ['neutral'], c: ['sad'], d: ['angry'] },
      answers: {
        only: { a: { text: 'x' }, b: words(), c: words('blorp', 'sad'), y: words('sad'), z: words('sad') },
      },
    };
    const { evaluation, notes } = await evaluateGiven([set], { extractor: 'stored' });
    const kinds = evaluation.sets[0]!.checkpoints[0]!.findings.map(({ kind, count }) => [kind, count]);
    expect(kinds).toEqual([
      ['missing', 1],
      ['unknown', 2],
      ['not-extracted', 1],
      ['no-words', 1],
      ['unmapped-predictions', 1],
    ]);
    expect(notes).toEqual([
      'mer2023-labels: samples labelled with words that some wheel does not know; they are groups of their own there (1): neutral (1; no wheel).',
      'mer2023/only: labelled samples without prediction (1): d.',
      'mer2023/only: predictions about samples without label (2): y, z.',
      'mer2023/only: answers without words to score; scored as empty ones (1): a.',
      'mer2023/only: answers in which no emotion word was found; scored as empty ones (1): b.',
      'mer2023/only: samples answered with words that some wheel does not know; they are groups of their own there (1): blorp (1; no wheel).',
    ]);
    expect(contractJson(evaluation, evaluation.sets[0]!).checkpoints).toMatchObject([{ score: 0.25, n: 4 }]);
  });

  it('is told once of what is alike', async () => {
    const { notes } = await evaluateGiven([cmumosi], { protocol: 'paper' });
    expect(notes).toEqual([
      'cmumosi-labels: samples with the valence 0; the protocol "paper" leaves them out (1): r.',
      'cmumosi/one: answers that are none of positive, negative and neutral; they count as negative (1): q.',
    ]);
    const missing = await evaluateGiven([mer2023], { protocol: 'paper' });
    expect(missing.notes).toContain('mer2023/two: labelled samples without prediction (1): d.');
    const both = { ...mer2023, answers: { one: mer2023.answers.two!, two: { a: words('sad') } } };
    const { notes: alike } = await evaluateGiven([both], { protocol: 'paper' });
    expect(alike).toContain(
      'mer2023/one: labelled samples without prediction (1): d. Likewise in 1 more files: 3.',
    );
  });

  it('keeps apart what is of one kind and not alike', async () => {
    const { evaluation } = await evaluateGiven([mer2023], { pick: 'one' });
    const [set] = evaluation.sets;
    const file = 'a (copy).jsonl';
    const of = ['row 1'];
    const findings = ['rows without a name', 'rows whose labels cannot be read'].map((what) =>
      finding('unreadable', file, of, what),
    );
    const checkpoints = [{ ...set!.checkpoints[0]!, findings }];
    expect(findingMessages({ ...set!, findings: [], checkpoints })).toEqual([
      'a (copy).jsonl: rows without a name (1): row 1.',
      'a (copy).jsonl: rows whose labels cannot be read (1): row 1.',
    ]);
  });

  it('does not depend on the order of anything', async () => {
    const sets = [mer2023, cmumosi];
    const { evaluation: forward } = await evaluateGiven(sets, { pick: 'two' });
    const reversed = sets.map((set) => ({ ...set, reversed: true }));
    const { evaluation: backward } = await evaluateGiven(reversed, { pick: 'two' });
    const all = ({ sets: evaluated, means }: typeof forward) =>
      JSON.stringify([
        evaluated.map(({ chosen }) => [chosen!.result.perSample, chosen!.result.score, chosen!.interval]),
        means,
      ]);
    expect(all(backward)).toBe(all(forward));
  });
});

describe('the extractor', () => {
  const text = (answer: string) => ({ text: `The character's emotional state is ${answer}.` });
  const answered: GivenSet = {
    ...mer2023,
    answers: { one: { a: text('happy'), b: text('angry'), c: text('sad') } },
  };

  it('is the rules where nothing is stored', async () => {
    const { evaluation } = await evaluateGiven([answered]);
    expect(evaluation.extractor).toBe('rules');
    expect(contractJson(evaluation, evaluation.sets[0]!)).toMatchObject({ extractor: 'rules' });
    expect(evaluation.sets[0]!.chosen!.result.score).toBe(0.5);
    const some = { one: { ...answered.answers.one, d: { ...text('sad'), labels: ['angry'] } } };
    const partly = await evaluateGiven([{ ...answered, answers: some }]);
    expect(partly.evaluation.extractor).toBe('rules');
    expect(partly.evaluation.sets[0]!.chosen!.result.score).toBe(0.75);
  });

  it('finds sentiments in answers, and in stored words where there are none', async () => {
    const set: GivenSet = {
      ...cmumosi,
      answers: {
        one: {
          p: text('happy'),
          q: { labels: ['sad'] },
          r: { openset: '[calm, sad]', labels: ['calm', 'sad'] },
          s: text('sad'),
        },
      },
    };
    const { evaluation } = await evaluateGiven([set]);
    expect(evaluation.extractor).toBe('rules');
    const { chosen } = evaluation.sets[0]!;
    expect(chosen!.samples.map(({ predicted }) => predicted)).toEqual([
      'positive',
      'negative',
      'positive',
      'negative',
    ]);
  });

  it('is one for all', async () => {
    const mixed = { ...mer2023.answers, ...answered.answers };
    const set: GivenSet = { ...mer2023, answers: { ...mixed, three: answered.answers.one! } };
    await expect(
      evaluateGiven([{ ...set, answers: { ...set.answers, one: mer2023.answers.one! } }], {
        protocol: 'paper',
      }),
    ).rejects.toThrow(/stored with some of the predictions, but not with mer2023\/three\./);
    await expect(evaluateGiven([answered], { extractor: 'stored' })).rejects.toThrow(
      /no words are stored.*one-openset\.npz/,
    );
    await expect(evaluateGiven([mer2023], { pick: 'one', extractor: 'rules' })).rejects.toThrow(
      /no answers in which/,
    );
  });

  it('is given free, also when it fails', async () => {
    let disposed = 0;
    const failing = {
      extractor: { name: 'llm', extract: () => Promise.reject(new Error('no answer')) },
      dispose: async () => void disposed++,
    };
    const options = { extractor: 'llm' as const, openExtractor: async () => failing };
    await expect(evaluateGiven([answered], options)).rejects.toThrow('no answer');
    expect(disposed).toBe(1);
  });
});

it('the table of word forms is that of the protocol, the run, or the command', () => {
  expect(chooseWheelTable('paper', undefined)).toBe('published');
  expect(chooseWheelTable('paper', undefined, 'corrected')).toBe('published');
  expect(chooseWheelTable('strict', undefined)).toBe('corrected');
  expect(chooseWheelTable('strict', undefined, 'published')).toBe('published');
  expect(chooseWheelTable('strict', 'corrected', 'published')).toBe('corrected');
});
