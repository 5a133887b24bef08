import type { Config } from '../src/config/schema.ts';
import type { SampleRecord } from '../src/data/records.ts';
import type { SampleWeights } from './sampler.ts';

/** Samples of each task. */
function countByTask(records: readonly SampleRecord[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { task = '' } of records) counts.set(task, (counts.get(task) ?? 0) + 1);
  return counts;
}

/**
 * How often a configuration wants each sample to occur in an epoch (`data.mmla.weights`).
 *
 * `uniform`: all tasks equally often. The mean length of an epoch stays what it is without weights, since the weight of a
 * sample is (samples / tasks) / samples of its task.
 *
 * @param records that are trained on
 * @returns null where every one occurs once
 */
export function configuredWeights(
  { data }: Pick<Config, 'data'>,
  records: readonly SampleRecord[],
): SampleWeights | null {
  const weights = data.mmla?.weights ?? 'proportional';
  if (weights === 'proportional') return null;
  const counts = countByTask(records);
  const weightOf = ({ task = '' }: SampleRecord): number =>
    weights === 'uniform'
      ? records.length / counts.size / counts.get(task)!
      : (weights[task as keyof typeof weights] ?? 1);
  const byName = new Map(records.map((record) => [record.name, weightOf(record)]));
  return [...byName.values()].every((weight) => weight === 1) ? null : byName;
}
