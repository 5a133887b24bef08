import { InputError } from '../src/errors.ts';
import { greedyToken } from './generation.ts';

/** The decoder on a batch of prompts, and on tokens after a past that several continuations may share. */
export interface ContinuationReader<Past> {
  readonly batch: number;
  /** @returns `logits [batch * vocab]`, of the token after each prompt */
  readPrompts(): Promise<{ readonly logits: Float32Array; readonly past: Past }>;
  /**
   * @param tokens read by every row
   * @returns `logits [batch * tokens * vocab]`, of the token after each
   */
  read(
    past: Past,
    tokens: readonly number[],
  ): Promise<{ readonly logits: Float32Array; readonly past: Past }>;
}

/** Continuations that share their first tokens. */
interface Group {
  /** Tokens that all of them have next; at least one. */
  readonly tokens: readonly number[];
  /** Their places in the list. */
  readonly members: readonly number[];
}

/** Divides continuations by their token at `depth`, and follows each division as far as its members agree. */
function groupsAt(
  continuations: readonly (readonly number[])[],
  members: readonly number[],
  depth: number,
): Group[] {
  const byToken = new Map<number, number[]>();
  for (const member of members) {
    const token = continuations[member]![depth];
    if (token !== undefined) byToken.set(token, [...(byToken.get(token) ?? []), member]);
  }
  return [...byToken.values()].map((together) => {
    const first = continuations[together[0]!]!;
    let end = depth + 1;
    while (end < first.length && together.every((member) => continuations[member]![end] === first[end])) {
      end++;
    }
    return { tokens: first.slice(depth, end), members: together };
  });
}

/**
 * What a score loses to become the natural logarithm of a probability: `log(sum(exp(logits)))`.
 *
 * @param logits of the whole vocabulary
 * @throws NumericError `LOGITS_NOT_FINITE`
 */
export function logNormaliser(logits: Float32Array): number {
  // Names the token where a score is not finite.
  const best = logits[greedyToken(logits)]!;
  let sum = 0;
  for (let token = 0; token < logits.length; token++) sum += Math.exp(logits[token]! - best);
  return best + Math.log(sum);
}

/**
 * Log-likelihood of each continuation of each prompt: the sum over its tokens of the logarithm of their probability.
 * Prompts are read once, and so is whatever several continuations begin with; nothing is read whose successor nobody
 * asks for.
 *
 * @param continuations token ids, one or more each
 * @returns `[batch][continuations]`, natural logarithms
 * @throws InputError `CONTINUATION_EMPTY`, `NumericError` `LOGITS_NOT_FINITE`
 */
export async function scoreContinuations<Past>(
  reader: ContinuationReader<Past> & { readonly continuations: readonly (readonly number[])[] },
): Promise<Float64Array[]> {
  const { batch, continuations } = reader;
  const empty = continuations.findIndex((tokens) => tokens.length === 0);
  if (empty >= 0) {
    throw new InputError(
      'CONTINUATION_EMPTY',
      `Continuation ${empty} has no token, so it has no likelihood.`,
    );
  }
  const sums = Array.from({ length: batch }, () => new Float64Array(continuations.length));

  /**
   * The function that adds the probability of a token to the sums of some continuations.
   *
   * @param logits `[batch * count * vocab]`; only block `index` of each row is looked at
   */
  const adder = (logits: Float32Array, index: number, count: number) => {
    const vocabSize = logits.length / (batch * count);
    const rows = sums.map((sum, i) => {
      const begin = (i * count + index) * vocabSize;
      const scores = logits.subarray(begin, begin + vocabSize);
      return { sum, scores, normaliser: logNormaliser(scores) };
    });
    return (members: readonly number[], token: number): void => {
      for (const { sum, scores, normaliser } of rows) {
        for (const member of members) sum[member]! += scores[token]! - normaliser;
      }
    };
  };

  const descend = async (
    members: readonly number[],
    depth: number,
    add: (members: readonly number[], token: number) => void,
    past: Past,
  ): Promise<void> => {
    for (const group of groupsAt(continuations, members, depth)) {
      const { tokens } = group;
      add(group.members, tokens[0]!);
      const end = depth + tokens.length;
      const goesOn = group.members.some((member) => continuations[member]!.length > end);
      // Of a last token only its own probability is wanted.
      const read = goesOn ? tokens : tokens.slice(0, -1);
      if (read.length === 0) continue;
      const next = await reader.read(past, read);
      tokens.slice(1).forEach((token, i) => {
        adder(next.logits, i, read.length)(group.members, token);
      });
      if (goesOn) {
        await descend(group.members, end, adder(next.logits, read.length - 1, read.length), next.past);
      }
    }
  };

  const { logits, past } = await reader.readPrompts();
  const all = continuations.map((_, i) => i);
  await descend(all, 0, adder(logits, 0, 1), past);
  return sums;
}
