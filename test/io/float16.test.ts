import { describe, expect, it } from 'vitest';
import { float32ToHalf, halfToFloat32 } from '../../src/io/float16.ts';

const toHalf = (...values: number[]): number[] => {
  const bits = new Uint16Array(values.length);
  float32ToHalf(Float32Array.from(values), bits);
  return Array.from(bits);
};

describe('float32ToHalf', () => {
  it('gives every half its own bits back', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const values = new Float32Array(bits.length);
    halfToFloat32(bits, values);
    const back = new Uint16Array(bits.length);
    float32ToHalf(values, back);
    const differing = bits.filter((bit, i) => back[i] !== bit && !Number.isNaN(values[i]));
    expect([...differing]).toEqual([]);
    expect(toHalf(Number.NaN).map((bit) => bit & 0x7fff)).toEqual([0x7e00]);
  });

  it('rounds to the nearest, ties to even, down to nothing and up to infinity', () => {
    const step = 2 ** -10;
    expect(toHalf(1 + step / 2, 1 + step / 2 + 2 ** -20, 1 + 1.5 * step)).toEqual([0x3c00, 0x3c01, 0x3c02]);
    expect(toHalf(-(1 + step / 2), 2 - step / 2)).toEqual([0xbc00, 0x4000]);
    expect(toHalf(2 ** -25, 2 ** -25 * 1.01, 1.5 * 2 ** -24, 2 ** -14 - 2 ** -26)).toEqual([0, 1, 2, 0x400]);
    expect(toHalf(65_519, 65_520, -1e9, 1e-30, -0)).toEqual([0x7bff, 0x7c00, 0xfc00, 0, 0x8000]);
  });
});
