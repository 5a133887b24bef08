import { learningRateAt, type Schedule } from '../../../train/schedule.ts';
import { missed } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { closeList, notCompared } from './comparisons.ts';

/** Epoch, step within it, and the rate that the published schedule gave. */
export type PublishedRate = readonly [epoch: number, step: number, rate: number];

/** Both sides compute in float64. */
const rules = { relative: 1e-9, absolute: 0, loss: 0, share: 1, near: 0, far: 0 };

type Settings = Readonly<Record<string, unknown>>;

/** The rise of the published warm-up: it counts the steps of an epoch, and begins anew with each. */
function risingRate(step: number, settings: Settings): number {
  const warmupSteps = Number(settings.warmup_steps);
  const lr = Number(settings.init_lr);
  return learningRateAt(step + 1, {
    type: 'warmup-cosine',
    lr,
    warmupSteps,
    warmupLr: Number(settings.warmup_start_lr),
    minLr: lr,
    steps: warmupSteps + 1,
  });
}

/**
 * The published cosine as ours: it falls over all steps of all epochs, the warm-up's included. As epochs count from 1,
 * it runs past its end, where it rises again as it fell.
 */
function fallingRate(position: number, settings: Settings): number {
  const total = Number(settings.max_epoch) * Number(settings.iters_per_epoch);
  const schedule: Schedule = {
    type: 'warmup-cosine',
    lr: Number(settings.init_lr),
    minLr: Number(settings.min_lr),
    warmupSteps: 0,
    warmupLr: 0,
    steps: total + 1,
  };
  return learningRateAt(1 + (position <= total ? position : 2 * total - position), schedule);
}

/**
 * Rates of a published schedule beside those of this program's: `warmup-cosine` where it rises and where it falls. Steps
 * down with the epochs are no schedule of this program.
 */
export function scheduledRates(
  label: string,
  name: string,
  settings: Settings,
  rates: readonly PublishedRate[],
): Comparison[] {
  const warmupSteps = Number(settings.warmup_steps ?? 0);
  const compare = (own: (epoch: number, step: number) => number, among: readonly PublishedRate[]) =>
    closeList(
      label,
      among.map(([epoch, step]) => own(epoch, step)),
      among.map(([, , rate]) => rate),
      rules,
    );
  if (name === 'linear_warmup_cosine_lr') {
    const own = (epoch: number, step: number): number => {
      const position = epoch * Number(settings.iters_per_epoch) + step;
      return position < warmupSteps ? risingRate(step, settings) : fallingRate(position, settings);
    };
    return [compare(own, rates)];
  }
  if (name === 'linear_warmup_step_lr') {
    const later = rates.filter(([epoch]) => epoch > 0).length;
    return [
      compare(
        (_, step) => risingRate(step, settings),
        rates.filter(([epoch]) => epoch === 0),
      ),
      notCompared(
        `${label} (from epoch 1)`,
        `${later} rates of a schedule that steps down with the epochs, which this program does not have`,
      ),
    ];
  }
  return [missed(label, undefined, `no schedule "${name}" is known`)];
}
