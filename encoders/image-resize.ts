/** Pixels of one image, row-major `[height, width, 3]`. */
export interface Image extends ImageSize {
  readonly data: Uint8Array;
}

export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** Bits after the point in Pillow's fixed-point weights: 32 minus 8 of a pixel, minus 2 of headroom. */
export const precisionBits = 32 - 8 - 2;

/** A kernel of Pillow: its weight at a distance in pixels, and the distance from which on it is zero. */
interface Kernel {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

export const kernels = {
  lanczos: {
    support: 3,
    weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0),
  },
  bilinear: { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  /** Keys' cubic with a = -0.5. */
  bicubic: {
    support: 2,
    weight(distance) {
      const a = -0.5;
      const x = Math.abs(distance);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
} satisfies Record<string, Kernel>;

export type Resampling = keyof typeof kernels;

interface Window {
  readonly start: number;
  readonly weights: Int32Array;
}

/** The source pixels and fixed-point weights of every output position; the kernel widens when shrinking. */
function windows(kernel: Kernel, inputSize: number, outputSize: number): Window[] {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = kernel.support * filterScale;
  return Array.from({ length: outputSize }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inputSize);
    const raw = Array.from({ length: end - start }, (_, i) =>
      kernel.weight((i + start - centre + 0.5) * (1 / filterScale)),
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
function resampleAxis(
  data: Uint8Array,
  outer: number,
  inner: number,
  inputSize: number,
  outputSize: number,
  kernel: Kernel,
): Uint8Array {
  const result = new Uint8Array(outer * outputSize * inner);
  const plan = windows(kernel, inputSize, outputSize);
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
 * Resampling with antialiasing, byte for byte as Pillow 13 does it for 8-bit images: one axis after the other, each pass
 * rounded to bytes; a pass that would not change the size is skipped. Rows come first, but where the height shrinks by
 * more than twice what the width does (earlier Pillows: only in images a hundred times as high as wide).
 */
export function resizeImage(image: Image, { height, width }: ImageSize, resampling: Resampling): Image {
  const kernel = kernels[resampling];
  const horizontally = (from: Image): Image => {
    if (width === from.width) return from;
    const data = resampleAxis(from.data, from.height, 3, from.width, width, kernel);
    return { data, height: from.height, width };
  };
  const vertically = (from: Image): Image => {
    if (height === from.height) return from;
    const data = resampleAxis(from.data, 1, from.width * 3, from.height, height, kernel);
    return { data, height, width: from.width };
  };
  const verticalFirst = image.height - height > Math.max(2 * (image.width - width), 0);
  return verticalFirst ? horizontally(vertically(image)) : vertically(horizontally(image));
}

/**
 * The middle `height x width` of an image; what lies outside of it, where the image is smaller, is black. As Hugging
 * Face's `center_crop`: an odd rest is cut at the far side and added at the near one.
 */
export function centreCrop(image: Image, { height, width }: ImageSize): Image {
  if (image.height === height && image.width === width) return image;
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  const [first, last] = [Math.max(left, 0), Math.min(left + width, image.width)];
  const data = new Uint8Array(height * width * 3);
  for (let row = Math.max(-top, 0); row < Math.min(height, image.height - top); row++) {
    const source = (top + row) * image.width;
    const pixels = image.data.subarray((source + first) * 3, (source + last) * 3);
    data.set(pixels, (row * width + first - left) * 3);
  }
  return { data, height, width };
}
