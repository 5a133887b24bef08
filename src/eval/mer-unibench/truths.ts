import { firstOf, InputError } from '../../errors.ts';
import type { BenchmarkDataset } from './datasets.ts';

/** An entry of a published label file. */
export interface CorpusEntry {
  readonly emo?: unknown;
  readonly val?: unknown;
}

/** What samples are labelled with: emotion words, or the strength of a sentiment (NaN where the file has none). */
export type Truths =
  | { readonly kind: 'labels'; readonly of: ReadonlyMap<string, readonly string[]> }
  | { readonly kind: 'sentiment'; readonly of: ReadonlyMap<string, number> };

const faultsShown = 20;

/**
 * Takes the test split of a set from the corpus of its published label file.
 *
 * @param entries name and entry, of one corpus
 * @param origin the file, for messages
 * @throws InputError `LABELS_INVALID` (all entries that are no label of this set)
 */
export function truthsOfCorpus(
  dataset: BenchmarkDataset,
  entries: Iterable<readonly [string, CorpusEntry]>,
  origin: string,
): Truths {
  const { labels: source, isTest = () => true, title } = dataset;
  const test = [...entries].filter(([name]) => isTest(name));
  const faults: string[] = [];
  if (source.kind === 'sentiment') {
    const values = test.map(([name, { val }]): [string, number] => {
      if (typeof val !== 'number') faults.push(`"${name}" has the val ${String(val)}, which is no number`);
      return [name, Number(val)];
    });
    check(faults, title, origin);
    return { kind: 'sentiment', of: new Map(values) };
  }
  if (source.kind === 'openset') {
    throw new InputError(
      'LABELS_INVALID',
      `${origin}: labels of ${title} come as a CSV file with name and openset.`,
    );
  }
  const { emotions } = source;
  const words = test.map(([name, { emo }]): [string, string[]] => {
    const place = typeof emo === 'bigint' || typeof emo === 'number' ? Number(emo) : undefined;
    const word = typeof emo === 'string' ? emo : place === undefined ? undefined : emotions?.[place];
    if (word === undefined) {
      const expected = emotions ? `a word, or 0 to ${emotions.length - 1}` : 'a word';
      faults.push(`"${name}" has the emo ${String(emo)}; expected is ${expected}`);
    }
    return [name, [word ?? '']];
  });
  check(faults, title, origin);
  return { kind: 'labels', of: new Map(words) };
}

function check(faults: readonly string[], title: string, origin: string): void {
  if (faults.length === 0) return;
  throw new InputError(
    'LABELS_INVALID',
    `${origin} is no label file of ${title}: ${firstOf(faults, faultsShown, '; ')}.`,
  );
}
