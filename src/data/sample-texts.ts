import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { placeholderRuns } from '../../model/affectgpt.ts';
import type { LabelType } from '../config/data.ts';
import { InputError } from '../errors.ts';
import type { PromptFormat } from './prompt-format.ts';
import type { AnswerSpace, AnswerType } from './prompts.ts';
import { answerContent, answerTypesOf, drawAnswerType, questionText } from './prompts.ts';
import type { SampleRecord } from './records.ts';
import type { TrainingSequence } from './sequence.ts';
import { buildTrainingSequence, encodeAnswer, encodePrompt } from './sequence.ts';
import type { PromptTokenizer } from './tokenizer.ts';

/** How samples are worded, and what the words become. */
export interface SampleTextOptions {
  /** How samples are worded; for the inputs of the model. */
  readonly format: PromptFormat;
  readonly model: AffectGptConfig;
  readonly tokenizer: PromptTokenizer;
  /** Longest prompt and answer together, in tokens. */
  readonly maxLength: number;
  /** Decides label draws and dropout. */
  readonly seed: number;
  /** What the model learns to answer; null where samples are only asked (prediction). */
  readonly labelType: LabelType | null;
}

/** What a sample is asked and should answer. */
export interface SampleTask {
  readonly type: AnswerType;
  readonly question: string;
  readonly answer: string;
}

/** What a sample has to have where the name of the label type does not say so. */
const answersOf: Partial<Record<LabelType, string>> = {
  hybird: 'description, labels, sentiment or valence',
  own: 'question and answer',
};

/** Questions, answers and prompts of samples, and their tokens. Needs no features. */
export class SampleTexts {
  readonly #options: SampleTextOptions;
  readonly #space: AnswerSpace;

  /**
   * @param space of the training records
   * @throws InputError `TOKENIZER_NO_START`
   */
  constructor(options: SampleTextOptions, space: AnswerSpace) {
    if (options.format.needsStartToken && options.tokenizer.bosId === undefined) {
      throw new InputError(
        'TOKENIZER_NO_START',
        'data.template.begin asks for a start token, and the tokenizer of the language model has none (bos_token in tokenizer_config.json). Set data.template.begin to false.',
      );
    }
    this.#options = options;
    this.#space = space;
  }

  /**
   * Question and answer of a sample in an epoch: a function of (seed, epoch, name).
   * @throws InputError `ANSWER_MISSING`, and those of `question`
   */
  task(record: SampleRecord, epoch: number): SampleTask {
    const { seed } = this.#options;
    const { name, origin } = record;
    const type = drawAnswerType(this.#types(record), { seed, epoch, name });
    if (type !== undefined) return this.#asked(record, type);
    throw new InputError('ANSWER_MISSING', `${origin}: sample "${name}" has no answer to learn from.`);
  }

  /**
   * The question of a kind about a sample: its own, or the published one, which is the same for all.
   * @throws InputError `QUESTION_MISSING` of a sample that brings none, and those of `questionText`
   */
  question({ name, question }: SampleRecord, type: AnswerType): string {
    if (type !== 'own') return questionText(type, this.#space);
    if (question !== undefined) return question;
    throw new InputError(
      'QUESTION_MISSING',
      `Sample "${name}" has no question of its own; give it a "question", or ask all samples the same.`,
    );
  }

  /** Tokens of the answer that says `content`, and of what ends it: those that training would supervise. */
  answerTokens(type: AnswerType, content: string): number[] {
    const { tokenizer, format } = this.#options;
    return encodeAnswer(tokenizer, format.answer(type, content), format.end);
  }

  /** Tokens of what a sample is asked, for the model to go on with. */
  promptToAnswer(record: SampleRecord, question: string): number[] {
    const { format, tokenizer } = this.#options;
    const before = format.begin.asking && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
    return [...before, ...this.#prompt(record, question)];
  }

  /** Tokens and labels that a sample is trained on. */
  sequence(record: SampleRecord, { question, answer }: SampleTask): TrainingSequence {
    const { tokenizer, maxLength, format } = this.#options;
    const { begin, end } = format;
    return buildTrainingSequence(tokenizer, this.#prompt(record, question), answer, {
      ...{ maxLength, name: record.name, begin: begin.training, end },
    });
  }

  /** What is wrong with the texts of a sample, for every answer that may be drawn. */
  faults(record: SampleRecord): string[] {
    const { labelType } = this.#options;
    const types = this.#types(record);
    if (labelType !== null && types.length === 0) {
      const wanted = answersOf[labelType] ?? labelType;
      return [
        `${record.origin}: sample "${record.name}" has no answer for data.labelType "${labelType}" (${wanted})`,
      ];
    }
    const faults = types.map((type) => {
      try {
        this.sequence(record, this.#asked(record, type));
        return [];
      } catch (error) {
        if (error instanceof InputError) return [`${record.origin}: ${error.message}`];
        throw error;
      }
    });
    return [...new Set(faults.flat())];
  }

  #types(record: SampleRecord): readonly AnswerType[] {
    const { labelType } = this.#options;
    return labelType === null ? [] : answerTypesOf(labelType, record);
  }

  #asked(record: SampleRecord, type: AnswerType): SampleTask {
    const answer = this.#options.format.answer(type, answerContent(type, record)!);
    return { type, question: this.question(record, type), answer };
  }

  #prompt(record: SampleRecord, question: string): number[] {
    const { model, tokenizer, format } = this.#options;
    const text = format.prompt(record.subtitle ?? '', question);
    const ids = encodePrompt(tokenizer, text, placeholderRuns(model, tokenizer.placeholderIds), record.name);
    // Without a token before it, the first one of the answer could not be predicted.
    if (ids.length === 0) {
      throw new InputError(
        'PROMPT_EMPTY',
        `Sample "${record.name}" has an empty prompt: its subtitle is empty and the template adds nothing.`,
      );
    }
    return ids;
  }
}
