/** Pixels of one image, row-major `[height, width, 3]`. */
export interface Image {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/** Bits after the point in Pillow's fixed-point weights: 32 minus 8 of a pixel, minus 2 of headroom. */
const precisionBits = 32 - 8 - 2;
const cubicSupport = 2;

/** Keys' cubic kernel with a = -0.5, as Pillow's BICUBIC. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

interface Window {
  readonly start: number;
  readonly weights: Int32Array;
}

/** The source pixels and fixed-point weights of every output position; the kernel widens when shrinking. */
function windows(inputSize: number, outputSize: number): Window[] {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = cubicSupport * filterScale;
  return Array.from({ length: outputSize }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inputSize);
    const raw = Array.from({ length: end - start }, (_, i) =>
      cubic((i + start - centre + 0.5) / filterScale),
    );
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    const weights = Int32Array.from(raw, (weight) => {
      const fixed = (weight / total) * 2 ** precisionBits;
      return Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    });
    return { start, weights };
  });
}

/**
 * One pass: resamples the middle axis of `[outer, length, inner]` bytes, rounding to bytes again.
 * Rows are the outer axis in the horizontal pass; the vertical pass has a single outer element.
 */
function resampleAxis(data: Uint8Array, outer: number, inputSize: number, inner: number, outputSize: number) {
  const result = new Uint8Array(outer * outputSize * inner);
  const plan = windows(inputSize, outputSize);
  for (let row = 0; row < outer; row++) {
    for (let position = 0; position < outputSize; position++) {
      const { start, weights } = plan[position]!;
      const from = (row * inputSize + start) * inner;
      const to = (row * outputSize + position) * inner;
      for (let element = 0; element < inner; element++) {
        let sum = 1 << (precisionBits - 1);
        for (let i = 0; i < weights.length; i++) sum += data[from + i * inner + element]! * weights[i]!;
        result[to + element] = Math.min(Math.max(sum >> precisionBits, 0), 255);
      }
    }
  }
  return result;
}

/**
 * Bicubic resampling with antialiasing, byte for byte as Pillow does it for 8-bit images: horizontally, then
 * vertically, each pass rounded to bytes; a pass that would not change the size is skipped.
 */
export function resizeBicubic(image: Image, height: number, width: number): Image {
  let { data } = image;
  if (width !== image.width) data = resampleAxis(data, image.height, image.width, 3, width);
  if (height !== image.height) data = resampleAxis(data, 1, image.height, width * 3, height);
  return { data, height, width };
}

/** The middle `height x width` of an image that is at least that large. */
export function centreCrop(image: Image, height: number, width: number): Image {
  if (image.height === height && image.width === width) return image;
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  const data = new Uint8Array(height * width * 3);
  for (let row = 0; row < height; row++) {
    const from = ((top + row) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), row * width * 3);
  }
  return { data, height, width };
}
