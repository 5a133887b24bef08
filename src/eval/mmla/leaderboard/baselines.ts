import { type PaperTaskKey, paperTasks } from '../../../data/mmla/tasks.ts';
import { textFloors } from './published/floors.ts';
import type { LeaderboardRow, TaskCell } from './row.ts';

/** Numbers of test samples by label, most frequent first, in the released test files. */
export const testLabelCounts: Readonly<Record<PaperTaskKey, Readonly<Record<string, number>>>> = {
  MIntRec: {
    ...{ inform: 57, complain: 57, praise: 43, apologise: 27, advise: 25, thank: 25, criticize: 23 },
    ...{ arrange: 22, introduce: 21, care: 19, comfort: 18, leave: 17, prevent: 15, taunt: 12, greet: 12 },
    ...{ agree: 12, joke: 10, oppose: 10, 'ask for help': 10, flaunt: 10 },
  },
  'MIntRec2.0': {
    ...{ inform: 217, explain: 193, doubt: 135, oppose: 117, praise: 113, complain: 107, advise: 97 },
    ...{ confirm: 93, acknowledge: 68, greet: 66, apologise: 65, agree: 64, introduce: 60, thank: 58 },
    ...{ taunt: 58, leave: 53, arrange: 51, comfort: 49, 'asking for opinions': 48, criticize: 47 },
    ...{ care: 47, plan: 38, 'ask for help': 37, prevent: 31, joke: 29, flaunt: 22, warn: 19 },
    ...{ emphasize: 17, invite: 17, refuse: 17 },
  },
  MELD: { neutral: 1256, joy: 402, anger: 345, surprise: 281, sadness: 208, disgust: 68, fear: 50 },
  IEMOCAP: { neutral: 384, frustrated: 381, excited: 299, sad: 245, angry: 170, happy: 143 },
  'MELD-DA': {
    ...{ 'statement-non-opinion': 599, question: 408, answer: 257, 'statement-opinion': 219, others: 123 },
    ...{ greeting: 97, agreement: 89, disagreement: 58, command: 57, apology: 36, backchannel: 34 },
    acknowledge: 21,
  },
  'IEMOCAP-DA': {
    ...{ 'statement-non-opinion': 434, 'statement-opinion': 415, question: 389, answer: 287 },
    ...{ agreement: 101, disagreement: 75, command: 70, backchannel: 61, apology: 15, others: 14 },
    ...{ greeting: 12, acknowledge: 11 },
  },
  MOSI: { negative: 347, positive: 339 },
  'Ch-sims': { negative: 487, positive: 422, neutral: 122 },
  'UR-FUNNY': { serious: 504, humorous: 490 },
  MUStARD: { sincere: 69, sarcastic: 69 },
  'AnnoMi-client': { neutral: 646, change: 324, sustain: 159 },
  'AnnoMi-therapist': { other: 385, reflection: 293, question: 263, therapist_input: 199 },
};

/**
 * What always giving the most frequent test label of a task comes to: with K labels of which one is always given, macro
 * recall is 1 / K and precision of the others 0.
 */
function majorityCell(key: PaperTaskKey): TaskCell {
  const counts = Object.values(testLabelCounts[key]);
  const samples = counts.reduce((sum, count) => sum + count, 0);
  const share = Math.max(...counts) / samples;
  const f1 = (2 * share) / (1 + share);
  const [P, R, F1] = [share, 1, f1].map((value) => (100 * value) / counts.length) as [number, number, number];
  return {
    metrics: { ACC: 100 * share, WF1: 100 * share * f1, WP: 100 * share * share, F1, R, P },
    samples,
  };
}

/** What is reached without a language model: every model should be above these. */
export const floorRows: readonly LeaderboardRow[] = [
  {
    ...{ model: 'majority label', parameters: null, modality: null, method: 'floor', vintage: 'floor' },
    source: 'computed from the label counts of the released test files',
    notes: ['The most frequent test label of each task, always.'],
    cells: Object.fromEntries(paperTasks.map(({ key }) => [key, majorityCell(key)])),
  },
  {
    ...{ model: 'TF-IDF + logistic regression', parameters: null, modality: 'text' },
    ...{ method: 'floor', vintage: 'floor' },
    source:
      'measured on the released files: words 1-2 and characters 1-4, C = 4, trained on the train split, no choice on dev',
    notes: ['MIntRec2.0 and UR-FUNNY are left out: they were not measured, for want of their train splits.'],
    cells: Object.fromEntries(
      paperTasks.flatMap(({ key, counts }) => {
        const [ACC, WF1, F1] = textFloors[key] ?? [];
        if (ACC == null || WF1 == null || F1 == null) return [];
        return [[key, { metrics: { ACC, WF1, F1 }, samples: counts.test }] as [string, TaskCell]];
      }),
    ),
  },
];
