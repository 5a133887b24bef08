import { inputMode } from '../../model/modes.ts';
import type { LabelType } from '../config/data.ts';
import type { Config } from '../config/schema.ts';
import { type AnswerSpace, type AnswerType, answerContent } from '../data/prompts.ts';
import { answerSpaceOf, readRecords, recordsLocation, splitRecords } from '../data/read-records.ts';
import { findFileFaults, listFaults, type SampleRecord } from '../data/records.ts';
import { InputError } from '../errors.ts';

/** The section `evaluation` of a configuration. */
export type ChoiceSettings = NonNullable<Config['evaluation']>;

/** What is to be scored: found and checked before anything is computed. */
export interface ChoicePlan {
  readonly settings: ChoiceSettings;
  /** Kind of question, and of the answer that names a choice. */
  readonly type: AnswerType;
  readonly choices: readonly string[];
  readonly records: readonly SampleRecord[];
  /** The choice that is right, by name of the sample. */
  readonly labels: ReadonlyMap<string, string>;
  /** What the questions of the training list. */
  readonly space: AnswerSpace;
}

/** Kinds of answer that name one label. `hybird` asks for the label list, which it draws in training too. */
function typeOf(labelType: LabelType): AnswerType {
  const type = labelType === 'hybird' ? 'ovlabel' : labelType;
  if (type === 'description' || type === 'valence') {
    throw new InputError(
      'EVALUATION_LABEL_TYPE',
      `Choices are labels, but data.labelType is "${labelType}". Set it to "ovlabel", "onehot_w_candidates", "onehot_wo_candidates", "sentiment" or "own" (--set data.labelType=ovlabel).`,
    );
  }
  return type;
}

/** The labels that a kind of answer may name: those of the sample, or the one thing that it says. */
function labelsOf(type: AnswerType, { labels = [], sentiment, answer }: SampleRecord): readonly string[] {
  if (type !== 'sentiment' && type !== 'own') return labels;
  const said = type === 'own' ? answer : sentiment;
  return said === undefined ? [] : [said];
}

/** Labels of the training samples, the most frequent first; of equally frequent ones the one that occurs first. */
function frequentLabels(type: AnswerType, records: readonly SampleRecord[]): string[] {
  const counts = new Map<string, number>();
  for (const label of records.flatMap((record) => labelsOf(type, record))) {
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([label]) => label);
}

/** The records of a split. @throws InputError `SAMPLES_NONE` */
function recordsOf(split: string, all: readonly SampleRecord[]): SampleRecord[] {
  const found = all.filter((record) => record.split === split);
  if (found.length > 0) return found;
  const splits = [...new Set(all.map((record) => record.split ?? 'none'))];
  throw new InputError(
    'SAMPLES_NONE',
    `No sample has the split "${split}" that evaluation.split (--split) asks for; there are: ${splits.join(', ')}.`,
  );
}

function labelFault(record: SampleRecord, type: AnswerType, choices: readonly string[]): string | undefined {
  const where = `${record.origin}: sample "${record.name}"`;
  const labels = labelsOf(type, record);
  if (type === 'own' && record.question === undefined) return `${where} has no question of its own`;
  if (labels.length !== 1) {
    if (type === 'sentiment') return `${where} has no sentiment`;
    if (type === 'own') return `${where} has no answer of its own`;
    return `${where} has ${labels.length} labels; one is needed to say which choice is right`;
  }
  const label = labels[0]!;
  return choices.includes(label) ? undefined : `${where} has the label "${label}", which is no choice`;
}

/**
 * Finds the samples and the choices of an evaluation, and checks that each sample has one label among them and the
 * files that the inputs need.
 *
 * @throws InputError `EVALUATION_LABEL_TYPE`, `SAMPLES_NONE`, `CHOICES_TOO_FEW`, `EVALUATION_UNUSABLE` with every bad
 *   sample, and those of `readRecords`
 */
export async function planChoices(config: Config, settings: ChoiceSettings): Promise<ChoicePlan> {
  const type = typeOf(config.data.labelType);
  const all = await readRecords(recordsLocation(config));
  const { train } = splitRecords(all, config.data.trainSplit);
  const choices = settings.choices ?? frequentLabels(type, train);
  if (choices.length < 2) {
    throw new InputError(
      'CHOICES_TOO_FEW',
      `There is nothing to choose from: the samples that are trained on have ${choices.length} different labels. Name two or more in evaluation.choices (--choices).`,
    );
  }
  const records = recordsOf(settings.split, all).slice(0, settings.limit ?? undefined);
  const faults = records.flatMap((record) => labelFault(record, type, choices) ?? []);
  if (config.data.onBadSample === 'fail') {
    const missing = await findFileFaults(records, inputMode(config.model.inputs));
    faults.push(...[...missing.values()].flat());
  }
  if (faults.length > 0) {
    throw new InputError(
      'EVALUATION_UNUSABLE',
      `The samples of the split "${settings.split}" cannot be scored: ${listFaults(faults)}. The choices are ${choices.join(', ')}.`,
    );
  }
  const labels = new Map(records.map((record) => [record.name, answerContent(type, record)!]));
  return { settings, type, choices, records, labels, space: answerSpaceOf(train) };
}
