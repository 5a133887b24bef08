import { ignoredLabel } from '../../model/loss.ts';
import type { SlotName } from '../../model/modes.ts';
import type { PlaceholderRun } from '../../model/splice.ts';
import { InputError } from '../errors.ts';
import { placeholders, stopText } from './prompts.ts';
import type { PromptTokenizer } from './tokenizer.ts';

/** What follows an answer: `###` and the end token, the end token alone, or nothing. */
export type SequenceEnd = 'published' | 'eos' | 'none';

/** One training sequence: `[start] prompt answer [###] [eos]` and what is to be predicted at each place. */
export interface TrainingSequence {
  readonly ids: Int32Array;
  /** The id itself where it belongs to the answer or to what ends it, else -100. Not shifted. */
  readonly labels: Int32Array;
}

/**
 * Token ids of a prompt, without `bos`: each placeholder repeated as often as vectors will replace it.
 *
 * @param prompt from a `PromptFormat`, one placeholder for each slot
 * @param runs from `placeholderRuns`
 * @throws InputError `PLACEHOLDER_IN_TEXT` where subtitle or question spell a placeholder
 */
export function encodePrompt(
  tokenizer: PromptTokenizer,
  prompt: string,
  runs: readonly PlaceholderRun[],
  name: string,
): number[] {
  const wanted = (Object.keys(placeholders) as SlotName[]).map((slot) => ({
    text: placeholders[slot],
    id: tokenizer.placeholderIds[slot],
    tokens: runs.find((run) => run.id === tokenizer.placeholderIds[slot])?.tokens ?? 0,
  }));
  const expanded = wanted.reduce(
    // A placeholder that no slot explains stays, for the message.
    (text, slot) => text.replaceAll(slot.text, slot.text.repeat(Math.max(slot.tokens, 1))),
    prompt,
  );
  const ids = tokenizer.encode(expanded);
  for (const { text, id, tokens } of wanted) {
    const actual = ids.filter((token) => token === id).length;
    if (actual !== tokens) {
      throw new InputError(
        'PLACEHOLDER_IN_TEXT',
        `Sample "${name}": its prompt holds ${actual} tokens ${text} instead of ${tokens}. ` +
          'The subtitle or the question spells a placeholder; take it out.',
      );
    }
  }
  return ids;
}

/** Token ids of an answer and of what ends it: all that training supervises, and all whose likelihood counts. */
export function encodeAnswer(tokenizer: PromptTokenizer, answer: string, end: SequenceEnd): number[] {
  const ids = tokenizer.encode(end === 'published' ? answer + stopText : answer);
  return end === 'none' ? ids : [...ids, tokenizer.eosId];
}

/**
 * The training sequence of a sample. Prompt and answer are tokenized separately, as published.
 *
 * @param options.maxLength longest prompt and answer together, without start and end token
 * @param options.begin whether the start token, where the tokenizer has one, stands before the prompt
 * @throws InputError `SAMPLE_TOO_LONG`
 */
export function buildTrainingSequence(
  tokenizer: PromptTokenizer,
  promptIds: readonly number[],
  answer: string,
  options: {
    readonly maxLength: number;
    readonly name: string;
    readonly begin?: boolean;
    readonly end?: SequenceEnd;
  },
): TrainingSequence {
  const { maxLength, name, begin = true, end = 'published' } = options;
  const answerIds = encodeAnswer(tokenizer, answer, end);
  const spoken = answerIds.length - (end === 'none' ? 0 : 1);
  const length = promptIds.length + spoken;
  if (length > maxLength) {
    throw new InputError(
      'SAMPLE_TOO_LONG',
      `Sample "${name}" has ${length} tokens (prompt ${promptIds.length}, answer ${spoken}), more than ` +
        `model.maxLength ${maxLength}. Shorten its subtitle or answer, raise model.maxLength, or set data.onBadSample to skip.`,
    );
  }
  const before = begin && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  const ids = Int32Array.from([...before, ...promptIds, ...answerIds]);
  const labels = ids.slice().fill(ignoredLabel, 0, before.length + promptIds.length);
  return { ids, labels };
}
