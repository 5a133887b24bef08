import { matchedStop } from '../../../model/generation.ts';
import type { PromptTokenizer } from '../../../src/data/tokenizer.ts';
import type { Comparison } from '../handler.ts';
import { equal, notCompared, sameNames, unknown, unknownKeys } from './comparisons.ts';

/** An answer and all that is stored of it. */
export interface Case {
  readonly mode: string;
  readonly media: number;
  readonly subtitle: string;
  readonly question: string;
  readonly bos_prepended: boolean;
  readonly prompt: string;
  readonly prompt_ids: readonly number[];
  readonly seen_length: number;
  readonly output_ids: readonly number[];
  readonly smallest_top2_gap: number;
  readonly stopped_by: string;
  readonly response: string;
  readonly max_new_tokens?: number;
  readonly max_length?: number;
  readonly [other: string]: unknown;
}

/** `generation` in `golden.json`. */
export interface Generation {
  readonly stop_ids: readonly (readonly number[])[];
  readonly cases: readonly Case[];
  readonly generate_arguments: Readonly<Record<string, unknown>>;
  readonly stop_rules_met: readonly string[];
  readonly post_processing: readonly {
    readonly ids: readonly number[];
    readonly text: string;
    readonly response: string;
  }[];
  readonly stop_rule: readonly { readonly ids: readonly number[]; readonly stop: boolean }[];
}

/** The published arguments under which an answer is the most likely token each time, and their values. */
const greedyArguments: Readonly<Record<string, unknown>> = {
  do_sample: false,
  num_beams: 1,
  min_length: 1,
  repetition_penalty: 1,
};
/** Arguments that a greedy answer does not depend on, or that the cases give themselves. */
const idleArguments = ['max_new_tokens', 'max_length', 'top_p', 'top_k', 'length_penalty', 'temperature'];

/** Stop rule and cutting of answers, which need no model. */
export function compareStops(tokenizer: PromptTokenizer, facts: Generation): Comparison[] {
  const lines = (list: readonly (readonly number[])[]): string[] => list.map((ids) => ids.join(' '));
  // The published code ends at <|endoftext|> through the model's generation settings, not through its own rule.
  const others = new Set(tokenizer.endIds.filter((id) => id !== tokenizer.eosId));
  const stop = tokenizer.stopSequences('published').filter((ids) => !others.has(ids[0]!));
  const rules = facts.stop_rule ?? [];
  const answers = facts.post_processing ?? [];
  return [
    sameNames('golden.json generation.stop_ids', lines(stop), lines(facts.stop_ids ?? [])),
    equal(
      'golden.json generation.stop_rule',
      rules.map(({ ids }) => matchedStop(ids, stop) > 0),
      rules.map((rule) => rule.stop),
    ),
    equal(
      'golden.json generation.post_processing text',
      answers.map(({ ids }) => tokenizer.decode(ids)),
      answers.map(({ text }) => text),
    ),
    equal(
      'golden.json generation.post_processing response',
      answers.map(({ ids }) => tokenizer.answer(ids, 'published')),
      answers.map(({ response }) => response),
    ),
    ...unknownKeys(
      'golden.json generation.stop_rule.',
      Object.assign({}, ...rules),
      new Set(['ids', 'stop']),
    ),
    ...unknownKeys(
      'golden.json generation.post_processing.',
      Object.assign({}, ...answers),
      new Set(['ids', 'text', 'response']),
    ),
  ];
}

export function compareArguments(given: Readonly<Record<string, unknown>>): Comparison[] {
  return Object.entries(given).map(([name, value]) => {
    const label = `golden.json generation.generate_arguments.${name}`;
    if (Object.hasOwn(greedyArguments, name)) return equal(label, [greedyArguments[name]], [value]);
    if (idleArguments.includes(name))
      return notCompared(label, 'a setting that greedy answers do not depend on');
    return unknown(label);
  });
}
