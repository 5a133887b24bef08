import type { Config } from '../../src/config/schema.ts';
import { VALIDATION_METRICS, type ValidationSettings } from '../../src/config/validation.ts';
import { type AnswerType, answerTypesOf, drawAnswerType } from '../../src/data/prompts.ts';
import type { RecordsLocation } from '../../src/data/read-records.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { InputError } from '../../src/errors.ts';
import { sha256 } from '../../src/io/checksum.ts';
import { dataRecord } from '../data-record.ts';

/** In place of an epoch where kinds of answers are drawn: epochs count from 1, and a validation is of none. */
export const validationEpoch = 0;

/** What a run is validated on: decided by records and `train.seed` before anything is computed. */
export interface ValidationPlan {
  readonly settings: ValidationSettings;
  /** In the order of the data. */
  readonly records: readonly SampleRecord[];
  /** Names of those that are answered too. */
  readonly answered: readonly string[];
  /** Stands for the samples, what is told about them, and how they are answered. */
  readonly set: string;
}

/** Whether an answer of a kind about a sample says which emotion words the sample has. */
export const namesEmotions = (type: AnswerType, { labels = [] }: SampleRecord): boolean =>
  labels.length > 0 && type !== 'sentiment' && type !== 'valence' && type !== 'own';

/** Whether an answer of a kind about a sample is one to the question of a task with labels. */
export const isOfTask = (type: AnswerType, { task }: SampleRecord): boolean =>
  type === 'own' && task !== undefined;

/** Names of metrics that answers about samples give. */
function definedMetrics(config: Config, records: readonly SampleRecord[]): string[] {
  const { labelType } = config.data;
  const { seed } = config.train;
  const asked = records.flatMap((record) => {
    const types = answerTypesOf(labelType, record);
    const type = drawAnswerType(types, { seed, epoch: validationEpoch, name: record.name });
    return type === undefined ? [] : [{ type, record }];
  });
  const isDefined = (metric: string): boolean => {
    if (metric === 'loss' || metric === 'teacherForcedExactMatch') return true;
    if (metric.startsWith('task')) return asked.some(({ type, record }) => isOfTask(type, record));
    if (metric.startsWith('emotion')) return asked.some(({ type, record }) => namesEmotions(type, record));
    if (metric.startsWith('sentiment')) return asked.some(({ type }) => type === 'sentiment');
    return asked.length > 0;
  };
  return VALIDATION_METRICS.filter(isDefined);
}

/**
 * @param answered records of the samples that are answered
 * @throws InputError `VALIDATION_METRIC_UNDEFINED` with the metrics that are defined
 */
export function checkMetric(
  config: Config,
  { metric }: ValidationSettings,
  answered: readonly SampleRecord[],
): void {
  const metrics = definedMetrics(config, answered);
  if (metrics.includes(metric)) return;
  throw new InputError(
    'VALIDATION_METRIC_UNDEFINED',
    `train.validation.metric is "${metric}", which the ${answered.length} samples that are answered do not give with data.labelType "${config.data.labelType}". There are: ${metrics.join(', ')}. Metrics of emotions need samples with labels, those of sentiments need samples that are asked for their sentiment, those of tasks samples of data.dataset "mmla".`,
  );
}

/** The records that a validation may take: held-out ones, of one split where one is named. @throws InputError `VALIDATION_SAMPLES_NONE` */
function candidates(
  { data }: Config,
  { split }: ValidationSettings,
  { heldOut }: { readonly heldOut: readonly SampleRecord[] },
): readonly SampleRecord[] {
  const found = split === null ? heldOut : heldOut.filter((record) => record.split === split);
  if (found.length > 0) return found;
  const splits = [...new Set(heldOut.map((record) => record.split!))];
  const there = splits.length === 0 ? 'nothing is held out' : `held out are: ${splits.join(', ')}`;
  const wanted = split === null ? 'held-out samples' : `held-out samples of the split "${split}"`;
  throw new InputError(
    'VALIDATION_SAMPLES_NONE',
    `train.validation asks for ${wanted}, and there are none: data.trainSplit is ${JSON.stringify(data.trainSplit)}, and ${there}. Samples are held out by a "split" other than data.trainSplit; or set train.validation to null.`,
  );
}

/**
 * Chooses the samples of the validations. Which ones are taken where not all are, and which of them are answered, depends
 * on `train.seed` and their names alone: not on their order, nor on what else is held out.
 *
 * @param divided by `data.trainSplit`
 * @param location where they were read
 * @returns undefined where nothing is validated
 * @throws InputError `VALIDATION_SAMPLES_NONE`, `VALIDATION_METRIC_UNDEFINED` with the metrics that are defined
 */
export function planValidation(
  config: Config,
  divided: { readonly heldOut: readonly SampleRecord[] },
  location: RecordsLocation,
): ValidationPlan | undefined {
  const { validation: settings, seed } = config.train;
  if (settings === null) return undefined;
  const all = candidates(config, settings, divided);
  const random = new RandomGenerator(seed).split('validation');
  const drawn = all.map((record) => ({ record, rank: random.split(record.name).uniform() }));
  drawn.sort((a, b) => a.rank - b.rank || (a.record.name < b.record.name ? -1 : 1));
  const ranked = drawn.slice(0, settings.samples ?? undefined).map(({ record }) => record);
  const answered = new Set(ranked.slice(0, settings.answers).map(({ name }) => name));
  const taken = new Set(ranked);
  const records = all.filter((record) => taken.has(record));
  const asked = records.filter(({ name }) => answered.has(name));
  checkMetric(config, settings, asked);
  const names = asked.map(({ name }) => name);
  const decisive = [
    [...dataRecord(records, location)],
    names,
    names.length > 0 ? settings.maxNewTokens : null,
  ];
  return { settings, records, answered: names, set: sha256(JSON.stringify(decisive)).slice(0, 16) };
}
