import { describe, expect, it } from 'vitest';
import { withWrongDescriptions } from '../../src/quickstart/sweep-parts.ts';

const emotions = ['happy', 'sad', 'angry'];
const rows = Array.from({ length: 300 }, (_, i) => ({
  name: `clip-${i}`,
  labels: [emotions[i % 3]!],
  description: `about ${emotions[i % 3]}`,
  split: i < 240 ? 'train' : 'test',
}));

describe('wrong descriptions of clips', () => {
  const { unfiltered, filtered } = withWrongDescriptions(rows, 1);

  it('are those of another emotion, on about a quarter of the training clips', () => {
    expect(unfiltered.map(({ name }) => name)).toEqual(rows.map(({ name }) => name));
    const wrong = unfiltered.filter((row, i) => row.labels[0] !== rows[i]!.labels[0]);
    expect(wrong.length).toBeGreaterThan(36);
    expect(wrong.length).toBeLessThan(84);
    for (const row of wrong) {
      expect(row.split).toBe('train');
      expect(row.description).toBe(`about ${row.labels[0]}`);
    }
    expect(filtered).toEqual(rows.filter(({ name }) => !wrong.some((row) => row.name === name)));
  });

  it('depend on the seed alone', () => {
    expect(withWrongDescriptions(rows, 1).unfiltered).toEqual(unfiltered);
    expect(withWrongDescriptions(rows, 2).unfiltered).not.toEqual(unfiltered);
  });
});
