/** Learning rate over a run; `lr` is the highest one. */
export type Schedule =
  | { readonly type: 'constant'; readonly lr: number }
  | {
      readonly type: 'warmup-cosine';
      readonly lr: number;
      /** Steps of the rise. */
      readonly warmupSteps: number;
      /** At the first step of the rise. */
      readonly warmupLr: number;
      /** At the last step of the run. */
      readonly minLr: number;
      /** Optimizer steps of the whole run. */
      readonly steps: number;
    };

/** The keys of `train` in a configuration that decide the schedule. */
export interface ScheduleKeys {
  readonly steps: number;
  readonly optimizer: { readonly lr: number };
  readonly schedule:
    | { readonly type: 'constant' }
    | {
        readonly type: 'warmup-cosine';
        readonly warmupSteps: number;
        /** Share of all steps, in place of `warmupSteps`. */
        readonly warmupRatio?: number | null;
        readonly warmupLr: number;
        readonly minLr: number;
      };
}

/**
 * The schedule that the section `train` of a configuration describes. A share of warm-up steps is rounded up, as
 * transformers does.
 */
export function configuredSchedule({ steps, optimizer: { lr }, schedule }: ScheduleKeys): Schedule {
  if (schedule.type === 'constant') return { type: 'constant', lr };
  const { warmupRatio = null, ...keys } = schedule;
  const warmupSteps = warmupRatio === null ? keys.warmupSteps : Math.ceil(warmupRatio * steps);
  return { ...keys, warmupSteps, lr, steps };
}

/**
 * Learning rate of an optimizer step, in float64.
 *
 * `warmup-cosine`: the first `warmupSteps` steps rise in equal parts from `warmupLr`, the step after them has `lr`, and
 * from there half a cosine falls to `minLr` at step `steps`. A run with one step after the rise makes it at `lr`.
 *
 * @param step counts from 1; steps after the last one keep its rate
 */
export function learningRateAt(step: number, schedule: Schedule): number {
  const { lr } = schedule;
  if (schedule.type === 'constant') return lr;
  const { warmupSteps, warmupLr, minLr, steps } = schedule;
  if (step <= warmupSteps) return warmupLr + ((lr - warmupLr) * (step - 1)) / warmupSteps;
  const fallingSteps = steps - warmupSteps - 1;
  if (fallingSteps <= 0) return lr;
  const done = Math.min((step - warmupSteps - 1) / fallingSteps, 1);
  return minLr + (lr - minLr) * 0.5 * (1 + Math.cos(Math.PI * done));
}
