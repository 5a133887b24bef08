import type { ValidationMetric } from '../../src/config/validation.ts';
import type { State } from '../../src/engine/types.ts';

/** What the model answered about a sample, and what it was to answer. */
export interface ValidationAnswer {
  readonly name: string;
  readonly question: string;
  readonly text: string;
  readonly finish: 'stop' | 'length';
  readonly expected: string;
}

/** What one validation found. */
export interface ValidationResult {
  /** Mean over the supervised tokens of all samples, nothing dropped. */
  readonly loss: number;
  readonly samples: number;
  readonly supervisedTokens: number;
  /** Of the answers, by name; fractions. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly answers: readonly ValidationAnswer[];
}

/** Measures the model as it is on samples that it does not learn from: a function of the trained tensors alone. */
export interface Validator {
  /**
   * Stands for everything but the trained tensors that decides the results, such as samples and questions: only
   * validations of the same set are compared with each other.
   */
  readonly set: string;
  /**
   * @param state of the training; it is only read
   * @param isStopped asked again and again; where it says so the validation is given up
   * @returns undefined where it was given up
   */
  validate(state: State, isStopped: () => boolean): Promise<ValidationResult | undefined>;
}

/** When a training is validated and what is made of it. */
export interface ValidationPolicy {
  /** Optimizer steps between validations. */
  readonly every: number;
  readonly metric: ValidationMetric;
  /** Validations without improvement after which the training stops; null never stops it. */
  readonly patience: number | null;
  /** An improvement is more than this. */
  readonly minDelta: number;
}

/** The best validation of a run. */
export interface BestValidation {
  readonly step: number;
  readonly metric: ValidationMetric;
  readonly value: number;
  /** Its folder; null where it is not on disk. */
  readonly checkpoint: string | null;
}
