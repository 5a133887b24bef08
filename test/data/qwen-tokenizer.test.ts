import { describe, expect, it } from 'vitest';
import { comparePromptFile } from '../parity/affectgpt/prompts.ts';
import { openReference } from '../support/affectgpt-reference.ts';
import { referenceTokenizer } from '../support/qwen-tokenizer.ts';

const reference = await openReference();
const tokenizer = await referenceTokenizer(reference.folder);

describe('with the tokenizer of Qwen2.5', () => {
  it('prompts, questions, answers and special tokens are those of the published code', async () => {
    const comparisons = await comparePromptFile(reference);
    expect(comparisons.filter(({ ok }) => !ok)).toEqual([]);
    // 105 prompts of 15 modes as ids, 15 of them as text, 14 odd subtitles, repeated placeholders, answers.
    expect(comparisons.filter(({ tensor }) => tensor.endsWith('.ids')).length).toBe(105 + 3);
    expect(comparisons.filter(({ tensor }) => tensor.endsWith('.text')).length).toBe(15);
    expect(comparisons.length).toBeGreaterThan(170);
  });

  it.each([
    ['I am so happy today! 😀', [40, 1079, 773, 6247, 3351, 0, 90316]],
    ['<|im_start|>user\nHello<|im_end|>', [151644, 872, 198, 9707, 151645]],
    ['他很生气。', [42411, 99165, 106353, 1773]],
  ])('%j has the published ids', (text, ids) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('published stop sequences are the tokens that spell ### alone', () => {
    expect(tokenizer.stopSequences('published')).toEqual([[151645], [151643], [14374], [565, 2], [2, 565]]);
  });

  it('the stop spelling "text" knows every way to write ###', () => {
    const every = new Set(tokenizer.stopSequences('text').map((ids) => ids.join()));
    for (const text of [' ###', '####', 'a###']) {
      const spelled = tokenizer.encode(text);
      const ends = spelled.flatMap((_, i) => [spelled.slice(i).join(), String(spelled[i])]);
      expect(
        ends.some((ids) => every.has(ids)),
        text,
      ).toBe(true);
    }
  });
});
