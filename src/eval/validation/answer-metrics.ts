import { namesEmotions } from '../../../train/validation/plan.ts';
import type { ValidationAnswer } from '../../../train/validation/validator.ts';
import type { AnswerType } from '../../data/prompts.ts';
import type { SampleRecord } from '../../data/records.ts';
import { classificationReport } from '../classification.ts';
import { extractLabels } from '../mer-unibench/extract-rules.ts';
import { scoreEmotionWheels } from '../mer-unibench/metrics/emotion-wheel.ts';

/** An answer with what is known of its sample. */
export interface JudgedAnswer extends ValidationAnswer {
  /** Kind of question. */
  readonly type: AnswerType;
  readonly record: SampleRecord;
}

const sentiments = ['negative', 'neutral', 'positive'];

const isLetter = (character: string | undefined): boolean =>
  character !== undefined && /\p{L}/u.test(character);

/** Where a word stands in a text; -1 where it does not, or only within longer words. */
function placeOf(word: string, text: string): number {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    if (!isLetter(text[at - 1]) && !isLetter(text[at + word.length])) return at;
  }
  return -1;
}

/** The class that an answer names first; null where it names none. */
function namedClass(text: string, classes: readonly string[]): string | null {
  const places = classes.map((name) => ({ name, at: placeOf(name.toLowerCase(), text.toLowerCase()) }));
  const named = places.filter(({ at }) => at !== -1).sort((a, b) => a.at - b.at);
  return named[0]?.name ?? null;
}

/** Rules find the words; every label counts (protocol `strict` of MER-UniBench), on level 1 of the five wheels. */
function emotionMetrics(answers: readonly JudgedAnswer[]): Record<string, number> {
  const samples = answers
    .filter(({ type, record }) => namesEmotions(type, record))
    .map(({ name, record, text }) => ({ name, labels: record.labels!, predicted: extractLabels(text) }));
  if (samples.length === 0) return {};
  const { f, precision, recall } = scoreEmotionWheels(samples, { protocol: 'strict' }).metrics;
  return { emotionF: f!, emotionPrecision: precision!, emotionRecall: recall! };
}

/** An answer without a class is wrong. */
function sentimentMetrics(answers: readonly JudgedAnswer[]): Record<string, number> {
  const asked = answers.filter(({ type }) => type === 'sentiment');
  if (asked.length === 0) return {};
  const classes = [...new Set([...sentiments, ...asked.map(({ record }) => record.sentiment!)])];
  const classified = asked.map(({ record, text }) => ({
    truth: record.sentiment!,
    predicted: namedClass(text, classes),
  }));
  const { accuracy, weighted } = classificationReport(classified, classes);
  return { sentimentAccuracy: accuracy, sentimentWeightedF1: weighted.f1 };
}

/**
 * Metrics of answers, by name, those that the samples define; fractions. `exactMatch` is the share of answers that are
 * what training would have taught, but for white space around them.
 */
export function answerMetrics(answers: readonly JudgedAnswer[]): Record<string, number> {
  if (answers.length === 0) return {};
  const exact = answers.filter(({ text, expected }) => text.trim() === expected.trim()).length;
  return {
    exactMatch: exact / answers.length,
    ...emotionMetrics(answers),
    ...sentimentMetrics(answers),
  };
}
