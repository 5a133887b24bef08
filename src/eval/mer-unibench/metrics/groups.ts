import type { Grouping } from '../grouping.ts';
import { openGrouping } from '../grouping.ts';
import type { LabelSample } from '../samples.ts';
import { inOrder } from '../samples.ts';
import type { WheelLevel, WheelNumber, WheelTable } from '../tables.ts';
import { normalizeWord } from '../words.ts';
import type { Protocol } from './result.ts';

export interface GroupingOptions {
  readonly protocol: Protocol;
  /** Default: `published` under `paper`, `corrected` under `strict`. */
  readonly wheelTable?: WheelTable;
}

/** Which of the twelve groupings: word forms alone, with synonyms, or the groups of a wheel. */
export type Step = 'case1' | 'case2' | { readonly wheel: WheelNumber; readonly level: WheelLevel };

/** The different groups of one sample. */
export interface GroupedSample {
  /** Whether the tables know one of its labels. */
  readonly mapped: boolean;
  readonly labels: readonly string[];
  readonly predicted: readonly string[];
}

export const wheelTableOf = ({ protocol, wheelTable }: GroupingOptions): WheelTable =>
  wheelTable ?? (protocol === 'paper' ? 'published' : 'corrected');

/** Forms of the one label that no table holds. */
const neutralForms = new Set(['neutral', 'neutrality', 'neutrally']);

/**
 * Words as the tables hold them, each once a sample; `neutral` where a sample has no label.
 *
 * @throws InputError of `inOrder`
 */
export function normalizeSamples(samples: readonly LabelSample[]): LabelSample[] {
  const seen = new Map<string, string>();
  const normalized = (raw: string): string => {
    let word = seen.get(raw);
    if (word === undefined) {
      word = normalizeWord(raw);
      seen.set(raw, word);
    }
    return word;
  };
  const words = (list: readonly string[]) =>
    distinct(list, (raw) => (normalized(raw) === '' ? undefined : normalized(raw)));
  return inOrder(samples).map(({ name, labels, predicted }) => {
    const truth = words(labels);
    return { name, labels: truth.length === 0 ? ['neutral'] : truth, predicted: words(predicted) };
  });
}

/**
 * Groups the words of samples that `normalizeSamples` gave. Words that the tables do not know are dropped under `paper`;
 * under `strict` each is a group of its own, together with the other forms of the same word where these are known.
 */
export function groupSamples(
  samples: readonly LabelSample[],
  step: Step,
  options: GroupingOptions,
): GroupedSample[] {
  const grouping = openGrouping(wheelTableOf(options));
  const known = groupOf(grouping, step);
  const anyway = (word: string): string =>
    known(word) ?? grouping.baseWord(word) ?? (neutralForms.has(word) ? 'neutral' : word);
  const group = options.protocol === 'paper' ? known : anyway;
  return samples.map(({ labels, predicted }) => ({
    mapped: labels.some((word) => known(word) !== undefined),
    labels: distinct(labels, group),
    predicted: distinct(predicted, group),
  }));
}

function groupOf(grouping: Grouping, step: Step): (word: string) => string | undefined {
  if (step === 'case1') return (word) => grouping.baseWord(word);
  if (step === 'case2') return (word) => grouping.synonym(word);
  const centres = grouping.centres(step.wheel, step.level);
  return (word) => centres.get(word);
}

/** In the order of the words. */
function distinct(words: readonly string[], group: (word: string) => string | undefined): string[] {
  const groups: string[] = [];
  for (const word of words) {
    const of = group(word);
    if (of !== undefined && !groups.includes(of)) groups.push(of);
  }
  return groups;
}

/** How many groups are in both. */
export function overlap(a: readonly string[], b: readonly string[]): number {
  return a.reduce((count, group) => count + (b.includes(group) ? 1 : 0), 0);
}
