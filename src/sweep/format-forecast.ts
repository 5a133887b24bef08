import { formatBytes } from '../../train/dry-run/format.ts';
import { formatDuration } from '../../train/progress.ts';
import type { SweepForecast } from './forecast.ts';

const grouped = (count: number): string => count.toLocaleString('en-US');

/** `1 d 2h 03m` */
function duration(seconds: number | null): string {
  if (seconds === null) return 'not measured';
  const days = Math.floor(seconds / 86_400);
  return days === 0 ? formatDuration(seconds) : `${days} d ${formatDuration(seconds - days * 86_400)}`;
}

const bytes = (value: number | null): string => (value === null ? 'unknown' : formatBytes(value));

/** Rows of cells with columns of equal width; the first is left-aligned. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  '),
  );
}

/** The forecast for people, several lines. */
export function formatForecast(forecast: SweepForecast): string {
  const { dryRun, sweep, output, parallel, threads, points, features, totals } = forecast;
  const number = (key: string) => `F${features.findIndex((one) => one.key === key) + 1}`;
  const table = aligned([
    ['point', 'state', 'trainable', 'training', 'memory', 'disk', 'features'],
    ...points.map((point) => [
      ...[point.id, point.state, grouped(point.trainableParameters), duration(point.seconds)],
      ...[
        bytes(point.memoryBytes),
        formatBytes(point.diskBytes),
        point.features.map(number).join(' ') || '–',
      ],
    ]),
  ]);
  const shared = features.map(
    (set) =>
      `  ${number(set.key)}: ${set.title}: ${bytes(set.bytes)}, computed once, read by ${set.points.length} of ${points.length} points`,
  );
  const atOnce =
    parallel === 1
      ? 'one point at a time, on all cores'
      : `${parallel} points at a time, ${threads} ${threads === 1 ? 'thread' : 'threads'} each (where engine.threads is not set). The number of threads is part of what makes results the same bit for bit: compare runs of the same number`;
  const memory =
    totals.memoryBytes !== null && totals.memoryBytes > totals.machineBytes
      ? ' - MORE THAN THIS MACHINE HAS'
      : '';
  const disk = totals.diskBytes > totals.freeBytes ? ' - NOT ENOUGH' : '';
  const lines = [
    dryRun === 'run'
      ? 'Dry run of a sweep: a few steps of each distinct shape were run in memory; nothing was written.'
      : 'Dry run of a sweep from shapes alone: no weight was read, nothing was run or written.',
    `${sweep}: ${points.length} points in ${output}, ${totals.points} not done; ${atOnce}.`,
    ...table,
    'Shared',
    ...(shared.length === 0 ? ['  nothing: no features are needed, or none are cached'] : shared),
    'In all, of the points that are not done',
    `  training: ${duration(totals.trainingSeconds)} of computing, ${duration(totals.wallSeconds)} from start to end`,
    `  features: ${totals.featureSecondsAtMost === null ? 'not measured' : `${duration(totals.featureSecondsAtMost)} at most, where none is cached`}`,
    `  memory: ${bytes(totals.memoryBytes)} of this machine's ${formatBytes(totals.machineBytes)}${memory}`,
    `  disk: ${formatBytes(totals.diskBytes)}, where ${formatBytes(totals.freeBytes)} are free${disk}`,
  ];
  return `${lines.join('\n')}\n`;
}
