import { openModelAndRecords } from '../../train/configured.ts';
import { InputError } from '../errors.ts';
import { planChoices } from '../eval/choice-plan.ts';
import type { SweepPoint } from './load.ts';

/** What of a configuration decides which files it needs. */
const needs = ({ config: { model, fusion, lora, data, evaluation, train } }: SweepPoint): string =>
  JSON.stringify([model, fusion, lora.rank, lora.targets, data, evaluation, train.parts, train.validation]);

/**
 * Looks for models and data of points, so that nobody learns after hours that those of the last one are not there.
 *
 * @throws InputError `SWEEP_NOT_READY` with what is missing of all points
 */
export async function checkReady(points: readonly SweepPoint[]): Promise<void> {
  const first = new Map<string, SweepPoint>();
  for (const point of points) if (!first.has(needs(point))) first.set(needs(point), point);
  const faults = new Map<string, string[]>();
  for (const point of first.values()) {
    const { config } = point;
    try {
      await openModelAndRecords(config, async () => {
        if (config.evaluation !== null) await planChoices(config, config.evaluation);
      });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const text = `error[${error.code}]: ${error.message}`;
      faults.set(text, [...(faults.get(text) ?? []), point.id]);
    }
  }
  if (faults.size === 0) return;
  const lines = [...faults].map(([text, ids]) => `${ids.join('; ')}: ${text}`);
  throw new InputError(
    'SWEEP_NOT_READY',
    `Points of this sweep cannot be trained; nothing was started.\n${lines.join('\n')}`,
  );
}
