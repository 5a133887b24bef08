import { usageError } from './errors.ts';

/** @throws InputError `USAGE` where the value that was given, if any, is no whole number from `least` on */
export function checkWhole(option: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
  throw usageError(`--${option} is ${value}; expected is a whole number from ${least}.`);
}

/** @throws InputError `USAGE` where the value that was given, if any, is no number from 0 on */
export function checkTemperature(option: string, value: number | undefined): void {
  if (value === undefined || (Number.isFinite(value) && value >= 0)) return;
  throw usageError(`--${option} is ${value}; expected is a number from 0.`);
}

/** @throws InputError `USAGE` where one of the values of an option is given again */
export function checkNamedOnce(option: string, values: readonly string[] = []): void {
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) throw usageError(`--${option} ${twice} is given more than once.`);
}
