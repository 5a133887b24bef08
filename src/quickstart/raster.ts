/** Colour as red, green, blue in 0..255. */
export type Colour = readonly [number, number, number];

/** Sub-scanlines per pixel row: coverage is exact along x and sampled this often along y. */
const ROWS = 3;

/**
 * An RGB picture, row-major [height, width, 3], with one drawing operation: filling an anti-aliased polygon.
 * Ellipses, strokes and curves become polygons by the functions below.
 */
export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8ClampedArray;
  #coverage: Float32Array;
  #crossings: number[] = [];

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint8ClampedArray(width * height * 3);
    this.#coverage = new Float32Array(width + 2);
  }

  /** Fills by the even-odd rule; `points` are x, y pairs in pixels. */
  fillPolygon(points: readonly number[], colour: Colour): void {
    const count = points.length / 2;
    let top = Number.POSITIVE_INFINITY;
    let bottom = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      const y = points[2 * i + 1]!;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
    const first = Math.max(0, Math.floor(top));
    const last = Math.min(this.height - 1, Math.floor(bottom));
    for (let row = first; row <= last; row++) {
      let left = this.width;
      let right = -1;
      for (let sub = 0; sub < ROWS; sub++) {
        const crossings = this.#cross(points, count, row + (sub + 0.5) / ROWS);
        for (let i = 0; i + 1 < crossings.length; i += 2) {
          const from = Math.max(0, crossings[i]!);
          const to = Math.min(this.width, crossings[i + 1]!);
          if (to <= from) continue;
          left = Math.min(left, Math.floor(from));
          right = Math.max(right, Math.min(this.width - 1, Math.floor(to)));
          this.#addSpan(from, to);
        }
      }
      if (right >= left) this.#blendRow(row, left, right, colour);
    }
  }

  /** Sorted x of the edges that cross the horizontal line at `y`. */
  #cross(points: readonly number[], count: number, y: number): number[] {
    const crossings = this.#crossings;
    crossings.length = 0;
    let x0 = points[2 * count - 2]!;
    let y0 = points[2 * count - 1]!;
    for (let i = 0; i < count; i++) {
      const x1 = points[2 * i]!;
      const y1 = points[2 * i + 1]!;
      if (y0 <= y !== y1 <= y) {
        const x = x0 + ((y - y0) * (x1 - x0)) / (y1 - y0);
        let at = crossings.length;
        while (at > 0 && crossings[at - 1]! > x) {
          crossings[at] = crossings[at - 1]!;
          at--;
        }
        crossings[at] = x;
      }
      x0 = x1;
      y0 = y1;
    }
    return crossings;
  }

  /** Adds one span as differences: a prefix sum over the row gives the coverage of each pixel. */
  #addSpan(from: number, to: number): void {
    const coverage = this.#coverage;
    const a = Math.floor(from);
    const b = Math.floor(to);
    const begin = from - a;
    const end = to - b;
    coverage[a]! += 1 - begin;
    coverage[a + 1]! += begin;
    coverage[b]! -= 1 - end;
    coverage[b + 1]! -= end;
  }

  #blendRow(row: number, left: number, right: number, colour: Colour): void {
    const { pixels } = this;
    const coverage = this.#coverage;
    const [red, green, blue] = colour;
    let sum = 0;
    for (let x = left; x <= right; x++) {
      sum += coverage[x]!;
      coverage[x] = 0;
      const alpha = sum / ROWS;
      if (alpha <= 0.002) continue;
      const at = (row * this.width + x) * 3;
      if (alpha >= 0.998) {
        pixels[at] = red;
        pixels[at + 1] = green;
        pixels[at + 2] = blue;
      } else {
        pixels[at] = pixels[at]! + alpha * (red - pixels[at]!);
        pixels[at + 1] = pixels[at + 1]! + alpha * (green - pixels[at + 1]!);
        pixels[at + 2] = pixels[at + 2]! + alpha * (blue - pixels[at + 2]!);
      }
    }
    coverage[right + 1] = 0;
    coverage[right + 2] = 0;
  }
}

/** Points of an ellipse; `exponent` 2 is a true ellipse, larger is squarer (a superellipse). */
export function ellipse(x: number, y: number, rx: number, ry: number, count = 28, exponent = 2): number[] {
  const points: number[] = [];
  for (let i = 0; i < count; i++) {
    const angle = (2 * Math.PI * i) / count;
    points.push(x + rx * power(Math.cos(angle), 2 / exponent), y + ry * power(Math.sin(angle), 2 / exponent));
  }
  return points;
}

/** Points of the quadratic curve from (x0, y0) to (x1, y1) that passes through (xm, ym) half way. */
export function curve(
  [x0, y0]: readonly [number, number],
  [xm, ym]: readonly [number, number],
  [x1, y1]: readonly [number, number],
  count = 9,
): number[] {
  const cx = 2 * xm - (x0 + x1) / 2;
  const cy = 2 * ym - (y0 + y1) / 2;
  const points: number[] = [];
  for (let i = 0; i < count; i++) {
    const t = i / (count - 1);
    const a = (1 - t) * (1 - t);
    const b = 2 * t * (1 - t);
    const c = t * t;
    points.push(a * x0 + b * cx + c * x1, a * y0 + b * cy + c * y1);
  }
  return points;
}

/** The outline of a line of the given half width along open points; the ends taper to `taper` of it. */
export function stroke(points: readonly number[], halfWidth: number, taper = 1): number[] {
  const count = points.length / 2;
  const forth: number[] = [];
  const back: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = Math.max(0, i - 1);
    const after = Math.min(count - 1, i + 1);
    const dx = points[2 * after]! - points[2 * before]!;
    const dy = points[2 * after + 1]! - points[2 * before + 1]!;
    const middle = 1 - Math.abs((2 * i) / (count - 1) - 1);
    const scale = (halfWidth * (taper + (1 - taper) * middle)) / Math.hypot(dx, dy);
    forth.push(points[2 * i]! - dy * scale, points[2 * i + 1]! + dx * scale);
    back.unshift(points[2 * i]! + dy * scale, points[2 * i + 1]! - dx * scale);
  }
  return [...forth, ...back];
}

/** The same points in the opposite order, to close an outline made of two curves. */
export function reversed(points: readonly number[]): number[] {
  const result: number[] = [];
  for (let i = points.length - 2; i >= 0; i -= 2) {
    result.push(points[i]!, points[i + 1]!);
  }
  return result;
}

function power(value: number, exponent: number): number {
  return Math.sign(value) * Math.abs(value) ** exponent;
}
