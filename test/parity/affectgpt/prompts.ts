import { type InputModeName, inputMode, type SlotName } from '../../../model/modes.ts';
import type { PlaceholderRun } from '../../../model/splice.ts';
import { answerText, buildPrompt, placeholders, questionText, stopText } from '../../../src/data/prompts.ts';
import { buildTrainingSequence, encodePrompt } from '../../../src/data/sequence.ts';
import type { PromptTokenizer } from '../../../src/data/tokenizer.ts';
import { InputError } from '../../../src/errors.ts';
import type { AffectGptReference } from '../../support/affectgpt-reference.ts';
import { referenceTokenizer } from '../../support/qwen-tokenizer.ts';
import { missed, reasonOf } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { equal, unknown, unknownKeys } from './comparisons.ts';
import { annotationsOfAnswer, isAnswerType, questionOfPrompt, spaceOfQuestion } from './texts.ts';

interface QuestionFacts {
  readonly question: string;
  readonly answer: string;
  readonly answer_ids_with_stop: readonly number[];
}

interface Prompts {
  readonly special: Readonly<Record<string, unknown>>;
  readonly subtitle: string;
  readonly questions: Readonly<Record<string, QuestionFacts>>;
  readonly prompts: Readonly<Record<string, { readonly ids: readonly number[]; readonly text?: string }>>;
  readonly subtitles: Readonly<Record<string, readonly number[]>>;
  readonly token_counts: Readonly<
    Record<
      string,
      Readonly<Record<'video' | 'audio' | 'multi' | 'image', number>> & { readonly ids: readonly number[] }
    >
  >;
  readonly truncation: {
    readonly text: string;
    readonly max_length: number;
    readonly kept: number;
    readonly first: readonly number[];
    readonly last: readonly number[];
    readonly full_length: number;
  };
}

/** How the placeholders of a mode are repeated. */
function runsOf(
  tokenizer: PromptTokenizer,
  mode: string,
  counts: Readonly<Record<'video' | 'audio' | 'multi' | 'image', number>>,
): PlaceholderRun[] {
  return inputMode(mode).slots.map((slot) => ({
    id: tokenizer.placeholderIds[slot],
    tokens: counts[slot === 'face' || slot === 'frame' ? 'video' : slot],
  }));
}

const single = { video: 1, audio: 1, multi: 1, image: 1 };

function compareSpecial(tokenizer: PromptTokenizer, special: Prompts['special']): Comparison[] {
  const { bosId, eosId, padId, length, placeholderIds } = tokenizer;
  const slots = Object.keys(placeholders) as SlotName[];
  const own: Readonly<Record<string, unknown>> = {
    bos: bosId === undefined ? undefined : tokenizer.decode([bosId]),
    bos_id: bosId,
    eos: tokenizer.decode([eosId]),
    eos_id: eosId,
    pad_id: padId,
    length,
    placeholders: Object.fromEntries(slots.map((slot) => [placeholders[slot], placeholderIds[slot]])),
  };
  return Object.entries(special).map(([key, value]) => {
    const label = `prompts.json special.${key}`;
    if (!Object.hasOwn(own, key)) return unknown(label);
    const pairs = (object: unknown): string[] =>
      Object.entries(object as object).map(([name, id]) => `${name} ${id}`);
    return typeof value === 'object'
      ? equal(label, pairs(own[key]), pairs(value))
      : equal(label, [own[key]], [value]);
  });
}

function compareQuestions(tokenizer: PromptTokenizer, questions: Prompts['questions']): Comparison[] {
  return Object.entries(questions).flatMap(
    ([type, { question, answer, answer_ids_with_stop: ids, ...others }]) => {
      const label = `prompts.json questions.${type}`;
      const strings = isAnswerType(type)
        ? [
            equal(`${label}.question`, [questionText(type, spaceOfQuestion(question))], [question]),
            equal(`${label}.answer`, [answerText(type, annotationsOfAnswer(type, answer))], [answer]),
          ]
        : [];
      const free = isAnswerType(type) ? undefined : 'a free question, as users ask: its text is given';
      return [
        ...strings,
        equal(`${label}.answer_ids_with_stop`, tokenizer.encode(answer + stopText), ids, free),
        ...unknownKeys(`${label}.`, others, new Set()),
      ];
    },
  );
}

/** Prompts of every mode with every question, as strings where they are stored and as ids. */
function comparePrompts(tokenizer: PromptTokenizer, { prompts, questions, subtitle }: Prompts): Comparison[] {
  return Object.entries(prompts).flatMap(([key, { ids, text, ...others }]) => {
    const label = `prompts.json prompts.${key}`;
    const [mode, type] = key.split('|') as [InputModeName, string];
    const question = questions[type]?.question;
    if (question === undefined) return [missed(label, undefined, `there is no question "${type}"`)];
    try {
      const prompt = buildPrompt(mode, subtitle, question);
      const own = encodePrompt(tokenizer, prompt, runsOf(tokenizer, mode, single), key);
      return [
        equal(`${label}.ids`, own, ids),
        ...(text === undefined ? [] : [equal(`${label}.text`, [prompt], [text])]),
        ...unknownKeys(`${label}.`, others, new Set()),
      ];
    } catch (error) {
      return [missed(label, undefined, reasonOf(error))];
    }
  });
}

/** Subtitles that are hard to tokenize. The rest of the prompt is read back out of the stored ids. */
function compareSubtitles(tokenizer: PromptTokenizer, subtitles: Prompts['subtitles']): Comparison[] {
  return Object.entries(subtitles).map(([subtitle, ids]) => {
    const question = questionOfPrompt(tokenizer.decode(ids));
    const prompt = buildPrompt('textonly', subtitle, question);
    const label = `prompts.json subtitles.${JSON.stringify(subtitle)}`;
    return equal(label, tokenizer.encode(prompt), ids, `with the question ${JSON.stringify(question)}`);
  });
}

function compareTokenCounts(
  tokenizer: PromptTokenizer,
  { token_counts: counts, ...facts }: Prompts,
): Comparison[] {
  return Object.entries(counts).map(([mode, { ids, ...of }]) => {
    const label = `prompts.json token_counts.${mode}.ids`;
    try {
      const prompt = buildPrompt(mode as InputModeName, facts.subtitle, facts.questions.ovlabel!.question);
      return equal(label, encodePrompt(tokenizer, prompt, runsOf(tokenizer, mode, of), mode), ids);
    } catch (error) {
      return missed(label, undefined, reasonOf(error));
    }
  });
}

/**
 * A prompt beyond the greatest length: the published code cuts it and, as no answer fits any more, puts another sample in
 * its place; here the sample is refused by name.
 */
function compareTruncation(tokenizer: PromptTokenizer, facts: Prompts['truncation']): Comparison[] {
  const label = 'prompts.json truncation';
  const { text, max_length: maxLength, kept, first, last, full_length: full, ...others } = facts;
  const [, word, times] = /^'(.*)' repeated (\d+) times$/.exec(text) ?? [];
  if (word === undefined)
    return [missed(`${label}.text`, undefined, 'says something else than "... repeated n times"')];
  const ids = tokenizer.encode(word.repeat(Number(times)));
  const cut = ids.slice(0, maxLength);
  let refused = false;
  try {
    buildTrainingSequence(tokenizer, cut, '', { maxLength, name: 'truncation' });
  } catch (error) {
    refused = error instanceof InputError && error.code === 'SAMPLE_TOO_LONG';
  }
  return [
    equal(`${label}.full_length`, [ids.length], [full]),
    equal(`${label}.kept`, [cut.length], [kept]),
    equal(`${label}.first`, cut.slice(0, first.length), first),
    equal(`${label}.last`, cut.slice(-last.length), last),
    equal(`${label}.max_length`, [refused], [true], 'with an answer it is refused: SAMPLE_TOO_LONG'),
    ...unknownKeys(`${label}.`, others, new Set()),
  ];
}

const sections = new Set([
  ...['special', 'subtitle', 'questions', 'prompts', 'subtitles', 'token_counts', 'truncation'],
]);

/** `prompts.json`: special tokens, questions and answers, and the token ids of every prompt. */
export async function comparePromptFile(reference: AffectGptReference): Promise<Comparison[]> {
  if (reference.prompts === undefined) return [];
  const facts = reference.prompts as unknown as Partial<Prompts>;
  const others = unknownKeys('prompts.json ', facts, sections);
  let tokenizer: PromptTokenizer;
  try {
    tokenizer = await referenceTokenizer(reference.folder);
  } catch (error) {
    return [...others, missed('prompts.json', undefined, `no tokenizer: ${reasonOf(error)}`)];
  }
  const all: Prompts = {
    special: {},
    subtitle: '',
    questions: {},
    prompts: {},
    subtitles: {},
    token_counts: {},
    ...facts,
  } as Prompts;
  return [
    ...compareSpecial(tokenizer, all.special),
    ...compareQuestions(tokenizer, all.questions),
    ...comparePrompts(tokenizer, all),
    ...compareSubtitles(tokenizer, all.subtitles),
    ...compareTokenCounts(tokenizer, all),
    ...(facts.truncation === undefined ? [] : compareTruncation(tokenizer, facts.truncation)),
    ...others,
  ];
}
