import { usageError } from './errors.ts';

export const defaultResamples = 1000;
/** Of fewer, an interval of 95 % would be two or three draws at each end. */
export const fewestResamples = 100;

/** @throws InputError `USAGE` */
export function checkResamples(resamples: number): void {
  if (Number.isSafeInteger(resamples) && resamples >= fewestResamples) return;
  throw usageError(
    `--resamples is ${resamples}; expected is a whole number from ${fewestResamples}: of fewer draws an interval of 95 % says nothing.`,
  );
}
