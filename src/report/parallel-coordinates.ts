import { strength } from './heat-map.ts';
import { escapeHtml } from './page.ts';

export interface ParallelCoordinates {
  readonly title: string;
  /** Axes with their values from top to bottom. */
  readonly axes: readonly { readonly name: string; readonly values: readonly string[] }[];
  /** Name of the last axis, on which `value` of the lines stands. */
  readonly valueName: string;
  readonly lines: readonly {
    readonly name: string;
    /** The place of its value on each axis. */
    readonly places: readonly number[];
    readonly value: number;
  }[];
  readonly format: (value: number) => string;
  readonly lowerIsBetter: boolean;
}

/** Rules that a page with parallel coordinates needs. */
export const parallelCoordinatesStyle = `
  .parallel { margin: 0; } .parallel polyline { fill: none; stroke: var(--hue-0); } .parallel polyline.best { stroke: var(--hue-1); }
  .parallel .axis { stroke: var(--muted); } .parallel text { font-size: 12px; fill: var(--ink); } .parallel .tick { fill: var(--muted); }`;

const [width, height, side, top, bottom] = [880, 300, 90, 44, 20];
const longestLabel = 20;
const shorten = (text: string): string =>
  text.length <= longestLabel ? text : `${text.slice(0, longestLabel - 1)}…`;

/**
 * A line a setting through its values on every axis to its result, the better the stronger, the best in a colour of its
 * own. Inline SVG without scripts.
 */
export function parallelCoordinates(chart: ParallelCoordinates): string {
  const { title, axes, valueName, lines, format, lowerIsBetter } = chart;
  const all = lines.map(({ value }) => value);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = (axis: number): number => side + (axis * (width - 2 * side)) / axes.length;
  const y = (part: number): number => top + part * (height - top - bottom);
  const placeY = (place: number, count: number): number => y(count === 1 ? 0.5 : place / (count - 1));
  const valueY = (value: number): number => y(high === low ? 0.5 : (high - value) / (high - low));
  const head = (at: number, name: string): string =>
    `<line x1="${at}" x2="${at}" y1="${y(0)}" y2="${y(1)}" class="axis"/><text x="${at}" y="${top - 22}" text-anchor="middle"><title>${escapeHtml(name)}</title>${escapeHtml(shorten(name))}</text>`;
  const drawnAxes = axes.map(({ name, values }, axis) => {
    const at = x(axis);
    const labels = values.map((value, place) => {
      const up = placeY(place, values.length) - 5;
      return `<text x="${at + 5}" y="${up.toFixed(1)}" class="tick"><title>${escapeHtml(value)}</title>${escapeHtml(shorten(value))}</text>`;
    });
    return head(at, name) + labels.join('');
  });
  const end = x(axes.length);
  const ends = [...new Set([high, low])].map(
    (value) =>
      `<text x="${end + 6}" y="${valueY(value).toFixed(1)}" dy="4" class="tick">${escapeHtml(format(value))}</text>`,
  );
  // The best ones last, so that they are in front.
  const ordered = lines
    .map((line) => ({ ...line, part: strength(line.value, all, lowerIsBetter) }))
    .sort((a, b) => a.part - b.part);
  const paths = ordered.map(({ name, places, value, part }) => {
    const points = [
      ...places.map((place, axis) => `${x(axis)},${placeY(place, axes[axis]!.values.length).toFixed(1)}`),
      `${end},${valueY(value).toFixed(1)}`,
    ];
    const style = `stroke-opacity="${(0.15 + 0.75 * part).toFixed(3)}" stroke-width="${(1 + 1.5 * part).toFixed(1)}"`;
    return `<polyline points="${points.join(' ')}" ${style}${part === 1 ? ' class="best"' : ''}><title>${escapeHtml(`${name}: ${format(value)}`)}</title></polyline>`;
  });
  const svg = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">${drawnAxes.join('')}${head(end, valueName)}${ends.join('')}${paths.join('')}</svg>`;
  return `<figure class="parallel"><figcaption><b>${escapeHtml(title)}</b></figcaption>${svg}</figure>`;
}
