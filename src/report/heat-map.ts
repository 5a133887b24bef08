import { escapeHtml } from './page.ts';

export interface HeatMap {
  readonly title: string;
  readonly rowName: string;
  readonly columnName: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** `[row][column]`; undefined where there is none. */
  readonly values: readonly (readonly (number | undefined)[])[];
  readonly format: (value: number) => string;
  /** Whether low values are the strong ones. */
  readonly lowerIsBetter: boolean;
}

/** Rules that a page with heat maps needs. */
export const heatMapStyle = `
  .heat { margin: 0; overflow-x: auto; } .heat svg { width: auto; min-width: 320px; max-width: 100%; } .heat rect { fill: var(--hue-0); stroke: var(--rule); }
  .heat .empty { fill: none; } .heat text { font-size: 13px; fill: var(--ink); } .heat .tick { font-size: 12px; fill: var(--muted); }`;

const [cellWidth, cellHeight, top] = [120, 38, 46];
/** Of one sign of a label. */
const signWidth = 7;
/** So that the values stay readable on the strongest colour. */
const strongest = 0.55;

/** Where a value lies between the worst (0) and the best (1); 1 where all are the same. */
export function strength(value: number, all: readonly number[], lowerIsBetter: boolean): number {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  if (high === low) return 1;
  const part = (value - low) / (high - low);
  return lowerIsBetter ? 1 - part : part;
}

/** Values over two axes as coloured cells, the better the stronger, each with its number. Inline SVG without scripts. */
export function heatMap(map: HeatMap): string {
  const { title, rowName, columnName, rows, columns, values, format, lowerIsBetter } = map;
  const all = values.flat().filter((value) => value !== undefined);
  const left = Math.max(80, 20 + signWidth * Math.max(rowName.length, ...rows.map((row) => row.length)));
  const width = left + cellWidth * columns.length + 10;
  const height = top + cellHeight * rows.length + 10;
  const shorten = (text: string): string =>
    text.length * signWidth <= cellWidth ? text : `${text.slice(0, Math.floor(cellWidth / signWidth) - 1)}…`;
  const heads = columns.map(
    (column, i) =>
      `<text x="${left + cellWidth * (i + 0.5)}" y="${top - 8}" class="tick" text-anchor="middle"><title>${escapeHtml(column)}</title>${escapeHtml(shorten(column))}</text>`,
  );
  const cells = rows.flatMap((row, i) => {
    const y = top + cellHeight * i;
    const name = `<text x="${left - 8}" y="${y + cellHeight / 2}" dy="4" class="tick" text-anchor="end">${escapeHtml(row)}</text>`;
    return [
      name,
      ...columns.map((column, j) => {
        const value = values[i]?.[j];
        const x = left + cellWidth * j;
        const box = `x="${x}" y="${y}" width="${cellWidth}" height="${cellHeight}"`;
        if (value === undefined) return `<rect ${box} class="empty"/>`;
        const opacity = (0.05 + (strongest - 0.05) * strength(value, all, lowerIsBetter)).toFixed(3);
        const label = escapeHtml(`${rowName} ${row}, ${columnName} ${column}: ${format(value)}`);
        return `<rect ${box} fill-opacity="${opacity}"><title>${label}</title></rect><text x="${x + cellWidth / 2}" y="${y + cellHeight / 2}" dy="4" text-anchor="middle">${escapeHtml(format(value))}</text>`;
      }),
    ];
  });
  const names = `<text x="${left - 8}" y="16" class="tick" text-anchor="end">${escapeHtml(rowName)} ↓</text><text x="${left}" y="16" class="tick">${escapeHtml(columnName)} →</text>`;
  const svg = `<svg viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${escapeHtml(title)}">${names}${heads.join('')}${cells.join('')}</svg>`;
  return `<figure class="heat"><figcaption><b>${escapeHtml(title)}</b></figcaption>${svg}</figure>`;
}
