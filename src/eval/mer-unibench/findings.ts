import { firstOf } from '../../errors.ts';

/** What input may be like without being refused. */
export type FindingKind =
  /** The same name several times, with the same content; counted once. */
  | 'duplicate'
  /** An answer without a word; scored as an empty one. */
  | 'empty'
  /** A missing value (NaN, null, None) where an answer or a label was due. */
  | 'nan'
  /** A row that is no sample; passed over. */
  | 'unreadable'
  /** A sample that one file of a checkpoint has and another has not. */
  | 'incomplete'
  /** A file beside the predictions that is none. */
  | 'other-file'
  /** A prediction about a sample without a label; left out. */
  | 'unknown'
  /** A labelled sample without prediction; scored as an empty one. */
  | 'missing'
  /** A label file with more or fewer samples than the set has. */
  | 'count';

/** Something about the input that the reader of a score should know. */
export interface InputFinding {
  readonly kind: FindingKind;
  readonly file: string;
  readonly count: number;
  /** Names, rows or files that it is about, all of them; empty for `count`. */
  readonly of: readonly string[];
  /** The same in words. */
  readonly message: string;
}

const examplesShown = 5;

/** A finding about `of`, in words: `what` and the first few of them. */
export function finding(kind: FindingKind, file: string, of: readonly string[], what: string): InputFinding {
  const shown = firstOf(of, examplesShown);
  return { kind, file, count: of.length, of, message: `${file}: ${what} (${of.length}): ${shown}.` };
}

/** Gathers what findings are about while a file is read. */
export class FindingCollector {
  readonly #file: string;
  readonly #found = new Map<string, { kind: FindingKind; what: string; of: string[] }>();

  constructor(file: string) {
    this.#file = file;
  }

  /** @param what one phrase for all that are alike */
  add(kind: FindingKind, what: string, of: string): void {
    const key = `${kind} ${what}`;
    const found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, { kind, what, of: [of] });
    else found.of.push(of);
  }

  get findings(): InputFinding[] {
    return Array.from(this.#found.values(), ({ kind, what, of }) => finding(kind, this.#file, of, what));
  }
}
