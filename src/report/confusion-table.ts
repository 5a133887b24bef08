import { escapeHtml } from './page.ts';

export interface ConfusionCounts {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** `[row][column]` */
  readonly counts: readonly (readonly number[])[];
}

/** A confusion as a table whose cells are the darker the greater their share of the row. */
export function confusionTable({ rows, columns, counts }: ConfusionCounts): string {
  const head = `<tr><th>label \\ answer</th>${columns.map((column) => `<th class="number">${escapeHtml(column)}</th>`).join('')}</tr>`;
  const body = rows.map((row, i) => {
    const sum = counts[i]!.reduce((total, count) => total + count, 0);
    const cells = counts[i]!.map((count, j) => {
      const share = sum === 0 ? 0 : count / sum;
      const isRight = columns[j] === row;
      const colour = isRight ? '42, 138, 87' : '179, 55, 47';
      const text = count === 0 ? '' : Number.isInteger(count) ? String(count) : count.toFixed(1);
      return `<td class="number" style="background: rgba(${colour}, ${(0.75 * share).toFixed(2)})">${text}</td>`;
    });
    return `<tr><th>${escapeHtml(row)}</th>${cells.join('')}</tr>`;
  });
  return `<div class="wide"><table>${head}\n${body.join('\n')}</table></div>`;
}
