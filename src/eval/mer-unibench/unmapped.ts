import { openGrouping } from './grouping.ts';
import { type GroupingOptions, wheelTableOf } from './metrics/groups.ts';
import type { LabelSample } from './samples.ts';
import type { WheelNumber } from './tables.ts';
import { WHEELS } from './tables.ts';
import { compareCodePoints, normalizeWord } from './words.ts';

export interface UnmappedWord {
  readonly word: string;
  /** In how many samples it stands. */
  readonly samples: number;
  /** Wheels that do not know it. */
  readonly wheels: readonly WheelNumber[];
}

/** Words that at least one wheel does not know, the most frequent first. */
export function unmappedWords(
  samples: readonly LabelSample[],
  side: 'labels' | 'predicted',
  options: GroupingOptions,
): UnmappedWord[] {
  const counts = new Map<string, number>();
  for (const sample of samples) {
    for (const word of new Set(sample[side].map(normalizeWord))) {
      if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  const grouping = openGrouping(wheelTableOf(options));
  return Array.from(counts, ([word, count]) => ({
    word,
    samples: count,
    wheels: WHEELS.filter((wheel) => grouping.centre(word, wheel, 1) === undefined),
  }))
    .filter(({ wheels }) => wheels.length > 0)
    .sort((a, b) => b.samples - a.samples || compareCodePoints(a.word, b.word));
}
