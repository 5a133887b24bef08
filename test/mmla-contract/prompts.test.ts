import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type MmlaPromptLayout,
  mmlaAnswer,
  mmlaPrompt,
  mmlaPromptPresets,
  storedAnswer,
  storedPrompt,
} from '../../src/data/mmla/prompts.ts';
import { parseStoredPrompt } from '../../src/data/mmla/stored-prompts.ts';
import { mmlaTask } from '../../src/data/mmla/tasks.ts';
import { parseMmlaAnswer } from '../../src/eval/mmla/parse-answer.ts';
import { type FixtureFile, type FixtureTask, filesOf, fixtureTasks, type Split } from './fixtures.ts';

interface Pair {
  readonly question: string;
  readonly answer: string;
}

/** Prompts and answers as a file has them, byte by byte. */
function storedPairs({ file, layout }: FixtureFile): Pair[] {
  const text = readFileSync(file, 'utf8');
  if (layout === 'swift') {
    const lines = text.trimEnd().split('\n');
    return lines.map((line) => {
      const { query, response } = JSON.parse(line) as { query: string; response: string };
      return { question: query, answer: response };
    });
  }
  const values = JSON.parse(text) as { conversations: { value: string }[] }[];
  return values.map(({ conversations }) => ({
    question: conversations[0]!.value,
    answer: conversations[1]!.value,
  }));
}

const layouts: Readonly<Record<MmlaPromptLayout, (file: FixtureFile) => boolean>> = {
  llamafactory: ({ layout, file }) => layout === 'llama-factory' && !file.includes('_text_'),
  'llamafactory-text': ({ layout, file }) => layout === 'llama-factory' && file.includes('_text_'),
  llava: ({ layout }) => layout === 'llava',
  videollama2: ({ layout }) => layout === 'videollama2',
  swift: ({ layout }) => layout === 'swift',
};

const filesLike = (task: FixtureTask, layout: MmlaPromptLayout) => filesOf(task).filter(layouts[layout]);
/** White space of the paper's page is that of its columns. */
const onOneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

describe.each(fixtureTasks)('$key', (fixture) => {
  const { key, taskKey, labels, rows } = fixture;
  const task = mmlaTask(key);
  const word = taskKey.replaceAll('_', ' ');
  const all = [...rows.train, ...rows.dev, ...rows.test];

  it.each(Object.keys(layouts) as MmlaPromptLayout[])(
    'is asked as the %s files ask, byte by byte',
    (layout) => {
      const files = filesLike(fixture, layout);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const kind = { layout, split: file.split as Split };
        const rendered = file.rows.map(({ text, label }) => ({
          question: storedPrompt(task, text, kind),
          answer: storedAnswer(task, label, kind),
        }));
        expect(rendered).toEqual(storedPairs(file));
      }
    },
  );

  it.each([
    ['mmla-train', 'llamafactory', '<video>'],
    ['mmla-text', 'llamafactory-text', ''],
  ] as const)('%s is what the %s files ask', (preset, layout, token) => {
    for (const file of filesLike(fixture, layout)) {
      const rendered = file.rows.map(({ text, label }) => ({
        question: token + mmlaPrompt(task, text, preset),
        answer: mmlaAnswer(task, label, preset),
      }));
      expect(rendered).toEqual(storedPairs(file));
    }
  });

  it('mmla-infer is what the inference scripts build', () => {
    for (const { text } of all) {
      expect(mmlaPrompt(task, text, 'mmla-infer')).toBe(
        `You are presented with a video in which the speaker says: ${text}. Based on the text, video, and audio content, what is the ${word} of this speaker?\nThe candidate labels for ${word} are: [${labels.join(', ')}].Respond in the format: '${word}: [label]'.  Only one label should be provided.`,
      );
    }
  });

  it('paper is the template of its appendix', () => {
    for (const { text } of all) {
      expect(onOneLine(mmlaPrompt(task, text, 'paper'))).toBe(
        onOneLine(
          `You are presented with a video in which the speaker says: ${text}. Based on the textual, visual, and audio content, what is the ${word} of this speaker? The candidate labels for ${word} are: [${labels.join(', ')}]. Respond in the following format: ${word}: label. Only one label should be provided.`,
        ),
      );
    }
  });

  it.each(mmlaPromptPresets)('%s tells words and labels, and its answers say their own label', (preset) => {
    for (const { text } of all) expect(mmlaPrompt(task, text, preset)).toContain(text);
    for (const label of labels) {
      expect(mmlaPrompt(task, 'Words', preset).toLowerCase()).toContain(label);
      expect(parseMmlaAnswer(task, mmlaAnswer(task, label, preset))).toBe(label);
    }
  });

  it('finds the words again in every prompt of the scripts and the paper', () => {
    for (const preset of ['paper', 'mmla-train', 'mmla-infer', 'mmla-text'] as const) {
      for (const { text } of all) {
        expect(parseStoredPrompt(mmlaPrompt(task, text, preset))?.text).toBe(text);
      }
    }
  });

  it('finds its own label in every stored answer', () => {
    const files = filesOf(fixture).filter((file) => Object.values(layouts).some((isLike) => isLike(file)));
    for (const file of files) {
      const found = storedPairs(file).map(({ answer }) => parseMmlaAnswer(task, answer));
      expect(found).toEqual(file.rows.map(({ label }) => label));
    }
  });
});
