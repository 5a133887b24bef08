import { isLowerBetter } from '../../src/config/validation.ts';
import { InputError } from '../../src/errors.ts';
import type { ValidationPolicy, ValidationResult } from './validator.ts';

/** A validation and the step after which it was made. */
export type ValidatedStep = Pick<ValidationResult, 'loss' | 'metrics'> & { readonly step: number };

/** What the validations of a run come to. */
export interface Judgement {
  /** The best by the metric, the first of equals; undefined where there is none yet. */
  readonly best: { readonly step: number; readonly value: number } | undefined;
  /** Validations since the last improvement. */
  readonly withoutImprovement: number;
  /** Whether the training is to stop. */
  readonly isExhausted: boolean;
}

/** @throws InputError `VALIDATION_METRIC_UNDEFINED` */
function metricValue({ step, loss, metrics }: ValidatedStep, metric: string): number {
  const value = metric === 'loss' ? loss : metrics[metric];
  if (value === undefined) {
    throw new InputError(
      'VALIDATION_METRIC_UNDEFINED',
      `The validation after step ${step} gave no "${metric}" (train.validation.metric), but ${['loss', ...Object.keys(metrics)].join(', ')}. Take one of these.`,
    );
  }
  return value;
}

/**
 * Judges the validations of a run: a function of them alone, so that nothing but their file has to survive a kill.
 *
 * The best is the best by any difference. For `patience` an improvement is what is better than the last improvement by
 * more than `minDelta`, as the early stopping of Keras and Lightning counts; the first validation is one.
 *
 * @param validations in the order of their steps
 * @throws InputError of `metricValue`
 */
export function judge(
  validations: readonly ValidatedStep[],
  { metric, patience, minDelta }: Omit<ValidationPolicy, 'every'>,
): Judgement {
  const gain = (from: number, to: number): number => (isLowerBetter(metric) ? from - to : to - from);
  let best: Judgement['best'];
  let improved: number | undefined;
  let withoutImprovement = 0;
  for (const validation of validations) {
    const { step } = validation;
    const value = metricValue(validation, metric);
    if (best === undefined || gain(best.value, value) > 0) best = { step, value };
    if (improved === undefined || gain(improved, value) > minDelta) {
      improved = value;
      withoutImprovement = 0;
    } else {
      withoutImprovement++;
    }
  }
  return { best, withoutImprovement, isExhausted: patience !== null && withoutImprovement >= patience };
}
