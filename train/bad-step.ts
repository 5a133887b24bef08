import { firstOf, NumericError } from '../src/errors.ts';
import type { StepFault, StepResult } from './step-result.ts';

/** What a training does about NaN and infinity. */
export interface BadNumbersPolicy {
  readonly action: 'stop' | 'skip';
  /** Most steps of the whole run that are skipped. */
  readonly limit: number;
}

export const defaultBadNumbersPolicy: BadNumbersPolicy = { action: 'stop', limit: 10 };

/** Sample names in one message. */
const namesShown = 32;

export const listNames = (names: readonly string[]): string => firstOf(names, namesShown);

/** What is wrong, for a sentence. */
export function describeFault({ tensor, value }: StepFault): string {
  if (tensor === 'loss') return `the loss is ${value}`;
  if (Number.isNaN(value)) return `the ${tensor} holds NaN`;
  return `the ${tensor} holds infinity or overflows when squared`;
}

/** A step with NaN or infinity, as far as it is told. */
export interface BadStep extends StepResult {
  readonly fault: StepFault;
  readonly step: number;
  readonly epoch: number;
  readonly names: readonly string[];
  /** The first trained tensor that was not finite before the step. */
  readonly badParameter: string | undefined;
  /** Where the batch was written, or why it was not; undefined without a run folder. */
  readonly dump: string | undefined;
  /** Steps of the run that were skipped before this one. */
  readonly skipped: number;
}

/**
 * What is said of a step that is skipped.
 *
 * @throws NumericError `LOSS_NOT_FINITE` or `GRADIENT_NOT_FINITE` where the run has to stop: it is to, its limit is
 *   reached, or a weight was not finite before the step, so that none after it can be
 */
export function skipOrStop(bad: BadStep, { action, limit }: BadNumbersPolicy): string {
  const { step, epoch, names, fault, badParameter, dump, skipped } = bad;
  const parts = [
    `Step ${step}: ${describeFault(fault)}.`,
    ...(badParameter === undefined ? [] : [`Before the step ${badParameter} was not finite already.`]),
    `Epoch ${epoch}, samples of this step: ${listNames(names)}.`,
    ...(dump === undefined ? [] : [dump]),
  ];
  if (action === 'skip' && skipped < limit && badParameter === undefined) {
    const count = `${skipped + 1} of at most ${limit}`;
    return `${parts.join(' ')} Skipped (${count}): weights and optimizer stay as they were.`;
  }
  if (action === 'skip' && skipped >= limit) {
    parts.push(`${skipped} steps were skipped before, as many as train.onBadNumbers.limit allows.`);
  }
  throw new NumericError(
    fault.tensor === 'loss' ? 'LOSS_NOT_FINITE' : 'GRADIENT_NOT_FINITE',
    `${parts.join(' ')} Nothing after the last checkpoint is saved. Look at these samples; a lower learning rate ` +
      '(train.optimizer.lr) or gradient clipping (train.clipNorm) may help, and train.onBadNumbers.action: skip passes over single steps.',
  );
}
