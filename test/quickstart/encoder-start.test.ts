import { describe, expect, it } from 'vitest';
import { createEncoder } from '../../encoders/registry.ts';
import { startVisualTower } from '../../src/quickstart/encoder-start.ts';
import { visualFiles } from '../../src/quickstart/pretrain-encoders.ts';

const fresh = createEncoder('clip', visualFiles).init(1);
const started = startVisualTower(fresh);
const find = (tensors: typeof fresh, ending: string) =>
  Object.entries(tensors).find(([name]) => name.endsWith(ending))![1];

describe('start of the image tower', () => {
  it('keeps names and shapes', () => {
    expect(Object.keys(started)).toEqual(Object.keys(fresh));
    for (const [name, { shape, data }] of Object.entries(started)) {
      expect(shape, name).toEqual(fresh[name]!.shape);
      expect(data, name).toHaveLength(fresh[name]!.data.length);
      expect(data.every(Number.isFinite), name).toBe(true);
    }
  });

  it('looks at patches through orthogonal filters', () => {
    const { shape, data } = find(started, 'patch_embedding.weight');
    const [filters, channels, side] = shape as [number, number, number];
    const size = channels * side * side;
    const product = (a: number, b: number) => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += data[a * size + i]! * data[b * size + i]!;
      return sum;
    };
    const length = product(0, 0);
    expect(length).toBeGreaterThan(0);
    const bright = Math.ceil(filters * 0.75);
    for (let a = 0; a < bright; a += 5) {
      expect(product(a, a) / length).toBeCloseTo(1, 4);
      for (let b = 0; b < filters; b += 3)
        if (a !== b) expect(Math.abs(product(a, b)) / length).toBeLessThan(1e-4);
    }
  });

  it('gives every place of the grid another position, and leaves the class token as drawn', () => {
    const { shape, data } = find(started, 'position_embedding.weight');
    const [rows, width] = shape as [number, number];
    const row = (i: number) => [...data.subarray(i * width, (i + 1) * width)];
    expect(row(0)).toEqual([...find(fresh, 'position_embedding.weight').data.subarray(0, width)]);
    expect(
      new Set(
        Array.from({ length: rows }, (_, i) =>
          row(i)
            .map((v) => v.toFixed(3))
            .join(),
        ),
      ).size,
    ).toBe(rows);
  });
});
