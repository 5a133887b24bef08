import { ignoredLabel } from '../../model/loss.ts';
import type { SlotName } from '../../model/modes.ts';
import type { PlaceholderRun } from '../../model/splice.ts';
import { InputError } from '../errors.ts';
import { placeholders, stopText } from './prompts.ts';
import type { PromptTokenizer } from './tokenizer.ts';

/** One training sequence: `[bos] prompt answer ### eos` and what is to be predicted at each place. */
export interface TrainingSequence {
  readonly ids: Int32Array;
  /** The id itself where it is an answer token, `###` or the final eos, else -100. Not shifted. */
  readonly labels: Int32Array;
}

/**
 * Token ids of a prompt, without `bos`: each placeholder repeated as often as vectors will replace it.
 *
 * @param prompt from `buildPrompt`, one placeholder for each slot
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

/**
 * The training sequence of a sample. Prompt and answer are tokenized separately, as published; the answer gets `###`.
 *
 * @param maxLength longest prompt and answer together, without bos and eos
 * @throws InputError `SAMPLE_TOO_LONG`
 */
export function buildTrainingSequence(
  tokenizer: PromptTokenizer,
  promptIds: readonly number[],
  answer: string,
  { maxLength, name }: { readonly maxLength: number; readonly name: string },
): TrainingSequence {
  const answerIds = tokenizer.encode(answer + stopText);
  const length = promptIds.length + answerIds.length;
  if (length > maxLength) {
    throw new InputError(
      'SAMPLE_TOO_LONG',
      `Sample "${name}" has ${length} tokens (prompt ${promptIds.length}, answer ${answerIds.length}), more than ` +
        `model.maxLength ${maxLength}. Shorten its subtitle or answer, raise model.maxLength, or set data.onBadSample to skip.`,
    );
  }
  const before = tokenizer.bosId === undefined ? [] : [tokenizer.bosId];
  const ids = Int32Array.from([...before, ...promptIds, ...answerIds, tokenizer.eosId]);
  const labels = ids.slice().fill(ignoredLabel, 0, before.length + promptIds.length);
  return { ids, labels };
}
