/** Conversions between 32-bit floats and the two 16-bit formats, as bit patterns in a `Uint16Array`. */

let halfTable: Float32Array | undefined;

/** All 65,536 half-precision numbers (256 KB, made once). */
function halfValues(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65_536);
    for (let bits = 0; bits < 65_536; bits++) {
      const exponent = (bits >> 10) & 0x1f;
      const fraction = bits & 0x3ff;
      let value: number;
      if (exponent === 0) {
        value = fraction * 2 ** -24;
      } else if (exponent === 31) {
        value = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
      } else {
        value = (1 + fraction / 1024) * 2 ** (exponent - 15);
      }
      halfTable[bits] = bits & 0x8000 ? -value : value;
    }
  }
  return halfTable;
}

/** IEEE half precision to single precision: exact. `target` has the length of `source`. */
export function halfToFloat32(source: Uint16Array, target: Float32Array): void {
  const table = halfValues();
  for (let index = 0; index < source.length; index++) {
    target[index] = table[source[index]!]!;
  }
}

/** bfloat16 to single precision: exact. `target` has the length of `source`. */
export function bfloat16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let index = 0; index < source.length; index++) {
    bits[index] = source[index]! << 16;
  }
}

/**
 * Single precision to bfloat16, rounding to the nearest, ties to even (what PyTorch does). Values above the
 * largest bfloat16 by half a step or more become infinite; NaN stays NaN. `target` has the length of `source`.
 */
export function float32ToBfloat16(source: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let index = 0; index < bits.length; index++) {
    const value = bits[index]!;
    const isNan = (value & 0x7fffffff) > 0x7f800000;
    target[index] = isNan ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
}

/**
 * Single precision to IEEE half precision, rounding to the nearest, ties to even. Values of 65,520 or more become
 * infinite; NaN stays NaN. `target` has the length of `source`.
 */
export function float32ToHalf(source: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let index = 0; index < bits.length; index++) {
    const sign = (bits[index]! >>> 16) & 0x8000;
    target[index] = sign | halfMagnitude(bits[index]! & 0x7fffffff);
  }
}

/** The bits of a half without its sign, from those of a single without its sign. */
function halfMagnitude(single: number): number {
  const infinity = 0x7f800000;
  const overflow = 0x477ff000; // 65,520
  const smallestNormal = 0x38800000; // 2 ** -14
  if (single > infinity) return 0x7e00;
  if (single >= overflow) return 0x7c00;
  if (single >= smallestNormal) return (single + 0xfff + ((single >>> 13) & 1) - 0x38000000) >>> 13;
  // Subnormal halves are multiples of 2 ** -24.
  const shift = 126 - (single >>> 23);
  if (shift > 24) return 0;
  const significand = (single & 0x7fffff) | 0x800000;
  const half = significand >>> shift;
  const rest = significand - (half << shift);
  const middle = 1 << (shift - 1);
  return half + Number(rest > middle || (rest === middle && (half & 1) === 1));
}
