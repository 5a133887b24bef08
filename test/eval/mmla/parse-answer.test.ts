import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mmlaTask, mmlaTasks } from '../../../src/data/mmla/tasks.ts';
import { parseMmlaAnswer } from '../../../src/eval/mmla/parse-answer.ts';

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../fixtures/mmla-python/${name}`, import.meta.url), 'utf8'));

/** Answers of the specification's conformance table, run through the published regular expression. */
const table: readonly (readonly [task: string, text: string, result: string])[] = [
  ['MELD', 'emotion: joy', 'joy'],
  ['MELD', 'Emotion: [Joy]', 'joy'],
  ['MELD', 'joyful', 'unknown'],
  ['MELD', 'The emotion is surprised.', 'unknown'],
  ['MELD', '', 'unknown'],
  ['MELD', "I'm sorry, but I cannot judge people.", 'unknown'],
  ['MELD', 'emotion: neutral. There is no anger here.', 'multi'],
  ['MELD-DA', 'dialogue act: statement-non-opinion', 'statement-non-opinion'],
  ['MELD-DA', 'dialogue act: statement-opinion', 'statement-opinion'],
  ['MELD-DA', 'dialogue_act: disagreement', 'disagreement'],
  ['MELD-DA', 'Answer: question', 'multi'],
  ['IEMOCAP', 'emotion: sadness', 'unknown'],
  ['IEMOCAP', 'emotion: frustrated/angry', 'multi'],
  ['MIntRec', 'intent: apologize', 'unknown'],
  ['MIntRec', 'intent: asking for help', 'unknown'],
  ['MIntRec', 'intent: Ask for help', 'ask for help'],
  ['MIntRec2.0', 'intent: ask for opinions', 'unknown'],
  ['MIntRec2.0', 'intent: asking for opinions', 'asking for opinions'],
  ['AnnoMi-therapist', 'communication behavior: therapist input', 'unknown'],
  ['AnnoMi-therapist', 'communication behavior: input', 'unknown'],
  ['AnnoMi-therapist', 'communication behavior: therapist_input', 'therapist_input'],
  ['AnnoMi-therapist', 'The speaker, not the other person, asks a question', 'multi'],
  ['Ch-sims', '情感：积极', 'unknown'],
  ['UR-FUNNY', 'speaking style: humor', 'unknown'],
  ['MOSI', 'sentiment: positive, not negative', 'multi'],
  ['MOSI', 'non-negative', 'negative'],
  ['MOSI', 'very_positive', 'unknown'],
];

describe('an answer is parsed as by the published evaluation', () => {
  it.each(table)('%s: "%s" is %s', (task, text, result) => {
    expect(parseMmlaAnswer(mmlaTask(task), text)).toBe(result);
  });

  it('takes every label of every task for itself, alone and in the form that prompts ask for', () => {
    for (const task of mmlaTasks) {
      for (const label of task.labels) {
        for (const text of [label, label.toUpperCase(), `${task.dimension}: ${label}`, `[${label}].`]) {
          expect(parseMmlaAnswer(task, text), `${task.key}: ${text}`).toBe(label);
        }
      }
    }
  });

  it.each([
    ['a label beside a letter of any script is none', '情感positive', 'unknown'],
    ['beside punctuation of any script it is one', '情感：positive。', 'positive'],
    ['beside a letter of two halves', '𝒳positive positive𠀀', 'unknown'],
    ['beside a sign of two halves', '😀positive😀', 'positive'],
    ['beside half a letter', '\udcb3positive\ud835', 'positive'],
    ['beside a combining mark, which is no word character', 'positive\u0301', 'positive'],
    ['a later one counts where the first is part of a word', 'apositive, positive', 'positive'],
    ['the same label twice is one', 'positive, Positive', 'positive'],
    ['a dotted capital I becomes a letter and a mark', 'POSİTİVE', 'unknown'],
    ['of which the mark is no word character', 'İpositive', 'positive'],
    ['line breaks and spaces of any kind', '\u00a0\npositive\u2003', 'positive'],
  ])('%s', (_, text, result) => {
    expect(parseMmlaAnswer(mmlaTask('MOSI'), text)).toBe(result);
  });

  it('finds labels that lie in one another', () => {
    const labels = ['ask', 'ask for help', 'help me'];
    expect(parseMmlaAnswer({ labels }, 'ask for help')).toBe('multi');
    expect(parseMmlaAnswer({ labels }, 'asks for help me')).toBe('help me');
  });

  it('takes the signs of a label as they are', () => {
    expect(parseMmlaAnswer({ labels: ['a.b', 'c'] }, 'a-b')).toBe('unknown');
  });

  it('takes made-up answers as Python does', () => {
    const { answers } = fixture('python-answers.json') as { answers: [string, string, string][] };
    const wrong = answers.filter(([task, text, result]) => parseMmlaAnswer(mmlaTask(task), text) !== result);
    expect(wrong).toEqual([]);
    expect(new Set(answers.map(([task]) => task)).size).toBe(12);
  });
});

describe('characters of a word', () => {
  const { unassigned, words, lowersToAscii } = fixture('python-unicode.json') as {
    /** First and last of each run of characters that the Unicode of that Python does not know, one after the other. */
    unassigned: number[];
    /** First and last of each run of characters that `\w` matches. */
    words: [number, number][];
    lowersToAscii: Record<string, string>;
  };
  const fill = (runs: readonly (readonly [number, number])[]) => {
    const marked = new Uint8Array(0x110000);
    for (const [first, last] of runs) marked.fill(1, first, last + 1);
    return marked;
  };
  const unknown = fill(
    Array.from({ length: unassigned.length / 2 }, (_, i) => [unassigned[2 * i]!, unassigned[2 * i + 1]!]),
  );

  it('are those of Python, before and after a label, over all of Unicode', () => {
    const isWord = fill(words);
    const task = { labels: ['x'] };
    const wrong: string[] = [];
    for (let code = 0; code < 0x110000; code++) {
      // What this Python did not know yet, a newer one knows as this Node does. The label itself would be one more, and
      // a dotted capital I ends in a mark in lower case.
      if (unknown[code] === 1 || [0x58, 0x78, 0x130].includes(code)) continue;
      const sign = String.fromCodePoint(code);
      const expected = isWord[code] === 1 ? 'unknown' : 'x';
      if (parseMmlaAnswer(task, `${sign}x`) !== expected || parseMmlaAnswer(task, `x${sign}`) !== expected) {
        wrong.push(code.toString(16));
      }
    }
    expect(wrong).toEqual([]);
  });

  it('that become ASCII in lower case are those of Python', () => {
    const found: Record<string, string> = {};
    for (let code = 0x80; code < 0x110000; code++) {
      const lower = String.fromCodePoint(code).toLowerCase();
      if (/[\0-\x7f]/.test(lower)) found[code.toString(16)] = lower;
    }
    expect(found).toEqual(lowersToAscii);
  });
});
