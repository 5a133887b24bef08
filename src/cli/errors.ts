import { AffectGptError, InputError } from '../errors.ts';

/** Exit code of an exception that is nobody's expected error: a fault of the program itself. */
const UNEXPECTED = 1;

/** How a command ended that threw. */
export interface Failure {
  /** For standard error: one paragraph, and the stack trace where asked for. Ends with a line break. */
  readonly text: string;
  readonly exitCode: number;
}

/**
 * Turns whatever was thrown into what the user reads and the process returns. Expected errors carry their own exit
 * code; anything else is called a bug and exits with 1.
 */
export function describeFailure(thrown: unknown, verbose: boolean): Failure {
  if (thrown instanceof AffectGptError) {
    const trace = verbose ? `${traceOf(thrown)}\n` : '';
    return { text: `error[${thrown.code}]: ${thrown.message}\n${trace}`, exitCode: thrown.exitCode };
  }
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  const advice = verbose
    ? 'please report it with the trace below'
    : 'please report it with the output of the same command and --verbose';
  const trace = verbose && thrown instanceof Error ? `${traceOf(thrown)}\n` : '';
  return { text: `error[UNEXPECTED]: ${message} (this is a bug: ${advice})\n${trace}`, exitCode: UNEXPECTED };
}

/** The stack of an error and of what caused it, without repeating the message. */
function traceOf(error: Error): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  const cause =
    error.cause instanceof Error
      ? `\ncaused by ${error.cause.name}: ${error.cause.message}\n${traceOf(error.cause)}`
      : '';
  return `${frames.join('\n')}${cause}`;
}

/** A wrong command line. Exit code 2. */
export function usageError(message: string): InputError {
  return new InputError(
    'USAGE',
    `${message.trim().replaceAll(/\s*\n\s*/g, ' ')} (affectgpt --help lists what there is)`,
  );
}
