import { CheckError } from '../../src/errors.ts';

/** One way to break the program, as a slip of a few characters might. */
export interface Mutant {
  readonly name: string;
  /** What no longer holds. */
  readonly breaks: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Text of the file, occurring exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Test files that have to notice, run one after the other in this order. */
  readonly tests: readonly string[];
}

/**
 * The text of a file with the mutant in it.
 * @throws CheckError `MUTANT_DOES_NOT_APPLY` where the text to be replaced is not there, or more than once
 */
export function applyMutant({ name, file, find, replace }: Mutant, text: string): string {
  const places = text.split(find).length - 1;
  if (places !== 1 || find === replace) {
    throw new CheckError(
      'MUTANT_DOES_NOT_APPLY',
      `The mutant does not apply: "${name}" replaces a text that has to occur exactly once in ${file}, and it occurs ${places} times. Bring test/mutants/list up to date with the code.`,
    );
  }
  return text.replace(find, () => replace);
}
