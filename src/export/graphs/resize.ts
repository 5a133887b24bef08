import type { ImagePreprocessing } from '../../../encoders/image-preprocessing.ts';
import { type ImageSize, kernels, precisionBits, type Resampling } from '../../../encoders/image-resize.ts';
import type { Emitter } from '../../engine/onnxruntime/emitter.ts';
import { Arithmetic, both, cast, range, reshape, sizeOf, unsqueeze } from './arithmetic.ts';

/** Height and width as int64 scalars of the graph. */
interface GraphSize {
  readonly height: string;
  readonly width: string;
}

const maxByte = 255;

/** The kernels of `image-resize.ts`, operation by operation, over float64 distances. */
const kernelGraphs: Readonly<Record<Resampling, (math: Arithmetic, distance: string) => string>> = {
  bilinear: (math, distance) => math.maximum(math.subtract(1, math.absolute(distance)), 0),
  bicubic(math, distance) {
    const a = -0.5;
    const x = math.absolute(distance);
    const { add, subtract, multiply } = math;
    const slope = subtract(multiply(a + 2, x), a + 3);
    const near = add(multiply(multiply(slope, x), x), 1);
    const far = multiply(subtract(multiply(add(multiply(subtract(x, 5), x), 8), x), 4), a);
    return math.where(math.less(x, 1), near, math.where(math.less(x, 2), far, 0));
  },
  lanczos(math, distance) {
    const sinc = (x: string): string => {
      const angle = math.multiply(x, Math.PI);
      return math.where(math.equal(x, 0), 1, math.divide(math.sine(angle), angle));
    };
    const weight = math.multiply(sinc(distance), sinc(math.divide(distance, 3)));
    return math.where(math.less(distance, 3), math.where(math.atLeast(distance, -3), weight, 0), 0);
  },
};

/**
 * Pillow's fixed-point weights of every source pixel for every output pixel of an axis, float64
 * `[outputSize, inputSize]`: whole numbers, `2 ** precisionBits` times the weight. Equal sizes give the identity.
 */
function axisWeights(
  emitter: Emitter,
  inputSize: string,
  outputSize: string,
  resampling: Resampling,
): string {
  const math = new Arithmetic(emitter, 'float64');
  const length = math.from(inputSize);
  const scale = math.divide(length, math.from(outputSize));
  const filterScale = math.maximum(scale, 1);
  const support = math.multiply(filterScale, kernels[resampling].support);
  const positions = math.from(unsqueeze(emitter, range(emitter, 0, outputSize), [1]));
  const centre = math.multiply(math.add(positions, 0.5), scale);
  const start = math.maximum(math.floor(math.add(math.subtract(centre, support), 0.5)), 0);
  const end = math.minimum(math.floor(math.add(math.add(centre, support), 0.5)), length);
  const source = math.from(range(emitter, 0, inputSize));
  const distance = math.multiply(math.add(math.subtract(source, centre), 0.5), math.divide(1, filterScale));
  const isInside = both(emitter, math.atLeast(source, start), math.less(source, end));
  const raw = math.where(isInside, kernelGraphs[resampling](math, distance), 0);
  // A running sum adds from left to right, as Pillow does; a reduction may add in another order.
  const sums = emitter.add('CumSum', [raw, emitter.constant('int64', [1], [])]);
  const total = emitter.add('Gather', [sums, emitter.integers([-1])], { axis: 1 });
  const fixed = math.multiply(math.divide(raw, total), 2 ** precisionBits);
  return math.multiply(math.sign(fixed), math.floor(math.add(math.absolute(fixed), 0.5)));
}

/** Sums of bytes with fixed-point weights, as bytes (in float64, which holds such sums exactly). */
function toBytes(math: Arithmetic, sums: string): string {
  const rounded = math.add(sums, 2 ** (precisionBits - 1));
  return math.clip(math.floor(math.multiply(rounded, 2 ** -precisionBits)), 0, maxByte);
}

function resizedSize(
  emitter: Emitter,
  { height, width }: GraphSize,
  resize: NonNullable<ImagePreprocessing['resize']>,
): GraphSize {
  const constant = (value: number): string => emitter.constant('int64', [value], []);
  if (!('shortestEdge' in resize)) return { height: constant(resize.height), width: constant(resize.width) };
  const math = new Arithmetic(emitter, 'int64');
  const edge = resize.shortestEdge;
  const isUpright = math.atMost(width, height);
  return {
    height: math.where(isUpright, math.divide(math.multiply(edge, height), width), edge),
    width: math.where(isUpright, edge, math.divide(math.multiply(edge, width), height)),
  };
}

/** `floor(x / 2)` of an int64 that may be negative. */
function halfDown(emitter: Emitter, x: string): string {
  const math = new Arithmetic(emitter, 'float64');
  return cast(emitter, math.floor(math.multiply(math.from(x), 0.5)), 'int64');
}

/**
 * What `resizeAndCrop` does, byte for byte: both passes are products with matrices of weights, each rounded to bytes. In
 * which order they come depends on the sizes; instead of a branch, pixels are picked so that the axis of the first pass
 * is the last.
 *
 * @param frames uint8 `[frames, height, width, 3]`
 * @returns float64 `[frames, 3, height, width]`, whole numbers from 0 to 255
 */
export function resizeAndCropGraph(
  emitter: Emitter,
  frames: string,
  { resize, resampling, crop }: Pick<ImagePreprocessing, 'resize' | 'resampling' | 'crop'>,
): string {
  const size = { height: sizeOf(emitter, frames, 1), width: sizeOf(emitter, frames, 2) };
  const resized = resize === null ? size : resizedSize(emitter, size, resize);
  const whole = new Arithmetic(emitter, 'int64');
  const { subtract, multiply, maximum, greater } = whole;
  const isVerticalFirst = greater(
    subtract(size.height, resized.height),
    maximum(multiply(2, subtract(size.width, resized.width)), 0),
  );
  const chosen = (vertical: string | number, horizontal: string | number): string =>
    whole.where(isVerticalFirst, vertical, horizontal);
  const first = { from: chosen(size.height, size.width), to: chosen(resized.height, resized.width) };
  const second = { from: chosen(size.width, size.height), to: chosen(resized.width, resized.height) };

  const real = new Arithmetic(emitter, 'float64');
  const planes = colourPlanes(emitter, frames, {
    rows: second.from,
    rowStep: chosen(1, size.width),
    columns: first.from,
    columnStep: chosen(size.width, 1),
  });
  let pixels = real.from(planes);
  if (resize !== null) {
    const weights = axisWeights(emitter, first.from, first.to, resampling);
    const transposed = emitter.add('Transpose', [weights], { perm: [1, 0] });
    pixels = toBytes(real, real.matMul(pixels, transposed));
    const others = axisWeights(emitter, second.from, second.to, resampling);
    pixels = toBytes(real, real.matMul(others, pixels));
  }
  return cropped(emitter, pixels, {
    size: resized,
    rowStep: chosen(1, first.to),
    columnStep: chosen(first.to, 1),
    crop,
  });
}

/** Bytes of frames by colour, uint8 `[frames, 3, rows, columns]`; steps are counted in pixels. */
function colourPlanes(
  emitter: Emitter,
  frames: string,
  axes: Readonly<Record<'rows' | 'rowStep' | 'columns' | 'columnStep', string>>,
): string {
  const { add, multiply } = new Arithmetic(emitter, 'int64');
  const row = multiply(unsqueeze(emitter, range(emitter, 0, axes.rows), [1]), axes.rowStep);
  const pixel = add(row, multiply(range(emitter, 0, axes.columns), axes.columnStep));
  const colours = emitter.constant('int64', [0, 1, 2], [3, 1, 1]);
  return emitter.add('Gather', [reshape(emitter, frames, [0, -1]), add(multiply(pixel, 3), colours)], {
    axis: 1,
  });
}

/**
 * The middle of `pixels [frames, 3, ...]`, whose last two axes are height and width or the reverse, as the steps say;
 * outside of it is black.
 */
function cropped(
  emitter: Emitter,
  pixels: string,
  {
    size,
    rowStep,
    columnStep,
    crop,
  }: {
    readonly size: GraphSize;
    readonly rowStep: string;
    readonly columnStep: string;
    readonly crop: ImageSize | null;
  },
): string {
  const whole = new Arithmetic(emitter, 'int64');
  const along = (length: string, kept: number | undefined) => {
    const margin = halfDown(emitter, whole.subtract(length, kept ?? length));
    const wanted = whole.add(range(emitter, 0, kept ?? length), margin);
    const inside = both(emitter, whole.atLeast(wanted, 0), whole.less(wanted, length));
    return { inside, at: whole.clip(wanted, 0, whole.subtract(length, 1)) };
  };
  const rows = along(size.height, crop?.height);
  const columns = along(size.width, crop?.width);
  const upright = (x: string): string => unsqueeze(emitter, x, [1]);
  const at = whole.add(whole.multiply(upright(rows.at), rowStep), whole.multiply(columns.at, columnStep));
  const kept = emitter.add('Gather', [reshape(emitter, pixels, [0, 0, -1]), at], { axis: 2 });
  const isInside = both(emitter, upright(rows.inside), columns.inside);
  return new Arithmetic(emitter, 'float64').where(isInside, kept, 0);
}
