import { describe, expect, it } from 'vitest';
import { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { tinyTokenizer, tinyTokenizerJson } from './tiny-tokenizer.ts';

describe('PromptTokenizer', () => {
  const tokenizer = tinyTokenizer();
  const one = (text: string): number => {
    const ids = tokenizer.encode(text);
    expect(ids).toHaveLength(1);
    return ids[0]!;
  };

  it('adds the placeholders in the published order with the next free ids', () => {
    const { image, audio, frame, face, multi } = tokenizer.placeholderIds;
    const next = one('<|im_end|>') + 1;
    expect([image, audio, frame, face, multi]).toEqual([0, 1, 2, 3, 4].map((i) => next + i));
    expect(tokenizer.length).toBe(next + 5);
    expect(tokenizer.encode('a<FaceHere><FaceHere>b')).toEqual([one('a'), face, face, one('b')]);
    const text = 'Émile said “你好” ###\n<MultiHere>';
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('keeps placeholders that are already there', () => {
    const json = tinyTokenizerJson(['<|im_start|>', '<MultiHere>', '<|im_end|>']);
    const kept = new PromptTokenizer(json, {}, 'test');
    expect(kept.placeholderIds.multi).toBe(json.added_tokens[1]!.id);
    expect(kept.length).toBe(json.added_tokens[2]!.id + 5);
  });

  it('takes the chat tokens as bos, eos and pad, else those of the configuration', () => {
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual(
      ['<|im_start|>', '<|im_end|>', '<|im_end|>'].map(one),
    );
    const json = tinyTokenizerJson(['<s>', '</s>', '<pad>']);
    const config = { bos_token: '<s>', eos_token: { content: '</s>' }, pad_token: '<pad>' };
    const other = new PromptTokenizer(json, config, 'test');
    expect([other.bosId, other.eosId, other.padId]).toEqual(json.added_tokens.map(({ id }) => id));
    expect(() => new PromptTokenizer(json, {}, 'folder X')).toThrow(/folder X.*end-of-sequence/);
  });

  it('derives the stop sequences from the vocabulary', () => {
    const [hash, double, triple] = ['#', '##', '###'].map(one) as [number, number, number];
    const ends = ['<|im_end|>', '<|endoftext|>'].map((text) => [one(text)]);
    const published = tokenizer.stopSequences('published');
    expect(published).toEqual([...ends, [triple], [double, hash], [hash, double]]);
    const text = tokenizer.stopSequences('text').map((ids) => ids.join());
    for (const ids of [...published, [hash, hash, hash]]) expect(text).toContain(ids.join());
  });

  it('cuts an answer as published, or at the first stop', () => {
    const answer = (text: string, spelling: 'published' | 'text') =>
      tokenizer.answer(tokenizer.encode(text), spelling);
    expect(answer('x Assistant: y###', 'published')).toBe('y');
    expect(answer('sad###Human: more ###', 'published')).toBe('sad###Human: more');
    expect(answer('sad###Human: more ###', 'text')).toBe('sad');
    expect(answer('sad<|endoftext|>', 'published')).toBe('sad<|endoftext|>');
    expect(answer('sad<|endoftext|>', 'text')).toBe('sad');
    expect(answer('', 'published')).toBe('');
  });
});
