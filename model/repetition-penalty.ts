import { InputError } from '../src/errors.ts';

/** Makes tokens less likely that have been read or said already. */
export interface RepetitionPenalty {
  /** 1 changes nothing; above it repetition becomes less likely, below it more. */
  readonly penalty: number;
  /** Token ids of each row's prompt, without padding. */
  readonly prompts: readonly (readonly number[])[];
}

/**
 * Checks the settings.
 *
 * @param batch rows that are answered
 * @throws InputError `SAMPLING_INVALID`
 */
export function checkRepetitionPenalty({ penalty, prompts }: RepetitionPenalty, batch: number): void {
  if (penalty > 0 && Number.isFinite(penalty) && prompts.length === batch) return;
  throw new InputError(
    'SAMPLING_INVALID',
    `The repetition penalty is ${penalty} for ${prompts.length} prompts; a number above 0 is expected, and a prompt for each of ${batch} answers.`,
  );
}

/**
 * Divides positive scores of the given tokens by the penalty and multiplies negative ones by it, each token once,
 * however often it occurs: Keskar et al. 2019 as Hugging Face's `RepetitionPenaltyLogitsProcessor` and vLLM have it. It
 * comes before temperature, and counts for greedy choices too.
 *
 * @param scores of one row; not changed
 * @param seen tokens of the prompt and of the answer so far
 */
export function penalizeRepetition(
  scores: Float32Array,
  seen: Iterable<number>,
  penalty: number,
): Float32Array {
  const penalized = scores.slice();
  // The penalty is a float32 there too.
  const factor = Math.fround(penalty);
  for (const token of seen) {
    const score = scores[token]!;
    penalized[token] = score < 0 ? score * factor : score / factor;
  }
  return penalized;
}
