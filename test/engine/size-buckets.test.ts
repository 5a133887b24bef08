import { expect, it } from 'vitest';
import { bucketOf } from '../../src/engine/size-buckets.ts';

const sizes = Array.from({ length: 4096 }, (_, i) => i + 1);

it('sizes are rounded up to so many in each doubling', () => {
  const bucketsOf = (least: number, perDoubling: 1 | 2 | 4) => [
    ...new Set(sizes.slice(0, 512).map((size) => bucketOf(size, { least, perDoubling }))),
  ];
  expect(bucketsOf(64, 4)).toEqual([64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512]);
  expect(bucketsOf(16, 2)).toEqual([16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]);
  expect(bucketsOf(1, 1)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
  expect(bucketOf(0, { least: 16, perDoubling: 2 })).toBe(16);
});

it('none is rounded down, and what is added stays within its bounds', () => {
  for (const perDoubling of [1, 2, 4] as const) {
    const added = sizes.slice(64).map((size) => bucketOf(size, { least: 64, perDoubling }) / size - 1);
    expect(Math.min(...added)).toBe(0);
    expect(Math.max(...added)).toBeLessThan(1 / perDoubling);
    const mean = added.reduce((sum, one) => sum + one, 0) / added.length;
    expect(mean).toBeCloseTo({ 1: 0.39, 2: 0.18, 4: 0.09 }[perDoubling], 2);
  }
});
