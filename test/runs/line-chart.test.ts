import { describe, expect, it } from 'vitest';
import { lineChart, type Point, smooth, thin, ticks, tickText } from '../../src/report/line-chart.ts';

const chart = (points: readonly Point[]): string =>
  lineChart({ title: 'Loss', xName: 'step', curves: [{ name: 'a', points }] });

/** Points of the first polyline. */
const drawn = (svg: string): number[][] =>
  /points="([^"]*)"/
    .exec(svg)![1]!
    .split(' ')
    .map((point) => point.split(',').map(Number));

describe('a line chart', () => {
  it('maps values to the picture, larger ones higher', () => {
    const points = drawn(
      chart([
        [1, 5],
        [2, 10],
        [3, 0],
      ]),
    );
    const [first, second, third] = points as [number[], number[], number[]];
    expect(second[0]! - first[0]!).toBeCloseTo(third[0]! - second[0]!, 1);
    expect(second[1]).toBeLessThan(first[1]!);
    expect((second[1]! + third[1]!) / 2).toBeCloseTo(first[1]!, 0);
  });

  it('leaves out what is no number, and says where nothing is left', () => {
    const svg = chart([
      [1, 1],
      [2, Number.NaN],
      [3, Number.POSITIVE_INFINITY],
      [4, 2],
    ]);
    expect(drawn(svg)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(chart([[1, Number.NaN]])).toContain('Nothing was recorded.');
    expect(chart([])).toContain('Nothing was recorded.');
  });

  it('shows one point, and values that are all the same', () => {
    expect(chart([[7, 0.5]])).toMatch(/<circle [^>]*><title>a, 7: 0\.5</);
    for (const value of [0, 5, -5, 1e-30]) {
      expect(
        chart([
          [1, value],
          [2, value],
        ]),
      ).not.toContain('NaN');
    }
  });

  it('escapes names', () => {
    const curves = ['<b>', '&'].map((name) => ({ name, points: [[1, 1]] as Point[] }));
    const html = lineChart({ title: '<i>', xName: '"', curves, marks: [{ x: 1, title: '<u>' }] });
    expect(html).not.toMatch(/<i>|<u>|<b><\/span>/);
    expect(html).toContain('&lt;b&gt;</span>');
  });

  it('of many points keeps every peak', () => {
    const points = Array.from({ length: 100_000 }, (_, i): Point => [i, i === 54_321 ? 99 : i % 7]);
    const kept = thin(points, 1000);
    expect(kept.length).toBeLessThanOrEqual(1000);
    expect(kept).toContainEqual([54_321, 99]);
    expect(kept.every(([x], i) => i === 0 || x > kept[i - 1]![0])).toBe(true);
  });
});

describe('axes', () => {
  it('have round numbers', () => {
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(-0.3, 0.69, 5)).toEqual([-0.2, 0, 0.2, 0.4, 0.6]);
    expect(ticks(990, 300_000, 6)).toEqual([50_000, 100_000, 150_000, 200_000, 250_000, 300_000]);
    expect([0, 0.25, 1500, 25_000, 2e6, 1e-5].map(tickText)).toEqual([
      ...['0', '0.25', '1500', '25k', '2e6', '1e-5'],
    ]);
  });
});

describe('smoothing', () => {
  it('is the weighted mean of what came so far, from the first value on', () => {
    const same = smooth(
      [1, 2, 3].map((x): Point => [x, 4]),
      0.9,
    );
    expect(same.map(([, y]) => y)).toEqual([4, 4, 4].map((y) => expect.closeTo(y, 12)));
    // (0.5 * 0 + 1 * 3) / 1.5
    expect(
      smooth(
        [
          [1, 0],
          [2, 3],
        ],
        0.5,
      )[1],
    ).toEqual([2, expect.closeTo(2, 12)]);
  });
});
