import { escapeHtml } from './page.ts';

/** A header and rows of cells. All columns but the first hold numbers unless told otherwise. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns that hold text; default: the first. */
  readonly textColumns?: readonly number[];
  /** Which cells stand out in bold; none where absent. */
  readonly isStrong?: (row: number, column: number) => boolean;
}

const isText = ({ textColumns = [0] }: Table, column: number): boolean => textColumns.includes(column);

/** A pipe table, padded so that it can be read as it is. */
export function markdownTable(table: Table): string {
  const rows = table.rows.map((row, i) =>
    row.map((cell, column) => (table.isStrong?.(i, column) ? `**${cell}**` : cell)),
  );
  const escaped = [table.head, ...rows].map((row) =>
    row.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*[\r\n]+\s*/g, ' ')),
  );
  const widths = table.head.map((_, column) => Math.max(3, ...escaped.map((row) => row[column]!.length)));
  const lines = escaped.map((row) =>
    row.map((cell, column) =>
      isText(table, column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    ),
  );
  const rule = widths.map((width, column) =>
    isText(table, column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  lines.splice(1, 0, rule);
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

/** The same as HTML; cells are escaped. */
export function htmlTable(table: Table): string {
  const cell = (tag: 'td' | 'th', row: number) => (text: string, column: number) => {
    const escaped = escapeHtml(text);
    const shown = tag === 'td' && table.isStrong?.(row, column) ? `<strong>${escaped}</strong>` : escaped;
    return `<${tag}${isText(table, column) ? '' : ' class="number"'}>${shown}</${tag}>`;
  };
  const head = `<tr>${table.head.map(cell('th', -1)).join('')}</tr>`;
  const rows = table.rows.map((row, i) => `<tr>${row.map(cell('td', i)).join('')}</tr>`);
  return `<table>${head}\n${rows.join('\n')}</table>`;
}

/** A fraction as percent with two decimals; a dash where there is none. */
export function percent(fraction: number | null | undefined): string {
  return fraction === null || fraction === undefined || Number.isNaN(fraction)
    ? '–'
    : (100 * fraction).toFixed(2);
}
