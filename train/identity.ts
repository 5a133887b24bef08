import type { Config } from '../src/config/schema.ts';
import { InputError } from '../src/errors.ts';
import { sha256 } from '../src/io/checksum.ts';
import type { JsonValue } from '../src/io/json.ts';

/** Settings that decide a run's numbers, by dotted key. A run is only continued under equal ones. */
export type RunIdentity = Readonly<Record<string, JsonValue>>;

/** Keys, or sections, that may change when a run is resumed: they do not decide what a step computes. */
const freeKeys = [
  'train.steps',
  'train.epochs',
  'train.checkpoint',
  'train.validation',
  'train.log',
  'train.onBadNumbers',
  'engine',
  'generation',
  'evaluation',
  'data.featureCache',
  'data.badSampleLimit',
  'data.decodeTimeout',
  'output',
];

/** Samples that a process adds to a step. */
const batchKey = 'train.batchSize x train.accumulation';

/** Divided differently, the samples of a step give the same step up to rounding: only the product is kept. */
const stepKeys = ['train.batchSize', 'train.accumulation'];

const isFree = (key: string): boolean => freeKeys.some((free) => key === free || key.startsWith(`${free}.`));

function flatten(value: JsonValue, key: string, into: Record<string, JsonValue>): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [name, member] of Object.entries(value)) {
      flatten(member, key === '' ? name : `${key}.${name}`, into);
    }
  } else if (!isFree(key) && !stepKeys.includes(key)) {
    into[key] = value;
  }
}

/**
 * The identity of a configured run: all keys but those that a resumed run may change (`train.steps`, `train.epochs`,
 * `train.checkpoint`, `train.validation`, `train.log`, `train.onBadNumbers`, `engine`, `generation`, `evaluation`,
 * `data.featureCache`, `data.badSampleLimit`, `data.decodeTimeout`, `output`) and with `batchSize` and `accumulation`
 * replaced by their product.
 *
 * @param elsewhere settings that stand in files of their own, by the key that names the file; null where there is none
 */
export function runIdentity(
  config: Config,
  elsewhere: Readonly<Record<string, JsonValue>> = {},
): RunIdentity {
  const identity: Record<string, JsonValue> = {};
  flatten(config as JsonValue, '', identity);
  for (const [key, settings] of Object.entries(elsewhere)) {
    if (settings !== null) flatten(settings, key, identity);
  }
  identity[batchKey] = config.train.batchSize * config.train.accumulation;
  return identity;
}

/** SHA-256 of an identity, whatever the order of its keys. */
export function identityHash(identity: RunIdentity): string {
  const keys = Object.keys(identity).sort();
  return sha256(JSON.stringify(keys.map((key) => [key, identity[key]!])));
}

/**
 * Refuses to continue a run under other settings.
 *
 * @param saved of the checkpoint
 * @param folder of the checkpoint, for the message
 * @param ranks processes that trained together, and are to: another number of them may go on, with as many samples in a
 *   step as before, however they are divided; or under the same settings, with steps that are larger or smaller
 * @throws InputError `RESUME_CONFIG_CHANGED` with every changed key, its old and its new value
 */
export function checkIdentity(
  saved: RunIdentity,
  current: RunIdentity,
  folder: string,
  ranks = { saved: 1, current: 1 },
): void {
  const show = (value: JsonValue | undefined): string =>
    value === undefined ? 'absent' : JSON.stringify(value);
  const stepSize = (identity: RunIdentity, count: number): number => Number(identity[batchKey]) * count;
  const [before, now] = [stepSize(saved, ranks.saved), stepSize(current, ranks.current)];
  const isSameStep = before === now;
  const changed = [...new Set([...Object.keys(saved), ...Object.keys(current)])]
    // A setting that did not exist when the run was saved, and says nothing now, changes nothing.
    .filter((key) => show(saved[key] ?? null) !== show(current[key] ?? null))
    .filter((key) => key !== batchKey || !isSameStep)
    .map((key) => `${key} was ${show(saved[key])} and is now ${show(current[key])}`);
  if (!isSameStep && ranks.saved !== ranks.current && (current['train.lengthGrouping'] ?? null) !== null) {
    changed.push(
      `${batchKey} x ranks was ${before} and is now ${now}, on which the order of samples depends under train.lengthGrouping`,
    );
  }
  if (changed.length > 0) {
    throw new InputError(
      'RESUME_CONFIG_CHANGED',
      `The run cannot be continued from ${folder}, because its settings have changed: ${changed.join('; ')}. ` +
        'Set them as they were, or start a new run in another output folder.',
    );
  }
}
