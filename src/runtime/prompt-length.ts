import type { PromptBatch } from '../data/collate.ts';
import type { SampleSource } from '../data/source.ts';
import { InputError } from '../errors.ts';

/**
 * A prompt beyond the positions that the language model knows would be answered with nonsense, and slowly.
 *
 * @param options.more tokens that are certain to follow
 * @throws InputError `PROMPT_TOO_LONG` naming the sample
 */
export function checkPromptLengths(options: {
  readonly source: SampleSource;
  readonly names: readonly string[];
  readonly prompts: PromptBatch;
  readonly maxPositionEmbeddings: number;
  readonly more?: number;
}): void {
  const { source, names, prompts, maxPositionEmbeddings, more = 0 } = options;
  const mask = prompts.attentionMask.data as Int32Array;
  const tokens = prompts.attentionMask.shape[1]!;
  for (const [row, name] of names.entries()) {
    const length = mask.subarray(row * tokens, (row + 1) * tokens).reduce((sum, one) => sum + one, 0);
    if (length + more <= maxPositionEmbeddings) continue;
    const answer = more === 0 ? '' : ` and a choice up to ${more}`;
    throw new InputError(
      'PROMPT_TOO_LONG',
      `${source.record(name).origin}: the prompt of sample "${name}" has ${length} tokens${answer}, and the language model has positions for ${maxPositionEmbeddings} (max_position_embeddings). Shorten its subtitle or the question.`,
    );
  }
}
