import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type GenerationStep, generate } from '../../model/generation.ts';
import { penalizeRepetition } from '../../model/repetition-penalty.ts';
import { RandomGenerator } from '../../src/engine/random.ts';

/** Values of transformers (the file names its version). */
const reference = JSON.parse(
  readFileSync(new URL('./references/repetition-penalty.json', import.meta.url), 'utf8'),
) as {
  scores: number[][];
  prompts: number[][];
  penalties: Record<string, number[][]>;
  greedy: { table: number[][]; prompt: number[]; penalty: number; said: number[]; plain: number[] };
};

describe('penalizeRepetition', () => {
  it('gives the scores of transformers, to the bit', () => {
    for (const [penalty, expected] of Object.entries(reference.penalties)) {
      for (const [row, prompt] of reference.prompts.entries()) {
        const scores = Float32Array.from(reference.scores[row]!);
        const penalized = penalizeRepetition(scores, new Set(prompt), Number(penalty));
        expect(penalized).toEqual(Float32Array.from(expected[row]!));
        expect(scores).toEqual(Float32Array.from(reference.scores[row]!));
      }
    }
  });
});

describe('generate with a repetition penalty', () => {
  const { table, prompt, penalty, said, plain } = reference.greedy;
  /** Scores depend on the last token alone. */
  const bigrams =
    (batch: number): GenerationStep =>
    async ({ tokens }) =>
      Float32Array.from(
        Array.from({ length: batch }, (_, row) => table[tokens?.[row] ?? prompt.at(-1)!]!).flat(),
      );
  const common = { maxNewTokens: said.length, stop: [], padToken: 0 };
  const greedy = { ...common, sampling: { method: 'greedy' } } as const;

  it('says what transformers says, greedily', async () => {
    const repetition = { penalty, prompts: [prompt] };
    const [answer] = await generate(bigrams(1), { ...greedy, batch: 1, repetition });
    expect(answer!.tokens).toEqual(said);
    const [unpenalized] = await generate(bigrams(1), { ...greedy, batch: 1 });
    expect(unpenalized!.tokens).toEqual(plain);
    expect(said).not.toEqual(plain);
  });

  it('counts the prompt of each row for that row alone', async () => {
    const prompts = [prompt, [...prompt, said[0]!, 0, 1, 2]];
    const both = await generate(bigrams(2), { ...greedy, batch: 2, repetition: { penalty: 1e6, prompts } });
    for (const [row, own] of prompts.entries()) {
      const repetition = { penalty: 1e6, prompts: [own] };
      const [alone] = await generate(bigrams(1), { ...greedy, batch: 1, repetition });
      expect(both[row]).toEqual(alone);
    }
    expect(both[0]!.tokens).not.toEqual(both[1]!.tokens);
  });

  it('is applied before a token is drawn', async () => {
    const draw = async (strength: number) => {
      const [answer] = await generate(bigrams(1), {
        ...{ ...common, maxNewTokens: table.length - prompt.length, batch: 1 },
        sampling: { method: 'sample', temperature: 1 },
        random: [new RandomGenerator(1)],
        repetition: { penalty: strength, prompts: [prompt] },
      });
      return answer!.tokens;
    };
    expect(await draw(1)).not.toEqual(await draw(1.5));
  });

  it('refuses what makes no sense', async () => {
    for (const repetition of [
      { penalty: 0, prompts: [prompt] },
      { penalty: Number.NaN, prompts: [prompt] },
      { penalty: 1.1, prompts: [] },
    ]) {
      await expect(generate(bigrams(1), { ...greedy, batch: 1, repetition })).rejects.toThrow(
        /repetition penalty is .* a number above 0/,
      );
    }
  });
});
