import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { inputModes } from '../../model/modes.ts';
import { ANSWER_TYPES } from '../../src/config/data.ts';
import type { Annotations, PublishedAnswerType } from '../../src/data/prompts.ts';
import {
  answerText,
  answerTypesOf,
  buildPrompt,
  drawAnswerType,
  placeholders,
  questionText,
} from '../../src/data/prompts.ts';

interface Reference {
  subtitle: string;
  questions: Record<string, { question: string; answer: string }>;
  prompts: Record<string, { text?: string }>;
}

const file = new URL('../fixtures/affectgpt_reference/prompts.json', import.meta.url);
const reference: Reference = JSON.parse(readFileSync(file, 'utf8'));
const modes = Object.keys(inputModes) as (keyof typeof inputModes)[];

describe('prompts', () => {
  it('are those of the published code, byte for byte, in every mode', () => {
    for (const mode of modes) {
      const expected = reference.prompts[`${mode}|ovlabel`]?.text;
      expect(expected).toBeDefined();
      expect(buildPrompt(mode, reference.subtitle, questionText('ovlabel'))).toBe(expected);
    }
  });

  it('name the slots of their mode in reading order', () => {
    for (const mode of modes) {
      const prompt = buildPrompt(mode, 'words', 'question');
      const found = Object.entries(placeholders)
        .filter(([, text]) => prompt.includes(text))
        .sort((a, b) => prompt.indexOf(a[1]) - prompt.indexOf(b[1]));
      expect(found.map(([slot]) => slot)).toEqual(inputModes[mode].slots);
    }
  });

  it('keep a subtitle with special characters of replacements as it is', () => {
    expect(buildPrompt('textonly', '$& $1 \\', 'q')).toContain('<Subtitle>$& $1 \\</Subtitle>');
  });
});

describe('questions and answers', () => {
  const sample: Annotations = {
    description: reference.questions.description!.answer,
    labels: ['sad', 'frustrated', 'disappointed'],
    sentiment: 'negative',
    valence: -1.23,
  };
  const space = {
    candidates: ['happy', 'angry', 'worried', 'sad', 'surprise', 'neutral'],
    valenceRange: [-3, 3] as const,
  };

  it.each(ANSWER_TYPES)('of %s are the published ones', (type: PublishedAnswerType) => {
    const single = type.startsWith('onehot') ? { labels: ['happy'] } : sample;
    expect(questionText(type, space)).toBe(reference.questions[type]!.question);
    expect(answerText(type, single)).toBe(reference.questions[type]!.answer);
  });

  it('round valence as Python does', () => {
    const texts = [0.125, 0.375, -0.125, 1.005, 2, -2.675].map((valence) =>
      answerText('valence', { valence }),
    );
    const rounded = texts.map((text) => text!.replace('The valence score is ', ''));
    expect(rounded).toEqual(['0.12.', '0.38.', '-0.12.', '1.00.', '2.00.', '-2.67.']);
  });

  it('need candidates or a range where the question lists them', () => {
    expect(() => questionText('valence')).toThrow(/range/);
    expect(() => questionText('onehot_w_candidates', { candidates: [] })).toThrow(/candidate/);
  });
});

describe('the hybird draw', () => {
  const types = answerTypesOf('hybird', { labels: ['sad'], description: 'because' });

  it('offers what a sample has', () => {
    expect(types).toEqual(['description', 'ovlabel']);
    expect(answerTypesOf('hybird', { labels: ['sad'] })).toEqual(['ovlabel']);
    expect(answerTypesOf('hybird', { valence: 0, sentiment: 'neutral' })).toEqual(['valence', 'sentiment']);
    expect(answerTypesOf('onehot_wo_candidates', { labels: ['sad', 'angry'] })).toEqual([]);
  });

  it('is even, and a function of seed, epoch and name', () => {
    const draw = (seed: number, epoch: number, name: string) => drawAnswerType(types, { seed, epoch, name });
    const names = Array.from({ length: 400 }, (_, i) => `sample_${i}`);
    const first = names.map((name) => draw(42, 1, name));
    expect(names.map((name) => draw(42, 1, name))).toEqual(first);
    const descriptions = first.filter((type) => type === 'description').length;
    expect(descriptions).toBeGreaterThan(160);
    expect(descriptions).toBeLessThan(240);
    for (const [seed, epoch] of [
      [42, 2],
      [43, 1],
    ] as const) {
      const other = names.map((name) => draw(seed, epoch, name));
      const same = other.filter((type, i) => type === first[i]).length;
      expect(same).toBeGreaterThan(150);
      expect(same).toBeLessThan(250);
    }
  });
});
