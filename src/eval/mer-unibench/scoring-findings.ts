import { firstOf } from '../../errors.ts';
import type { InputFinding } from './findings.ts';
import type { GroupingOptions } from './metrics/groups.ts';
import type { LabelSample } from './samples.ts';
import { unmappedWords } from './unmapped.ts';
import { normalizeWord } from './words.ts';

/** What came up while answers were scored. */
export type ScoringFindingKind =
  /** Words of labels that a wheel does not know: left out on it under `paper`, groups of their own under `strict`. */
  | 'unmapped-labels'
  /** The same of predictions: dropped under `paper`, groups of their own under `strict`. */
  | 'unmapped-predictions'
  /** Answers in which nothing was looked for or nothing is stored; scored as empty ones. */
  | 'not-extracted'
  /** Answers about which the reply of the extracting model was cut; scored as far as it goes. */
  | 'cut-replies'
  /** Answers in which no word was found; scored as empty ones. */
  | 'no-words'
  /** Answers that are no sentiment: negative under `paper`, wrong under `strict`. */
  | 'no-sentiment'
  /** Replies about groups of the set level in which no word of the question is; each word stands alone. */
  | 'groups-unreadable'
  /** Replies about groups of the set level that leave out words of the question; these stand alone. */
  | 'groups-incomplete'
  /** Replies about groups of the set level that were cut; read as far as they go. */
  | 'groups-cut'
  /** Samples with the valence 0, which `paper` leaves out. */
  | 'neutral-left-out'
  /** No checkpoint has a score. */
  | 'no-score';

/** Something that the reader of a score should know, with counts. */
export interface Finding extends Omit<InputFinding, 'kind'> {
  readonly kind: InputFinding['kind'] | ScoringFindingKind;
}

const examplesShown = 5;

/** @param what one phrase; the first few of `of` follow it */
export function scoringFinding(
  kind: ScoringFindingKind,
  file: string,
  of: readonly string[],
  what: string,
  count = of.length,
): Finding {
  const shown = firstOf(of, examplesShown);
  return {
    kind,
    file,
    count,
    of,
    message: `${file}: ${what} (${count})${shown === '' ? '' : `: ${shown}`}.`,
  };
}

/** Words that some wheel does not know; `count` is the number of samples in which such a word stands. */
export function unmappedFindings(
  file: string,
  samples: readonly LabelSample[],
  side: 'labels' | 'predicted',
  options: GroupingOptions,
): Finding[] {
  const words = unmappedWords(samples, side, options);
  if (words.length === 0) return [];
  const unmapped = new Set(words.map(({ word }) => word));
  const isUnmapped = (word: string) => unmapped.has(normalizeWord(word));
  const affected = samples.filter((sample) => sample[side].some(isUnmapped)).length;
  const what = side === 'labels' ? 'samples labelled' : 'samples answered';
  const done =
    options.protocol === 'strict'
      ? 'they are groups of their own there'
      : side === 'labels'
        ? 'they are left out there'
        : 'they are dropped there';
  return [
    scoringFinding(
      ...[side === 'labels' ? ('unmapped-labels' as const) : ('unmapped-predictions' as const), file],
      words.map(({ word, samples: times, wheels }) => {
        const where = wheels.length === 5 ? 'no wheel' : `not wheel ${wheels.join(', ')}`;
        return `${word} (${times}; ${where})`;
      }),
      `${what} with words that some wheel does not know; ${done}`,
      affected,
    ),
  ];
}
