import { describe, expect, it } from 'vitest';
import { openGrouping } from '../../../src/eval/mer-unibench/grouping.ts';
import { scoreSetLevel, wheelGrouper } from '../../../src/eval/mer-unibench/metrics/set-level.ts';
import { parseGroups } from '../../../src/eval/mer-unibench/published-prompts.ts';

describe('the set-level metric', () => {
  const samples = [
    { name: 'b', labels: ['Happy', 'glad', 'sad'], predicted: ['joyful', 'calm'] },
    { name: 'a', labels: ['worried'], predicted: [] },
    { name: 'c', labels: [], predicted: ['sad'] },
  ];

  it('asks for the groups of each sample once', () => {
    const asked: [string, readonly string[]][] = [];
    const result = scoreSetLevel(samples, (words, name) => {
      asked.push([name, words]);
      return [['happy', 'glad', 'joyful'], ['sad']];
    });
    expect(asked).toEqual([
      ['a', ['worried']],
      ['b', ['happy', 'glad', 'sad', 'joyful', 'calm']],
    ]);
    // b: labels {happy, sad}, predictions {happy, calm}; a: nothing predicted; c: left out.
    expect(result).toMatchObject({ n: 3, nScored: 2, accuracy: 0.25, recall: 0.25, average: 0.25 });
    expect(result.perSample).toEqual([
      { name: 'a', accuracy: 0, recall: 0 },
      { name: 'b', accuracy: 0.5, recall: 0.5 },
      { name: 'c', accuracy: null, recall: null },
    ]);
    expect(result.scoreOf([0, 3, 1])).toBe(0.5);
  });

  it('puts a word that is in two groups into the last, and one that is in none alone', () => {
    const groups = parseGroups("[['happy', 'glad'], ['glad', 'joyful'],['sad']]");
    expect(groups).toEqual([['happy', 'glad'], ['glad', 'joyful'], ['sad']]);
    const result = scoreSetLevel(samples.slice(0, 1), () => groups);
    // Labels {happy, glad, sad}, predictions {glad, calm}.
    expect([result.accuracy, result.recall]).toEqual([1 / 2, 1 / 3]);
  });

  it('may group by a wheel', () => {
    const group = wheelGrouper(openGrouping('published'), 1, 1);
    expect(group(['happy', 'blorp', 'anger', 'joy'], 'a')).toEqual([['happy', 'joy'], ['anger']]);
    const result = scoreSetLevel(
      [{ name: 'a', labels: ['joy', 'blorp'], predicted: ['happy', 'blip'] }],
      group,
    );
    expect([result.accuracy, result.recall]).toEqual([0.5, 0.5]);
  });
});
