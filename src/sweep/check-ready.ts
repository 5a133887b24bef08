import { openModelAndRecords } from '../../train/model-and-records.ts';
import { InputError } from '../errors.ts';
import { planChoices } from '../eval/choice-plan.ts';
import type { SweepPoint } from './load.ts';
import { PointFaults } from './point-faults.ts';

/** What of a configuration decides which files it needs. */
const needs = ({ config: { model, fusion, lora, data, evaluation, train } }: SweepPoint): string =>
  JSON.stringify([model, fusion, lora.rank, lora.targets, data, evaluation, train.parts, train.validation]);

/**
 * Looks for models and data of points, so that nobody learns after hours that those of the last one are not there.
 *
 * @param advice told after the faults
 * @throws InputError `SWEEP_NOT_READY` with what is missing of all points
 */
export async function checkReady(points: readonly SweepPoint[], advice = ''): Promise<void> {
  const groups = new Map<string, SweepPoint[]>();
  for (const point of points) {
    const key = needs(point);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [point]);
    else group.push(point);
  }
  const faults = new PointFaults(points.length);
  for (const group of groups.values()) {
    const { config } = group[0]!;
    try {
      await openModelAndRecords(config, async () => {
        if (config.evaluation !== null) await planChoices(config, config.evaluation);
      });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      faults.add(
        group.map(({ id }) => id),
        error,
      );
    }
  }
  faults.throwAny(advice);
}
