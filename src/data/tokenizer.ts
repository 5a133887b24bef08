import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import type { SlotName } from '../../model/modes.ts';
import { InputError } from '../errors.ts';
import { type AnswerRule, cutAnswer } from './answer-rule.ts';
import { placeholders, stopText } from './prompts.ts';

/**
 * What ends an answer besides the end tokens: `published` knows `###` as the tokens that spell it alone, `text` every
 * way in which tokens can spell it (such as ` ###` after a space), `end` the end tokens alone.
 */
export type StopSpelling = 'published' | 'text' | 'end';

/** The parts of `tokenizer.json` that are read here; the rest is the tokenizer package's. */
interface TokenizerJson {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly model: { readonly vocab: Readonly<Record<string, number>> | readonly unknown[] };
}

type TokenizerConfig = Readonly<Record<string, unknown>>;

/**
 * A language model's tokenizer with the five placeholders, the special tokens that the published code chooses, and
 * the stop sequences that follow from its vocabulary.
 */
export class PromptTokenizer {
  readonly #tokenizer: Tokenizer;
  /** Beginning of a training sequence; undefined where the tokenizer has no such token. */
  readonly bosId: number | undefined;
  readonly eosId: number;
  readonly padId: number;
  readonly placeholderIds: Readonly<Record<SlotName, number>>;
  /** Ids in use including the placeholders: one more than the highest. */
  readonly length: number;
  /** Tokens that end generation by themselves: end of sequence, and `<|endoftext|>` where there is one. */
  readonly endIds: readonly number[];

  /**
   * @param tokenizerJson parsed `tokenizer.json`; not changed
   * @param where named in errors
   * @throws InputError `TOKENIZER_NO_END` where no end-of-sequence token is known
   */
  constructor(tokenizerJson: TokenizerJson, config: TokenizerConfig, where: string) {
    const { json, length } = withPlaceholders(tokenizerJson);
    this.#tokenizer = new Tokenizer(json, config);
    this.length = length;
    const id = (token: string): number | undefined => this.#tokenizer.token_to_id(token);
    const fromConfig = (key: string): number | undefined => {
      const token = tokenText(config[key]);
      return token === undefined ? undefined : id(token);
    };
    // Chat-format tokenizers (Qwen): the published code opens with the turn's start and pads with its end.
    const turn = { start: id('<|im_start|>'), end: id('<|im_end|>') };
    const isChat = turn.start !== undefined && turn.end !== undefined;
    this.bosId = isChat ? turn.start : fromConfig('bos_token');
    const eosId = isChat ? turn.end : fromConfig('eos_token');
    if (eosId === undefined) {
      throw new InputError(
        'TOKENIZER_NO_END',
        `The tokenizer in ${where} has no end-of-sequence token: tokenizer_config.json names no eos_token of its vocabulary.`,
      );
    }
    this.eosId = eosId;
    this.padId = isChat ? eosId : (fromConfig('pad_token') ?? eosId);
    this.placeholderIds = Object.fromEntries(
      Object.entries(placeholders).map(([slot, text]) => [slot, id(text)!]),
    ) as Record<SlotName, number>;
    const endOfText = id('<|endoftext|>');
    this.endIds = endOfText === undefined || endOfText === eosId ? [eosId] : [eosId, endOfText];
  }

  /** Token ids of a text, without special tokens around it; special tokens spelled in the text count as such. */
  encode(text: string): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
  }

  /** Text of token ids, special tokens included. */
  decode(ids: readonly number[]): string {
    if (ids.length === 0) return '';
    return this.#tokenizer.decode([...ids], {
      skip_special_tokens: false,
      clean_up_tokenization_spaces: false,
    });
  }

  /** Token sequences that end an answer, the end tokens among them. */
  stopSequences(spelling: StopSpelling): number[][] {
    const ends = this.endIds.map((id) => [id]);
    if (spelling === 'end') return ends;
    return [...ends, ...(spelling === 'text' ? this.#everySpelling() : this.#plainSpellings())];
  }

  /**
   * The answer in generated tokens, cut as the published inference does: after a `bos`, before the end token, before
   * the last `###`, after `Assistant:`, without white space around it. That leaves an `<|endoftext|>` in place; the
   * spelling `text` removes it, and cuts at the first `###`; the spelling `end` cuts at end tokens alone.
   */
  answer(ids: readonly number[], spelling: StopSpelling): string {
    return cutAnswer(this.decode(ids), this.answerRule(spelling));
  }

  /** What `answer` does. */
  answerRule(spelling: StopSpelling): AnswerRule {
    const ends = spelling === 'published' ? [this.eosId] : this.endIds;
    const isMarked = spelling !== 'end';
    return {
      startText: this.bosId === undefined ? null : this.decode([this.bosId]),
      endTexts: ends.map((end) => this.decode([end])),
      stopText: isMarked ? stopText : null,
      stopAt: spelling === 'text' ? 'first' : 'last',
      afterText: isMarked ? 'Assistant:' : null,
    };
  }

  /** `###` as the tokenizer writes it, and as two tokens where `##` and `#` exist. */
  #plainSpellings(): number[][] {
    const spellings = [this.encode(stopText)];
    const double = this.#tokenizer.token_to_id('##');
    const single = this.#tokenizer.token_to_id('#');
    if (double !== undefined && single !== undefined) spellings.push([double, single], [single, double]);
    return [...new Map(spellings.map((ids) => [ids.join(), ids])).values()];
  }

  /** Every token that contains `###`, and every sequence of tokens that completes it where they meet. */
  #everySpelling(): number[][] {
    // `#` stands for itself in the alphabets of byte-level and of SentencePiece vocabularies.
    const all = [...this.#tokenizer.get_vocab(true)].filter(([token]) => token.includes('#'));
    const marked = all.filter(([token]) => !token.includes(stopText));
    const ids = (keep: (token: string) => boolean): number[] =>
      marked.filter(([token]) => keep(token)).map(([, id]) => id);
    const pairs = (left: number[], right: number[]) => left.flatMap((a) => right.map((b) => [a, b]));
    const endsInOne = ids((token) => token.endsWith('#') && !token.endsWith('##'));
    const endsInTwo = ids((token) => token.endsWith('##'));
    const beginsWithOne = ids((token) => token.startsWith('#'));
    const beginsWithTwo = ids((token) => token.startsWith('##'));
    const single = ids((token) => token === '#');
    return [
      ...all.filter(([token]) => token.includes(stopText)).map(([, id]) => [id]),
      ...pairs(endsInTwo, beginsWithOne),
      ...pairs(endsInOne, beginsWithTwo),
      ...pairs(endsInOne, single).flatMap((two) => beginsWithOne.map((third) => [...two, third])),
    ];
  }
}

/** `tokenizer_config.json` names a special token by its text or by an object that holds it. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value) return String(value.content);
  return undefined;
}

/** A token of `added_tokens` in `tokenizer.json`, found wherever its text stands. */
export const addedToken = (id: number, content: string, special = true) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special },
});

/** Adds the placeholders that are not there, with the next free ids in the published order. */
function withPlaceholders(json: TokenizerJson): { json: TokenizerJson; length: number } {
  const added = json.added_tokens ?? [];
  const { vocab } = json.model;
  let next = Array.isArray(vocab) ? vocab.length : 0;
  for (const id of Object.values(Array.isArray(vocab) ? {} : (vocab as Record<string, number>))) {
    if (id >= next) next = id + 1;
  }
  for (const { id } of added) next = Math.max(next, id + 1);
  const present = new Set(added.map(({ content }) => content));
  const missing = Object.values(placeholders).filter((content) => !present.has(content));
  const tokens = missing.map((content, i) => addedToken(next + i, content));
  return { json: { ...json, added_tokens: [...added, ...tokens] }, length: next + tokens.length };
}

/**
 * Loads the tokenizer of a Hugging Face model folder (`tokenizer.json`, `tokenizer_config.json`).
 *
 * @throws InputError `TOKENIZER_MISSING`, `TOKENIZER_UNREADABLE`, `TOKENIZER_NO_END`
 */
export async function loadTokenizer(folder: string): Promise<PromptTokenizer> {
  const json = await readJson<TokenizerJson>(folder, 'tokenizer.json');
  const config = await readJson<TokenizerConfig>(folder, 'tokenizer_config.json');
  try {
    return new PromptTokenizer(json, config, folder);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw unreadable(join(folder, 'tokenizer.json'), error);
  }
}

/**
 * `tokenizer.json` of a model folder with the placeholders as special tokens, for programs that know only that file.
 * @throws InputError `TOKENIZER_MISSING`, `TOKENIZER_UNREADABLE`
 */
export async function tokenizerWithPlaceholders(folder: string): Promise<string> {
  return JSON.stringify(withPlaceholders(await readJson<TokenizerJson>(folder, 'tokenizer.json')).json);
}

async function readJson<T>(folder: string, name: string): Promise<T> {
  const file = join(folder, name);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new InputError(
      'TOKENIZER_MISSING',
      `${file} cannot be read. The model folder of the language model has to hold tokenizer.json and tokenizer_config.json.`,
      { cause: error },
    );
  });
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw unreadable(file, error);
  }
}

const unreadable = (file: string, cause: unknown): InputError =>
  new InputError(
    'TOKENIZER_UNREADABLE',
    `${file} does not describe a tokenizer: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  );
