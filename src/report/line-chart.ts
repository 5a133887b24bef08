import { escapeHtml } from './page.ts';

/** A point of a curve. */
export type Point = readonly [x: number, y: number];

export interface Curve {
  readonly name: string;
  readonly points: readonly Point[];
  /** Drawn thin and pale. */
  readonly isFaint?: boolean;
  /** One of the page's four colours, from 0; by its place unless given. */
  readonly hue?: number;
  /** Each point is shown, and says its value when pointed at. */
  readonly hasDots?: boolean;
}

export interface LineChart {
  readonly title: string;
  /** What the x axis counts. */
  readonly xName: string;
  readonly curves: readonly Curve[];
  /** Vertical lines with their explanation. */
  readonly marks?: readonly { readonly x: number; readonly title: string }[];
}

/** Rules that the charts of a page need; colours are the variables of `htmlPage`. */
export const lineChartStyle = `
  .chart { margin: 0; } .chart figcaption { font-size: 0.9rem; display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
  .chart figcaption b { margin-right: auto; } .key::before { content: ''; display: inline-block; width: 1.1rem; height: 3px; margin-right: 0.4rem; vertical-align: middle; background: currentColor; }
  .curve { fill: none; stroke-width: 2; stroke: currentColor; stroke-linejoin: round; } .faint { stroke-width: 1; opacity: 0.4; } .mark { stroke: var(--muted); stroke-dasharray: 3 4; }
  .dot { fill: currentColor; } .hue-0 { color: var(--hue-0); } .hue-1 { color: var(--hue-1); } .hue-2 { color: var(--hue-2); } .hue-3 { color: var(--hue-3); }`;

const hues = 4;
const hueOf = ({ hue }: Curve, place: number): string => `hue-${(hue ?? place) % hues}`;
const [width, height, left, right, top, bottom] = [640, 240, 58, 14, 12, 26];
/** More points than that say nothing more in a picture of this width. */
const mostPoints = 1000;

/** `1, 2, 5, 10, 20, ...`: the smallest that divides a range into at most so many parts. */
function niceStep(range: number, parts: number): number {
  const raw = range / parts;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw * 0.999_999)!;
}

/** Round numbers between two ends, both included where they are round. */
export function ticks(low: number, high: number, parts: number): number[] {
  const step = niceStep(high - low, parts);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Short text of a number on an axis: `0.25`, `1.5k`, `2e-5`. */
export function tickText(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e6 || size < 1e-3) return value.toExponential().replace('e+', 'e');
  return size >= 1e4 ? `${Number((value / 1000).toPrecision(6))}k` : String(Number(value.toPrecision(6)));
}

/** The lowest and the highest point of each stretch, so that a thinned curve shows every peak. */
export function thin(points: readonly Point[], most = mostPoints): readonly Point[] {
  if (points.length <= most) return points;
  const stretches = Math.floor(most / 2);
  return Array.from({ length: stretches }, (_, i) => {
    const part = points.slice(
      Math.floor((i * points.length) / stretches),
      Math.floor(((i + 1) * points.length) / stretches),
    );
    const low = part.reduce((best, point) => (point[1] < best[1] ? point : best));
    const high = part.reduce((best, point) => (point[1] > best[1] ? point : best));
    return low === high ? [low] : [low, high].sort((a, b) => a[0] - b[0]);
  }).flat();
}

/**
 * Exponentially weighted mean of what came so far, without the pull to the first value (as TensorBoard smooths).
 * @param weight of the past, from 0 to below 1
 */
export function smooth(points: readonly Point[], weight: number): Point[] {
  let mean = 0;
  let total = 0;
  return points.map(([x, y]) => {
    mean = weight * mean + (1 - weight) * y;
    total = weight * total + (1 - weight);
    return [x, mean / total];
  });
}

/** Ends of an axis that holds all values, also where there is only one. */
function ends(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low < high) return [low, high];
  if (low === 0) return [0, 1];
  const room = Math.abs(low) / 10;
  return [low - room, high + room];
}

/**
 * Curves as a figure with an inline SVG, without scripts. Numbers that are not finite are left out; where no number is
 * left it says so.
 */
export function lineChart({ title, xName, curves, marks = [] }: LineChart): string {
  const finite = curves.map((curve) => ({
    ...curve,
    points: curve.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)),
  }));
  const drawn = finite.filter(({ points }) => points.length > 0);
  const caption = `<b>${escapeHtml(title)}</b>`;
  if (drawn.length === 0) {
    return `<figure class="chart"><figcaption>${caption}</figcaption><p class="empty">Nothing was recorded.</p></figure>`;
  }
  const all = drawn.flatMap(({ points }) => points);
  const [xLow, xHigh] = ends(all.map(([x]) => x));
  const [low, high] = ends(all.map(([, y]) => y));
  const [yLow, yHigh] = [low - (high - low) * 0.04, high + (high - low) * 0.04];
  const x = (value: number): string =>
    (left + ((value - xLow) / (xHigh - xLow)) * (width - left - right)).toFixed(1);
  const y = (value: number): string =>
    (height - bottom - ((value - yLow) / (yHigh - yLow)) * (height - top - bottom)).toFixed(1);
  const rows = ticks(yLow, yHigh, 6).map(
    (value) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}" class="grid"/><text x="${left - 6}" y="${y(value)}" dy="4" class="tick" text-anchor="end">${tickText(value)}</text>`,
  );
  // Steps are whole numbers.
  const columns = ticks(xLow, xHigh, 6).filter(Number.isInteger);
  const foot = columns.map(
    (value) =>
      `<text x="${x(value)}" y="${height - 8}" class="tick" text-anchor="middle">${tickText(value)}</text>`,
  );
  const lines = marks
    .filter((mark) => mark.x >= xLow && mark.x <= xHigh)
    .map(
      (mark) =>
        `<line x1="${x(mark.x)}" x2="${x(mark.x)}" y1="${top}" y2="${height - bottom}" class="mark"><title>${escapeHtml(mark.title)}</title></line>`,
    );
  const paths = drawn.map((curve, i) => drawCurve(curve, hueOf(curve, i), x, y));
  const keys =
    drawn.length === 1
      ? []
      : drawn.map(
          (curve, i) =>
            `<span class="key ${hueOf(curve, i)}${curve.isFaint === true ? ' faint' : ''}">${escapeHtml(curve.name)}</span>`,
        );
  const svg = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${title} over ${xName}`)}">${rows.join('')}${foot.join('')}${lines.join('')}${paths.join('')}</svg>`;
  return `<figure class="chart"><figcaption>${caption}${keys.join('')}</figcaption>${svg}</figure>`;
}

function drawCurve(
  { name, points, isFaint = false, hasDots = false }: Curve,
  hue: string,
  x: (value: number) => string,
  y: (value: number) => string,
): string {
  const shown = thin(points);
  const line = `<polyline points="${shown.map(([a, b]) => `${x(a)},${y(b)}`).join(' ')}" class="curve ${hue}${isFaint ? ' faint' : ''}"/>`;
  // A line needs two points.
  if (!hasDots && shown.length > 1) return line;
  const dots = shown.map(
    ([a, b]) =>
      `<circle cx="${x(a)}" cy="${y(b)}" r="3" class="dot ${hue}"><title>${escapeHtml(`${name}, ${a}: ${b}`)}</title></circle>`,
  );
  return line + dots.join('');
}
