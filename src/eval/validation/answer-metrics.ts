import { isOfTask, namesEmotions } from '../../../train/validation/plan.ts';
import type { ValidationAnswer } from '../../../train/validation/validator.ts';
import { mmlaTask } from '../../data/mmla/tasks.ts';
import type { AnswerType } from '../../data/prompts.ts';
import type { SampleRecord } from '../../data/records.ts';
import { classificationReport } from '../classification.ts';
import { extractLabels } from '../mer-unibench/extract-rules.ts';
import { scoreEmotionWheels } from '../mer-unibench/metrics/emotion-wheel.ts';
import { scoreMmla } from '../mmla/metrics.ts';
import { parseMmlaAnswer } from '../mmla/parse-answer.ts';

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
 * Answers to the questions of tasks, by the published rule: a label that is named alone counts. Each metric of the tasks
 * together is the mean over all answers, that of a task has its key behind the name where there are several.
 */
function taskMetrics(answers: readonly JudgedAnswer[]): Record<string, number> {
  const byTask = new Map<string, JudgedAnswer[]>();
  for (const answer of answers.filter(({ type, record }) => isOfTask(type, record))) {
    const { task } = answer.record;
    byTask.set(task!, [...(byTask.get(task!) ?? []), answer]);
  }
  const scores = [...byTask].map(([key, asked]) => {
    const task = mmlaTask(key);
    const gold = asked.map(({ record }) => record.labels![0]!);
    const parsed = asked.map(({ text }) => parseMmlaAnswer(task, text));
    const { n, metrics, invalid } = scoreMmla(task, 'compat', gold, parsed);
    const share = (invalid.unknown + invalid.multi) / n;
    return { key, n, values: { taskAccuracy: metrics.ACC, taskWeightedF1: metrics.WF1, taskInvalid: share } };
  });
  if (scores.length === 0) return {};
  const total = scores.reduce((sum, { n }) => sum + n, 0);
  const names = ['taskAccuracy', 'taskWeightedF1', 'taskInvalid'] as const;
  const together = names.map((name) => [
    name,
    scores.reduce((sum, { n, values }) => sum + n * values[name], 0) / total,
  ]);
  const apart =
    scores.length === 1
      ? []
      : scores.flatMap(({ key, values }) => names.map((name) => [`${name}/${key}`, values[name]]));
  return Object.fromEntries([...together, ...apart]) as Record<string, number>;
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
    ...taskMetrics(answers),
  };
}
