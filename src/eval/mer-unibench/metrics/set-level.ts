import type { SampleCounts } from '../../bootstrap.ts';
import type { Grouping } from '../grouping.ts';
import type { LabelSample } from '../samples.ts';
import { inOrder } from '../samples.ts';
import type { WheelLevel, WheelNumber } from '../tables.ts';
import { normalizeWord } from '../words.ts';
import { overlap } from './groups.ts';

/**
 * Sorts the labels and predictions of one sample, each word once, into groups of the same meaning. A word that is in no
 * group stands alone; the last group counts where a word is in several.
 */
export type SetGrouper = (words: readonly string[], name: string) => readonly (readonly string[])[];

export interface SetLevelResult {
  readonly n: number;
  /** Samples with labels; the published code ends with an error at one without. */
  readonly nScored: number;
  /** Accuracy_s: how much of what was predicted is right. */
  readonly accuracy: number;
  /** Recall_s: how much of what is right was predicted. */
  readonly recall: number;
  /** Their mean, the main score. */
  readonly average: number;
  readonly perSample: readonly {
    readonly name: string;
    readonly accuracy: number | null;
    readonly recall: number | null;
  }[];
  /** `average` of the sample drawn anew. */
  scoreOf(counts: SampleCounts): number;
}

/**
 * The set-level metric of the 2024 papers (OV-MER, MER2024 track 3): with G and P the sets of groups of labels and
 * predictions, Accuracy_s is the mean of |G∩P| / |P|, Recall_s that of |G∩P| / |G|, both 0 where nothing was predicted.
 * The papers let a language model group the words of each sample (`groupingPrompt`, `parseGroups`).
 *
 * @throws InputError of `inOrder`
 */
export function scoreSetLevel(samples: readonly LabelSample[], group: SetGrouper): SetLevelResult {
  const perSample = inOrder(samples).map(({ name, labels, predicted }) => {
    const truth = setWords(labels);
    const answer = setWords(predicted);
    if (truth.length === 0) return { name, accuracy: null, recall: null };
    const head = new Map<string, string>();
    for (const one of group([...new Set([...truth, ...answer])], name)) {
      for (const word of one) head.set(word, one[0]!);
    }
    const groups = (list: readonly string[]) => [...new Set(list.map((word) => head.get(word) ?? word))];
    const [truthGroups, answerGroups] = [groups(truth), groups(answer)];
    const common = overlap(truthGroups, answerGroups);
    return {
      name,
      accuracy: answerGroups.length === 0 ? 0 : common / answerGroups.length,
      recall: common / truthGroups.length,
    };
  });
  const counted = perSample.flatMap(({ accuracy, recall }, i) =>
    accuracy === null || recall === null ? [] : [{ accuracy, recall, i }],
  );
  const meanOf = (key: 'accuracy' | 'recall', counts?: SampleCounts) => {
    let [sum, drawn] = [0, 0];
    for (const sample of counted) {
      const count = counts?.[sample.i] ?? 1;
      sum += count * sample[key];
      drawn += count;
    }
    return sum / drawn;
  };
  const average = (counts?: SampleCounts) => (meanOf('accuracy', counts) + meanOf('recall', counts)) / 2;
  return {
    n: perSample.length,
    nScored: counted.length,
    ...{ accuracy: meanOf('accuracy'), recall: meanOf('recall'), average: average() },
    perSample,
    scoreOf: average,
  };
}

/** Groups words by their centres on a wheel; words that the wheel does not know stand alone. */
export function wheelGrouper(grouping: Grouping, wheel: WheelNumber, level: WheelLevel): SetGrouper {
  return (list) => {
    const groups = new Map<string, string[]>();
    for (const word of list) {
      const centre = grouping.centre(word, wheel, level);
      if (centre === undefined) continue;
      const group = groups.get(centre);
      if (group === undefined) groups.set(centre, [word]);
      else group.push(word);
    }
    return [...groups.values()];
  };
}

/** The words of one side of a sample: lower case, each once. */
export const setWords = (list: readonly string[]): string[] => [
  ...new Set(list.map(normalizeWord).filter((word) => word !== '')),
];
