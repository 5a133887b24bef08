import { openGrouping } from './grouping.ts';
import { WHEELS } from './tables.ts';
import { normalizeWord } from './words.ts';

export type Sentiment = 'positive' | 'negative' | 'neutral';

/** What the groups in the middle of the wheels say of a sentiment; `surprised` may be either. */
const polarities: Readonly<Record<string, number>> = {
  ...{ happy: 1, joyful: 1, joy: 1, peaceful: 1, powerful: 1, genius: 1 },
  ...{
    mad: -1,
    angry: -1,
    anger: -1,
    disgusted: -1,
    disgust: -1,
    sad: -1,
    bad: -1,
    scared: -1,
    fearful: -1,
    fear: -1,
  },
};
/** The words that name a sentiment; the wheels know two of them, as other things. */
const named: Readonly<Record<string, number>> = {
  ...{ positive: 1, positivity: 1, negative: -1, negativity: -1, neutral: 0, neutrality: 0 },
};

/**
 * The sentiment of a list of emotion words by rules alone: each word is positive or negative as most of the five wheels
 * (corrected table) have it, and the words vote. Where they are even the first word that has a sentiment decides, as models
 * name the main emotion first. A list without any such word is neutral.
 */
export function sentimentOfLabels(labels: readonly string[]): Sentiment {
  const votes = labels.map((label) => polarity(normalizeWord(label))).filter((vote) => vote !== 0);
  const sum = votes.reduce((total, vote) => total + vote, 0) || (votes[0] ?? 0);
  return sum > 0 ? 'positive' : sum < 0 ? 'negative' : 'neutral';
}

/** 1, 0 or -1. */
function polarity(word: string): number {
  if (Object.hasOwn(named, word)) return named[word]!;
  const grouping = openGrouping('corrected');
  const votes = WHEELS.map((wheel) => polarities[grouping.centre(word, wheel, 1) ?? ''] ?? 0);
  return Math.sign(votes.reduce((total, vote) => total + vote, 0));
}
