import { describe, expect, it } from 'vitest';
import { logNormaliser, scoreContinuations } from '../../model/continuations.ts';
import { RandomGenerator } from '../../src/engine/random.ts';

const vocabSize = 7;
const batch = 2;
/** Scores that depend on row and on everything read so far. */
const logitsAfter = (row: number, tokens: readonly number[]): Float32Array =>
  new RandomGenerator(row + 1).split(tokens.join()).uniformFloat32(vocabSize, -4, 4);

function model() {
  const reads: number[][] = [];
  const blocks = (past: readonly number[], tokens: readonly number[]): Float32Array => {
    const logits = new Float32Array(batch * tokens.length * vocabSize);
    for (let row = 0; row < batch; row++) {
      tokens.forEach((_, i) => {
        const after = [...past, ...tokens.slice(0, i + 1)];
        logits.set(logitsAfter(row, after), (row * tokens.length + i) * vocabSize);
      });
    }
    return logits;
  };
  return {
    reads,
    batch,
    readPrompts: async () => ({
      logits: Float32Array.from([...logitsAfter(0, []), ...logitsAfter(1, [])]),
      past: [] as readonly number[],
    }),
    read: async (past: readonly number[], tokens: readonly number[]) => {
      reads.push([...tokens]);
      return { logits: blocks(past, tokens), past: [...past, ...tokens] };
    },
  };
}

/** The definition: each token's probability after all before it. */
const expected = (row: number, tokens: readonly number[]): number =>
  tokens.reduce((sum, token, i) => {
    const logits = logitsAfter(row, tokens.slice(0, i));
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    return sum + Math.log(Math.exp(logits[token]!) / total);
  }, 0);

describe('scores of continuations', () => {
  it.each([
    ['single tokens', [[1], [2], [3]], []],
    ['a shared beginning, read once', [[5, 4, 1], [5, 4, 2, 6], [3]], [[5, 4], [2]]],
    ['one that begins another', [[5], [5, 4], [5, 4, 3, 2]], [[5], [4], [3]]],
    ['a long one', [[1, 2, 3, 4], [0]], [[1, 2, 3]]],
    ['equal ones', [[2, 3], [2, 3], [0]], [[2]]],
    [
      'a beginning shared by all',
      [
        [6, 6, 1, 0],
        [6, 6, 2, 0],
      ],
      [[6, 6], [1], [2]],
    ],
  ])('are sums over their tokens: %s', async (_, continuations, reads) => {
    const reader = model();
    const scores = await scoreContinuations({ ...reader, continuations });
    expect(scores).toHaveLength(batch);
    scores.forEach((row, i) => {
      continuations.forEach((tokens, choice) => {
        expect(row[choice]).toBeCloseTo(expected(i, tokens), 5);
      });
    });
    expect(reader.reads).toEqual(reads);
  });

  it('need a token, and finite numbers', async () => {
    await expect(scoreContinuations({ ...model(), continuations: [[1], []] })).rejects.toMatchObject({
      code: 'CONTINUATION_EMPTY',
    });
    expect(() => logNormaliser(Float32Array.of(1, Number.NaN))).toThrow(/NaN as the score of token 1/);
    expect(logNormaliser(Float32Array.of(100, 100))).toBeCloseTo(100 + Math.log(2), 6);
  });
});
