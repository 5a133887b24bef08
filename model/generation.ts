import type { RandomGenerator } from '../src/engine/random.ts';
import { InputError, NumericError } from '../src/errors.ts';
import { checkRepetitionPenalty, penalizeRepetition, type RepetitionPenalty } from './repetition-penalty.ts';

/** How the next token is chosen from its scores. */
export type Sampling =
  | { readonly method: 'greedy' }
  | {
      readonly method: 'sample';
      /** Above 0; scores are divided by it. */
      readonly temperature: number;
      /** Only the k best tokens; all when absent. */
      readonly topK?: number | undefined;
      /** Only the best tokens that together have this probability; 0 < topP <= 1, all when absent. */
      readonly topP?: number | undefined;
    };

/** Sequences of token ids, any of which at the end of an answer ends it. */
export type StopRule = readonly (readonly number[])[];

/** What a step is asked: token `index` of the answers. */
export interface StepInput {
  /** 0 for the prompt, then 1, 2, ... */
  readonly index: number;
  /** int32 `[batch]`, the tokens chosen by the step before; null at index 0, where the prompt is run. */
  readonly tokens: Int32Array | null;
}

/** Gives the scores of the next token, float32 `[batch * vocab]`. Holds prompt, cache and engine. */
export type GenerationStep = (input: StepInput) => Promise<Float32Array>;

export interface GenerationOptions {
  readonly batch: number;
  readonly maxNewTokens: number;
  readonly stop: StopRule;
  readonly sampling: Sampling;
  /** One generator per row where sampling, so that an answer does not depend on its batch mates. */
  readonly random?: readonly RandomGenerator[] | undefined;
  /** Fed for rows that are done while others go on. */
  readonly padToken: number;
  /** Changes the scores before anything is chosen by them. */
  readonly repetition?: RepetitionPenalty | undefined;
}

export interface GeneratedSequence {
  /** Everything that was generated, the stop sequence included. */
  readonly tokens: number[];
  /** Whether a stop sequence ended it, or the limit of new tokens. */
  readonly finish: 'stop' | 'length';
  /** Length of the stop sequence at the end of `tokens`; 0 when the limit ended it. */
  readonly stopLength: number;
}

/**
 * Checks sampling settings.
 *
 * @throws InputError `SAMPLING_INVALID` with all faults
 */
export function checkSampling(sampling: Sampling): void {
  if (sampling.method === 'greedy') return;
  const { temperature, topK, topP } = sampling;
  const faults: string[] = [];
  if (!(temperature > 0 && Number.isFinite(temperature))) {
    faults.push(
      `temperature is ${temperature}, a number above 0 is expected (for the best token every time, decode greedily)`,
    );
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    faults.push(`topK is ${topK}, a whole number from 1 is expected`);
  }
  if (topP !== undefined && !(topP > 0 && topP <= 1)) {
    faults.push(`topP is ${topP}, a number above 0 and up to 1 is expected`);
  }
  if (faults.length > 0)
    throw new InputError('SAMPLING_INVALID', `Sampling is set up wrongly: ${faults.join('; ')}.`);
}

/**
 * The token with the highest score; the first of equals.
 *
 * @throws NumericError `LOGITS_NOT_FINITE`
 */
export function greedyToken(logits: Float32Array): number {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    if (!(logits[i]! < Number.POSITIVE_INFINITY)) throw notFinite(i, logits[i]!);
    if (logits[i]! > logits[best]!) best = i;
  }
  if (logits[best] === Number.NEGATIVE_INFINITY) throw notFinite(best, logits[best]!);
  return best;
}

const notFinite = (token: number, value: number) =>
  new NumericError(
    'LOGITS_NOT_FINITE',
    `The model gave ${value} as the score of token ${token}. Its weights or inputs hold numbers that are not finite; ` +
      'check the checkpoint and the precision it runs in.',
  );

/**
 * The tokens that may be drawn, best first, with their probabilities: temperature, then top k (equals of the k-th
 * included), then top p, each on what the one before left, as Hugging Face applies them.
 *
 * @throws NumericError `LOGITS_NOT_FINITE`
 */
export function samplingCandidates(
  logits: Float32Array,
  { temperature, topK, topP }: Extract<Sampling, { method: 'sample' }>,
): { tokens: Int32Array; probabilities: Float64Array } {
  const best = logits[greedyToken(logits)]!;
  let lowest = Number.NEGATIVE_INFINITY;
  if (topK !== undefined && topK < logits.length) {
    lowest = logits.toSorted()[logits.length - topK]!;
  }
  const kept: number[] = [];
  for (let i = 0; i < logits.length; i++) if (logits[i]! >= lowest) kept.push(i);
  kept.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const weights = Float64Array.from(kept, (token) => Math.exp((logits[token]! - best) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  let count = kept.length;
  if (topP !== undefined) {
    // From the least likely up, what fits into 1 - topP goes; the best one stays in any case.
    let tail = 0;
    while (count > 1) {
      tail += weights[count - 1]! / sum;
      if (tail > 1 - topP) break;
      count--;
    }
  }
  const probabilities = weights.slice(0, count);
  const remaining = probabilities.reduce((total, weight) => total + weight, 0);
  return {
    tokens: Int32Array.from(kept.slice(0, count)),
    probabilities: probabilities.map((weight) => weight / remaining),
  };
}

/**
 * Draws a token.
 *
 * @throws NumericError `LOGITS_NOT_FINITE`
 */
export function sampleToken(
  logits: Float32Array,
  sampling: Extract<Sampling, { method: 'sample' }>,
  random: RandomGenerator,
): number {
  const { tokens, probabilities } = samplingCandidates(logits, sampling);
  let left = random.uniform();
  for (let i = 0; i < tokens.length; i++) {
    left -= probabilities[i]!;
    if (left < 0) return tokens[i]!;
  }
  // Rounding can leave a sliver above the last sum.
  return tokens[0]!;
}

/** Length of the longest stop sequence at the end of `tokens`, 0 if none is there. */
export function matchedStop(tokens: readonly number[], stop: StopRule): number {
  let longest = 0;
  for (const sequence of stop) {
    const start = tokens.length - sequence.length;
    if (
      start >= 0 &&
      sequence.length > longest &&
      sequence.every((token, i) => tokens[start + i] === token)
    ) {
      longest = sequence.length;
    }
  }
  return longest;
}

/**
 * Generates an answer for each row of a batch, token by token, until each has met a stop sequence or the limit.
 *
 * @throws InputError `SAMPLING_INVALID`, `NumericError` `LOGITS_NOT_FINITE`, and whatever `step` throws
 */
export async function generate(
  step: GenerationStep,
  options: GenerationOptions,
): Promise<GeneratedSequence[]> {
  const { batch, maxNewTokens, stop, sampling, random, padToken, repetition } = options;
  checkSampling(sampling);
  if (repetition !== undefined) checkRepetitionPenalty(repetition, batch);
  if (sampling.method === 'sample' && random?.length !== batch) {
    throw new InputError(
      'SAMPLING_INVALID',
      `Sampling ${batch} answers needs ${batch} random generators, one each; there are ${random?.length ?? 0}.`,
    );
  }
  const rows = Array.from({ length: batch }, () => ({ tokens: [] as number[], stopLength: 0 }));
  const seen = repetition?.prompts.map((prompt) => new Set(prompt));
  let previous: Int32Array | null = null;
  for (let index = 0; index < maxNewTokens && rows.some((row) => row.stopLength === 0); index++) {
    const logits = await step({ index, tokens: previous });
    const vocabSize = logits.length / batch;
    previous = Int32Array.from(rows, (row, i) => {
      if (row.stopLength > 0) return padToken;
      const raw = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      const scores = seen === undefined ? raw : penalizeRepetition(raw, seen[i]!, repetition!.penalty);
      const token =
        sampling.method === 'greedy' ? greedyToken(scores) : sampleToken(scores, sampling, random![i]!);
      row.tokens.push(token);
      seen?.[i]?.add(token);
      row.stopLength = matchedStop(row.tokens, stop);
      return token;
    });
  }
  return rows.map((row) => ({ ...row, finish: row.stopLength > 0 ? 'stop' : 'length' }));
}
