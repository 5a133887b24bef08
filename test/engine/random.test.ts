import { describe, expect, it } from 'vitest';
import { RandomGenerator, threefry2x32 } from '../../src/engine/random.ts';

describe('threefry2x32', () => {
  // Known answers of Random123 for threefry2x32 with 20 rounds.
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as [[number, number], [number, number], number[]][])('key %j, counter %j', (key, counter, expected) => {
    const output = new Uint32Array(2);
    threefry2x32(key, counter[0], counter[1], output);
    expect(Array.from(output)).toEqual(expected);
  });

  it('fills a longer output with the blocks of every other counter', () => {
    const output = new Uint32Array(6);
    threefry2x32([1, 2], 4, 5, output);
    const blocks = [4, 6, 8].flatMap((counter) => {
      const block = new Uint32Array(2);
      threefry2x32([1, 2], counter, 5, block);
      return Array.from(block);
    });
    expect(Array.from(output)).toEqual(blocks);
  });
});

describe('RandomGenerator', () => {
  it('gives the numbers that its seed determines, and goes on from a stored state', () => {
    // Pinned: a change would silently change every seeded run.
    const random = new RandomGenerator(42);
    expect([random.uniform(), random.integer(1000)]).toEqual(pinned);
    const normal = random.normalFloat32(2);
    expect(normal[0]).toBeCloseTo(0.896686315536499, 6);
    expect(normal[1]).toBeCloseTo(0.7089242339134216, 6);
    const state = JSON.parse(JSON.stringify(random.state));
    const next = random.uniformFloat32(5);
    expect(RandomGenerator.restore(state).uniformFloat32(5)).toEqual(next);
    expect(new RandomGenerator(43).uniform()).not.toBe(pinned[0]);
    expect(new RandomGenerator(42 + 2 ** 40).uniform()).not.toBe(pinned[0]);
    expect(() => new RandomGenerator(0.5)).toThrow(RangeError);
  });
  const pinned = [0.8690483965743594, 150];

  it('splits into streams that depend on the name and on nothing that was drawn', () => {
    const first = new RandomGenerator(1);
    const second = new RandomGenerator(1);
    second.uniformFloat32(100);
    expect(first.split('a').uniform()).toBe(second.split('a').uniform());
    const names = ['', 'a', 'b', 'a\0', '\0', 'aaaaaaaa', 'aaaaaaaaa', 'layers.1', 'layers.10'];
    const draws = names.map((name) => first.split(name).uniform());
    draws.push(first.uniform(), first.split('a').split('a').uniform());
    expect(new Set(draws).size).toBe(draws.length);
  });

  it('draws evenly and normally', () => {
    const count = 40_000;
    const statistics = (values: Float32Array) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / count;
      return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count };
    };
    const even = new RandomGenerator(2).uniformFloat32(count, -1, 3);
    expect(Math.min(...even)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...even)).toBeLessThanOrEqual(3);
    // Bounds are about five standard errors.
    expect(Math.abs(statistics(even).mean - 1)).toBeLessThan(0.03);
    expect(Math.abs(statistics(even).variance - 16 / 12)).toBeLessThan(0.03);
    const normal = new RandomGenerator(3).normalFloat32(count, 1, 2);
    expect(Math.abs(statistics(normal).mean - 1)).toBeLessThan(0.05);
    expect(Math.abs(statistics(normal).variance - 4)).toBeLessThan(0.15);
    const within = normal.filter((value) => Math.abs(value - 1) < 2).length / count;
    expect(Math.abs(within - 0.6827)).toBeLessThan(0.012);
    // Neighbours come from the same block and must not be related.
    let product = 0;
    for (let i = 0; i < count; i += 2) product += (normal[i]! - 1) * (normal[i + 1]! - 1);
    expect(Math.abs(product / (count / 2) / 4)).toBeLessThan(0.036);
  });

  it('shuffles into every order', () => {
    const random = new RandomGenerator(4);
    const seen = new Map<string, number>();
    for (let i = 0; i < 2400; i++) {
      const order = random.permutation(4).join('');
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    // Expected 100 each, five standard deviations.
    for (const times of seen.values()) expect(Math.abs(times - 100)).toBeLessThan(50);
  });
});
