import type { Config } from '../../src/config/schema.ts';
import { answerSpaceOf } from '../../src/data/read-records.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { AffectGpt } from '../../src/runtime/affectgpt.ts';
import { type OpenSamples, openSamples } from '../../src/runtime/samples.ts';
import { checkMetric, type ValidationPlan } from './plan.ts';
import type { Validator } from './validator.ts';

/** What a configured training is validated with. */
export interface ValidationSetting {
  readonly config: Config;
  readonly model: AffectGpt;
  readonly engine: Engine;
  /** For people. */
  readonly say: (message: string) => void;
}

/** What a validator is made of. */
export interface ValidatorRequest extends ValidationSetting {
  /** Held-out samples, their features ready. */
  readonly samples: OpenSamples;
  /** Names of those that are answered too, in the order of the data. */
  readonly answered: readonly string[];
  /** As in the plan. */
  readonly set: string;
}

export interface ConfiguredValidator extends Validator {
  dispose(): Promise<void>;
}

/**
 * Opens the held-out samples of a plan with the answers that training would teach; their features come from the same
 * cache as those of training samples.
 *
 * @param training records that are trained on: they decide what questions list
 * @throws InputError those of `openSamples`
 */
export const openValidationSamples = (
  { records }: ValidationPlan,
  training: readonly SampleRecord[],
  { config, model, engine, say }: ValidationSetting,
): Promise<OpenSamples> =>
  openSamples({
    ...{ config, model, engine, records },
    forTraining: true,
    answerSpace: answerSpaceOf(training),
    notify: say,
  });

/**
 * What a validator is made of, once features are ready and it is known which samples can be used.
 * @throws InputError `VALIDATION_METRIC_UNDEFINED` where those that give the metric were skipped
 */
export function validatorRequest(
  { settings, answered, set }: ValidationPlan,
  samples: OpenSamples,
  setting: ValidationSetting,
): ValidatorRequest {
  const usable = new Set(samples.source.names);
  const asked = answered.filter((name) => usable.has(name));
  checkMetric(
    setting.config,
    settings,
    asked.map((name) => samples.source.record(name)),
  );
  return { ...setting, samples, answered: asked, set };
}

/** What will be validated, for people. */
export function describePlan({ settings, answered }: ValidationPlan, { source }: OpenSamples): string {
  const { every, metric, patience } = settings;
  const stop = patience === null ? '' : `, stopping after ${patience} without improvement`;
  return `Validation every ${every} steps on ${source.names.length} held-out samples, ${answered.length} of them answered; the best checkpoint is that by ${metric}${stop}.`;
}
