import { describe, expect, it } from 'vitest';
import { promptFormat } from '../../src/data/prompt-format.ts';
import { buildPrompt } from '../../src/data/prompts.ts';
import { buildTrainingSequence, encodeAnswer } from '../../src/data/sequence.ts';
import { tinyTokenizer } from './tiny-tokenizer.ts';

const tokenizer = tinyTokenizer();
const { bosId, eosId } = tokenizer;
const template = { prompt: 'The subtitle is: "{subtitle}". Emotion:', answer: ' {label}' };
const compat = { bosAtInference: false, stopSequences: 'published' } as const;
type End = 'published' | 'eos' | 'none';
const format = (begin: boolean, end: End) =>
  promptFormat({ inputs: 'textonly', template: { ...template, begin, end }, compat });

describe('an own template', () => {
  it('words prompt and answer', () => {
    const { prompt, answer } = format(false, 'none');
    expect(prompt('Oh, "no"!', 'unused')).toBe('The subtitle is: "Oh, "no"!". Emotion:');
    expect(answer('onehot_wo_candidates', 'joy')).toBe(' joy');
  });

  it.each<[boolean, End]>([
    [true, 'published'],
    [true, 'eos'],
    [false, 'eos'],
    [false, 'none'],
    [true, 'none'],
  ])('begin %s, end %s: exactly the answer and its end are supervised', (begin, end) => {
    const { prompt, answer, begin: start, stop } = format(begin, end);
    const promptIds = tokenizer.encode(prompt('Well.', ''));
    const text = answer('ovlabel', 'joy');
    const { ids, labels } = buildTrainingSequence(tokenizer, promptIds, text, {
      ...{ maxLength: 100, name: 'a', begin: start.training, end },
    });
    const last = {
      published: [...tokenizer.encode(' joy###'), eosId],
      eos: [...tokenizer.encode(' joy'), eosId],
      none: tokenizer.encode(' joy'),
    }[end];
    const before = [...(begin ? [bosId!] : []), ...promptIds];
    expect([...ids]).toEqual([...before, ...last]);
    expect([...labels]).toEqual([...before.map(() => -100), ...last]);
    expect(encodeAnswer(tokenizer, text, end)).toEqual(last);
    expect(start.asking).toBe(begin);
    expect(stop).toBe(end === 'published' ? 'published' : 'end');
  });

  it('counts what is spoken towards the longest sequence', () => {
    const build = (end: End, maxLength: number) => () =>
      buildTrainingSequence(tokenizer, [1, 2], ' joy', { maxLength, name: 'a', end });
    const spoken = tokenizer.encode(' joy').length + 2;
    for (const end of ['eos', 'none'] as const) {
      expect(build(end, spoken)).not.toThrow();
      expect(build(end, spoken - 1)).toThrow(/"a" has \d+ tokens/);
    }
  });

  it('stops answers at end tokens alone, unless it ends them as published', () => {
    expect(tokenizer.stopSequences('end')).toEqual(tokenizer.endIds.map((id) => [id]));
    const ids = [...tokenizer.encode(' a ### b Assistant: c'), eosId, ...tokenizer.encode('d')];
    expect(tokenizer.answer(ids, 'end')).toBe('a ### b Assistant: c');
  });
});

describe('the published wording', () => {
  it('is what there is without a template', () => {
    const { prompt, answer, begin, end, stop } = promptFormat({ inputs: 'textonly', template: null, compat });
    expect(prompt('Hi.', 'Q?')).toBe(buildPrompt('textonly', 'Hi.', 'Q?'));
    expect(answer('onehot_w_candidates', 'joy')).toBe('The most likely label is joy.');
    expect({ begin, end, stop }).toEqual({
      begin: { training: true, asking: false },
      end: 'published',
      stop: 'published',
    });
  });
});
