import { describe, expect, it } from 'vitest';
import { extractLabels } from '../../../src/eval/mer-unibench/extract-rules.ts';
import {
  cleanReply,
  extractionPrompt,
  groupingPrompt,
  parseGroups,
  sentimentPrompt,
} from '../../../src/eval/mer-unibench/published-prompts.ts';
import { sentimentOfLabels } from '../../../src/eval/mer-unibench/sentiment-rules.ts';

describe('emotion words by rules', () => {
  it.each([
    ["The character's emotional state is happy, sad and angry.", 'happy|sad|angry'],
    [
      "The character's emotional state is under pressure, self-blame, light-hearted.",
      'under pressure|self-blame|light-hearted',
    ],
    ['His emotional state is happy, sad, and angry', 'happy|sad|angry'],
    ['The emotional state of the character includes: "Surprised", "fearful"', 'surprised|fearful'],
    ['Emotions: joy, not anger; a sense of relief', 'joy|relief'],
    ["Output: [happy, 'sad']", 'happy|sad'],
    ['[]', ''],
    ['happy', 'happy'],
    ['1. Happy\n2. sad\n3. happy', 'happy|sad'],
    ['- **anger**\n- *fear*', 'anger|fear'],
    ['I feel a mix of sadness and anger.', 'sadness|anger'],
    ['The man seems to be slightly annoyed but also amused.', 'annoyed|amused'],
    ['他的情绪状态是开心、激动和紧张。', '开心|激动|紧张'],
    ['温和、平静', '温和|平静'],
    ['neutral', 'neutral'],
    ["The character's emotional state is neutral.", 'neutral'],
  ])('are the list in %j', (answer, labels) => {
    expect(extractLabels(answer).join('|')).toBe(labels);
  });

  it.each([
    '',
    ' \n',
    'none',
    'None.',
    'N/A',
    'unknown',
    'No clear emotion.',
    'We cannot recognize his emotional state',
    '无',
  ])('are none in %j', (answer) => {
    expect(extractLabels(answer)).toEqual([]);
  });

  it('are those that a description concludes with, without what it quotes or denies', () => {
    const description =
      'In the text, the subtitle reads, "I love this happy day." The man sits in front of a calm lake. ' +
      'Therefore, we can infer that he is not excited about it, but feels anxious and is disappointed by the outcome.';
    expect(extractLabels(description)).toEqual(['anxious', 'disappointed']);
    expect(
      extractLabels('The man frowns. He shouts in anger, without any fear, at the whole world around him.'),
    ).toEqual(['anger']);
    expect(
      extractLabels('The person is sitting in front of a computer in the evening of a long and rainy day.'),
    ).toEqual([]);
  });

  it('are the same ones each time, however long the answer is', () => {
    const long = `${'The weather in the video is what it is, and so on and so forth. '.repeat(2000)}He feels sad.`;
    expect(extractLabels(long)).toEqual(['sad']);
    expect(extractLabels(`${' '.repeat(5000)}x`)).toEqual(['x']);
  });
});

describe('the sentiment of emotion words', () => {
  it.each([
    [['joyful'], 'positive'],
    [['Anger', 'happy', 'sadness'], 'negative'],
    [['excited', 'anxious'], 'positive'],
    [['anxious', 'excited'], 'negative'],
    [['fear'], 'negative'],
    [['negative', 'blorp'], 'negative'],
    [['neutral'], 'neutral'],
    [['constructor'], 'neutral'],
    [[], 'neutral'],
  ] as const)('of %j is %s', (labels, sentiment) => {
    expect(sentimentOfLabels(labels)).toBe(sentiment);
  });
});

describe('the published prompts', () => {
  it('are single lines, with thirteen spaces between the sentences of one', () => {
    expect(extractionPrompt('He is sad.')).toMatch(
      /^Please assume the role .* in a list format\. If none .* Output: \[\] Input: His .*angry\] Input: He is sad\.; Output: $/,
    );
    const gaps = sentimentPrompt('[sad]').match(/ {2,}/g)!;
    expect(gaps.map((gap) => gap.length)).toEqual(Array(6).fill(13));
    expect(sentimentPrompt('[sad]')).toMatch(/ Input: \[sad\]; Output: $/);
    expect(groupingPrompt(['sad', "can't"])).toMatch(/ Input: \['sad', "can't"\] Output:$/);
  });

  it('have replies that are cleaned before they are read', () => {
    expect(cleanReply(' Output: [happy,\n sad] ')).toBe('[happy, sad]');
    expect(cleanReply('输出：positive\n')).toBe('positive');
    expect(cleanReply('outputOutput: :x')).toBe(':x');
    expect(parseGroups("[['a', 'b'], [\"c\"]]")).toEqual([['a', 'b'], ['c']]);
    expect(parseGroups('')).toEqual([]);
  });
});
