import { escapeHtml } from './page.ts';
import { percent } from './table.ts';

export interface Bar {
  readonly title: string;
  readonly value: number;
  /** Ends of its interval. */
  readonly interval?: { readonly low: number; readonly high: number };
}

/** Horizontal bars from 0 to 100 %, with whiskers where there are intervals. */
export function barChart(label: string, bars: readonly Bar[]): string {
  const [width, left, right, height, top] = [720, 190, 90, 26, 8];
  const x = (fraction: number): string =>
    (left + Math.min(Math.max(fraction, 0), 1) * (width - left - right)).toFixed(1);
  const bottom = top + bars.length * height;
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (part) =>
      `<line x1="${x(part)}" x2="${x(part)}" y1="${top}" y2="${bottom}" class="grid"/><text x="${x(part)}" y="${bottom + 14}" class="tick" text-anchor="middle">${100 * part}</text>`,
  );
  const drawn = bars.map(({ title, value, interval }, i) => {
    const [middle, barTop] = [top + (i + 0.5) * height, top + i * height + 5];
    const name = `<text x="${left - 8}" y="${middle + 4}" class="legend" text-anchor="end">${escapeHtml(title)}</text>`;
    const text = `<text x="${width - right + 8}" y="${middle + 4}" class="legend">${percent(value)}</text>`;
    if (Number.isNaN(value)) return name + text;
    const bar = `<rect x="${left}" y="${barTop}" width="${(Number(x(value)) - left).toFixed(1)}" height="${height - 10}" class="bar"/>`;
    if (interval === undefined || Number.isNaN(interval.low)) return name + bar + text;
    const [low, high] = [x(interval.low), x(interval.high)];
    const ends = [low, high].map(
      (end) => `<line x1="${end}" x2="${end}" y1="${middle - 5}" y2="${middle + 5}" class="whisker"/>`,
    );
    return `${name}${bar}<line x1="${low}" x2="${high}" y1="${middle}" y2="${middle}" class="whisker"/>${ends.join('')}${text}`;
  });
  return `<svg viewBox="0 0 ${width} ${bottom + 20}" role="img" aria-label="${escapeHtml(label)}">${grid.join('')}${drawn.join('')}</svg>`;
}
