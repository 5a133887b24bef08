import type { Comparison } from './handler.ts';
import type { FixtureReport, Report } from './runner.ts';

const scientific = (value: number): string => (Number.isFinite(value) ? value.toExponential(2) : '-');

/** The largest error of a folder, as a share of its tolerance; tensors that have to be equal aside. */
function worstShare(tensors: readonly Comparison[]): Comparison | undefined {
  const share = ({ maxAbsError, tolerance }: Comparison): number => maxAbsError / tolerance;
  const shared = tensors.filter((comparison) => Number.isFinite(share(comparison)));
  return shared.reduce<Comparison | undefined>(
    (worst, comparison) => (worst === undefined || share(comparison) > share(worst) ? comparison : worst),
    undefined,
  );
}

/** What a folder came to, in one line. */
function summary({ folder, kind, ok, seconds, tensors, error, undescribed }: FixtureReport): string {
  const parts = [`${ok ? 'ok  ' : 'MISS'} ${folder}`];
  if (kind !== null) parts.push(kind);
  const misses = tensors.filter((comparison) => !comparison.ok).length;
  if (tensors.length > 0) parts.push(`${tensors.length - misses} of ${tensors.length} tensors`);
  const worst = worstShare(tensors);
  if (worst !== undefined) {
    const percent = ((100 * worst.maxAbsError) / worst.tolerance).toFixed(1);
    parts.push(`largest error ${percent} % of its tolerance (${worst.tensor})`);
  }
  parts.push(`${seconds.toFixed(1)} s`);
  if (error !== undefined) parts.push(error);
  if (undescribed !== undefined) {
    parts.push(`not compared, as golden.json does not describe them: ${undescribed.join(', ')}`);
  }
  return parts.join(' | ');
}

/** A table of a folder's tensors, misses marked, and its summary. */
export function formatFixture(report: FixtureReport): string {
  const head = ['tensor', 'max abs error', 'max rel error', 'tolerance', 'ok', ''];
  const rows = report.tensors.map((comparison) => [
    comparison.tensor,
    scientific(comparison.maxAbsError),
    scientific(comparison.maxRelError),
    scientific(comparison.tolerance),
    comparison.ok ? 'ok' : 'MISS',
    comparison.note ?? '',
  ]);
  const table = report.tensors.length === 0 ? [] : [head, ...rows];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => {
        if (column === head.length - 1) return cell;
        return column === 0 || column === 4 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
      })
      .join('  ')
      .trimEnd(),
  );
  return `${[...lines, summary(report), ''].join('\n')}\n`;
}

/** The last line: how many folders hold. */
export function formatTotal({ engine, fixtures, ok }: Report): string {
  const good = fixtures.filter((fixture) => fixture.ok).length;
  return `${ok ? 'ok' : 'MISS'}: ${good} of ${fixtures.length} folders on ${engine}\n`;
}

/** One JSON document; numbers that are none (a tensor that was not computed) are null there. */
export const formatJson = (report: Report): string => `${JSON.stringify(report)}\n`;
