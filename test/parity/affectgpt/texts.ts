import { placeholderRuns } from '../../../model/affectgpt.ts';
import { causalBias } from '../../../model/decoder.ts';
import { ignoredLabel, supervisedPositions } from '../../../model/loss.ts';
import { ANSWER_TYPES } from '../../../src/config/data.ts';
import { collateTraining } from '../../../src/data/collate.ts';
import {
  type Annotations,
  type AnswerSpace,
  answerText,
  buildPrompt,
  type PublishedAnswerType,
  questionText,
} from '../../../src/data/prompts.ts';
import { buildTrainingSequence, encodePrompt } from '../../../src/data/sequence.ts';
import type { HostTensorMap } from '../../../src/engine/types.ts';
import type { AffectGptReference, Variant } from '../../support/affectgpt-reference.ts';
import { referenceTokenizer } from '../../support/qwen-tokenizer.ts';
import { missed, reasonOf } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { equal } from './comparisons.ts';

export const isAnswerType = (type: string): type is PublishedAnswerType =>
  (ANSWER_TYPES as readonly string[]).includes(type);

/** The labels or the range that a published question lists. */
export function spaceOfQuestion(question: string): AnswerSpace {
  const candidates = /candidate labels: (.+)\.$/.exec(question)?.[1]?.split(',');
  const range = /ranging from (\S+) to (\S+)\. Here/.exec(question);
  return {
    ...(candidates && { candidates }),
    ...(range && { valenceRange: [Number(range[1]), Number(range[2])] as const }),
  };
}

/** What a published answer tells about its sample. */
export function annotationsOfAnswer(type: PublishedAnswerType, answer: string): Annotations {
  const content = / (?:state|label|score) is (.+)\.$/s.exec(answer)?.[1] ?? '';
  if (type === 'description') return { description: answer };
  if (type === 'sentiment') return { sentiment: content };
  if (type === 'valence') return { valence: Number(content) };
  return { labels: content.split(', ') };
}

/** Question of a published prompt. */
export const questionOfPrompt = (prompt: string): string =>
  /all the provided information\. (.*) ###Assistant: $/s.exec(prompt)?.[1] ?? '';

const subtitleOfPrompt = (prompt: string): string => /<Subtitle>(.*)<\/Subtitle>/s.exec(prompt)?.[1] ?? '';

/** The published prompts and answers of a batch, made again from what they say of their samples. */
function compareStrings({ name, facts }: Variant): Comparison[] {
  const where = `golden.json variants.${name}`;
  const made = facts.prompts.map((prompt, i) => {
    const type = facts.label_types[i]!;
    const asked = questionOfPrompt(prompt);
    const question = isAnswerType(type) ? questionText(type, spaceOfQuestion(asked)) : asked;
    return buildPrompt(facts.mode, subtitleOfPrompt(prompt), question);
  });
  const answers = facts.answers.map((answer, i) => {
    const type = facts.label_types[i]!;
    return isAnswerType(type) ? answerText(type, annotationsOfAnswer(type, answer)) : answer;
  });
  return [
    equal(`${where}.prompts`, made, facts.prompts, 'with the questions of label_types'),
    equal(`${where}.answers`, answers, facts.answers),
  ];
}

/**
 * Prompts, answers, and the token rows that they make: prompts and answers through tokenizer and collation give the
 * stored ids, labels and mask.
 */
export async function compareVariantTexts(
  reference: AffectGptReference,
  variant: Variant,
): Promise<Comparison[]> {
  const { file, facts, config, batch } = variant;
  if (facts.prompts === undefined) return [];
  const comparisons = compareStrings(variant);
  const rows = ['input_ids', 'labels', 'attention_masks'] as const;
  try {
    const tokenizer = await referenceTokenizer(reference.folder);
    const samples = facts.prompts.map((prompt, i) => {
      const runs = placeholderRuns(config, tokenizer.placeholderIds);
      const sample = `sample ${i}`;
      const promptIds = encodePrompt(tokenizer, prompt, runs, sample);
      const options = { maxLength: Number.POSITIVE_INFINITY, name: sample };
      return {
        name: sample,
        sequence: buildTrainingSequence(tokenizer, promptIds, facts.answers[i]!, options),
      };
    });
    const options = { model: config, tokenizer, attendFinalEos: false };
    const { inputs } = collateTraining(samples, {}, options);
    comparisons.push(
      ...compareRows(variant, samples, inputs, tokenizer.padId),
      equal(
        `${file} input/attention_masks`,
        inputs.attentionBias!.data,
        causalBias(batch.attention_masks).data,
        'as what attention may see',
      ),
    );
  } catch (error) {
    comparisons.push(...rows.map((row) => missed(`${file} input/${row}`, undefined, reasonOf(error))));
  }
  return comparisons;
}

/** Ids and labels as stored, rows of different lengths filled up; and what training supervises. */
function compareRows(
  { file, batch }: Variant,
  samples: readonly { readonly sequence: { readonly ids: Int32Array; readonly labels: Int32Array } }[],
  inputs: HostTensorMap,
  padId: number,
): Comparison[] {
  const tokens = Math.max(...samples.map(({ sequence }) => sequence.ids.length));
  const padded = (row: Int32Array, value: number): number[] => [
    ...row,
    ...new Array<number>(tokens - row.length).fill(value),
  ];
  const ids = samples.flatMap(({ sequence }) => padded(sequence.ids, padId));
  const labels = samples.flatMap(({ sequence }) => padded(sequence.labels, ignoredLabel));
  const supervised = supervisedPositions(batch.labels);
  return [
    equal(`${file} input/input_ids`, ids, batch.input_ids.data, 'token by token'),
    equal(`${file} input/labels`, labels, batch.labels.data, 'token by token'),
    equal(
      `${file} input/labels (supervised)`,
      [...inputs.positions!.data, ...inputs.targets!.data],
      [...supervised.positions, ...supervised.targets],
      'positions and targets of the loss',
    ),
  ];
}
