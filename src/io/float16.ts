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
