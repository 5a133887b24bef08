import type { Frames } from '../../../encoders/encoder.ts';

/** Fixed-point weights have eleven bits after the point, as in OpenCV. */
const weightOne = 2048;

interface AxisPlan {
  /** The two source positions of every target position. */
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** Their weights times 2048. */
  readonly firstWeight: Int32Array;
  readonly secondWeight: Int32Array;
}

/** Rounds to the nearest integer, ties to even. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * @param snapAtEdges positions outside the centres of the outermost pixels take that pixel alone (columns); otherwise
 *   they mix it with itself (rows), which rounds differently
 */
function planAxis(from: number, to: number, snapAtEdges: boolean): AxisPlan {
  const plan: AxisPlan = {
    first: new Int32Array(to),
    second: new Int32Array(to),
    firstWeight: new Int32Array(to),
    secondWeight: new Int32Array(to),
  };
  const scale = from / to;
  for (let target = 0; target < to; target++) {
    // Pixel centres, in single precision as OpenCV computes them.
    const position = Math.fround((target + 0.5) * scale - 0.5);
    const first = Math.floor(position);
    const outside = first < 0 || first >= from - 1;
    const fraction = outside && snapAtEdges ? 0 : Math.fround(position - first);
    plan.first[target] = Math.min(Math.max(first, 0), from - 1);
    plan.second[target] = Math.min(first + 1, from - 1);
    plan.firstWeight[target] = roundHalfEven(Math.fround(1 - fraction) * weightOne);
    plan.secondWeight[target] = roundHalfEven(fraction * weightOne);
  }
  return plan;
}

/**
 * Bilinear resize of bytes `[count, height, width, 3]`, aspect ratio not kept, with the fixed-point arithmetic of
 * OpenCV's `resize(..., INTER_LINEAR)`: byte for byte the published loader's faces.
 */
export function resizeBilinear(frames: Frames, height: number, width: number): Frames {
  if (frames.height === height && frames.width === width) return frames;
  const columns = planAxis(frames.width, width, true);
  const rows = planAxis(frames.height, height, false);
  const data = new Uint8Array(frames.count * height * width * 3);
  const stretched = new Int32Array(frames.height * width * 3);
  for (let frame = 0; frame < frames.count; frame++) {
    const begin = frame * frames.height * frames.width * 3;
    const source = frames.data.subarray(begin, begin + frames.height * frames.width * 3);
    stretchRows(source, frames.height, frames.width, columns, stretched);
    const target = data.subarray(frame * height * width * 3, (frame + 1) * height * width * 3);
    for (let y = 0; y < height; y++) {
      const upper = rows.first[y]! * width * 3;
      const lower = rows.second[y]! * width * 3;
      const upperWeight = rows.firstWeight[y]!;
      const lowerWeight = rows.secondWeight[y]!;
      for (let x = 0; x < width * 3; x++) {
        // OpenCV drops bits twice on the way, and rounds only at the end.
        const sum =
          ((upperWeight * (stretched[upper + x]! >> 4)) >> 16) +
          ((lowerWeight * (stretched[lower + x]! >> 4)) >> 16);
        target[y * width * 3 + x] = (sum + 2) >> 2;
      }
    }
  }
  return { data, count: frames.count, height, width };
}

/** The horizontal pass of one picture: `[height, width, 3]` bytes to `[height, newWidth, 3]`, times 2048. */
function stretchRows(
  source: Uint8Array,
  height: number,
  width: number,
  columns: AxisPlan,
  target: Int32Array,
): void {
  const newWidth = columns.first.length;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++) {
      const left = (y * width + columns.first[x]!) * 3;
      const right = (y * width + columns.second[x]!) * 3;
      const to = (y * newWidth + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        target[to + channel] =
          source[left + channel]! * columns.firstWeight[x]! +
          source[right + channel]! * columns.secondWeight[x]!;
      }
    }
  }
}
