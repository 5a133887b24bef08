/**
 * Every error that a user may meet. `code` is stable and documented; the message says what was wrong, where
 * (file, row, key), what was expected and what to do. `exitCode` follows the table of exit codes:
 * 1 a check did not hold, 2 bad input or usage, 3 numbers, 4 engine, device or package missing.
 */
export class AffectGptError extends Error {
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** Bad input or usage: a file, a row, a key, an argument. Exit code 2. */
export class InputError extends AffectGptError {
  /** The single faults that the message tells of; the error itself where it is one. */
  readonly faults: readonly InputError[];

  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly faults?: readonly InputError[] },
  ) {
    super(code, message, 2, options);
    this.faults = options?.faults ?? [this];
  }
}

/** NaN or infinity where a number was due. Exit code 3. */
export class NumericError extends AffectGptError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, 3, options);
  }
}

/** An engine, device or package is missing or cannot do what was asked. Exit code 4. */
export class EngineError extends AffectGptError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, 4, options);
  }
}

/** A check did not hold (parity, export, benchmark goal). Exit code 1. */
export class CheckError extends AffectGptError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, 1, options);
  }
}

/**
 * The first few of a list, for a message: `a, b and 3 more`.
 * @param separator where it is no comma, it stands before the rest too: `a; b; and 3 more`
 */
export function firstOf(items: readonly string[], most: number, separator = ', '): string {
  const rest = items.length - most;
  const shown = items.slice(0, most).join(separator);
  return rest > 0 ? `${shown}${separator === ', ' ? ' ' : separator}and ${rest} more` : shown;
}

/**
 * What is thrown for several faults that were found: the one that there is, or one `NOT_READY` with the messages of all. What
 * is no fault of the user's comes first, as it is.
 *
 * @param errors at least one
 */
export function asOneError(errors: readonly unknown[]): unknown {
  const foreign = errors.find((error) => !(error instanceof InputError));
  if (foreign !== undefined) return foreign;
  const known = errors as readonly InputError[];
  if (known.length === 1) return known[0];
  const faults = known.flatMap((error) => error.faults);
  return new InputError('NOT_READY', known.map(({ message }) => message).join('\n'), { faults });
}

/**
 * As `Promise.all`, but waits for all and tells everything that went wrong.
 * @throws what `asOneError` makes of it
 */
export async function allOrFaults<Values extends readonly unknown[]>(
  values: readonly [...Values],
): Promise<{ -readonly [Index in keyof Values]: Awaited<Values[Index]> }> {
  const settled = await Promise.allSettled(values);
  const faults = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  if (faults.length > 0) throw asOneError(faults);
  return Promise.all(values);
}
