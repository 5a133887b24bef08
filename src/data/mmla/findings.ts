import type { MmlaFault } from './format.ts';
import type { LeakageReport, MmlaPart } from './leakage.ts';
import type { MmlaRecord } from './records.ts';
import type { MmlaSplit, MmlaTaskKey } from './tasks.ts';

/** A fault of the row that a record was read from. */
export function faultOf({ origin }: Pick<MmlaRecord, 'origin'>, message: string): MmlaFault {
  const [, file = origin, row] = /^(.*), row (\d+)$/s.exec(origin) ?? [];
  return { file, row: row === undefined ? null : Number(row), message };
}

/** For people: `FILE, row N: what is wrong`. */
export const formatFault = ({ file, row, message }: MmlaFault): string =>
  `${file}${row === null ? '' : `, row ${row}`}: ${message}`;

/** Something about a task that is not in a row. */
export interface MmlaFinding {
  readonly part: 'task' | 'split' | 'count' | 'media';
  /** Whether the task is not whole for it. */
  readonly needed: boolean;
  readonly message: string;
}

/** A split as it was found. */
export interface SplitReport {
  readonly split: MmlaSplit;
  /** Null where it is not there. */
  readonly file: string | null;
  /** Null where the file could not be read. */
  readonly format: string | null;
  readonly samples: number;
  /** Of the released files. */
  readonly expected: number;
  /** Samples by label, all labels of the task. */
  readonly labels: Readonly<Record<string, number>>;
}

/** A task as it was found. */
export interface TaskReport {
  readonly task: MmlaTaskKey;
  readonly title: string;
  /** Whether nothing of it was found. */
  readonly absent: boolean;
  readonly splits: readonly SplitReport[];
  /** Samples whose video was found; null where videos are not wanted. */
  readonly videos: number | null;
  readonly findings: readonly MmlaFinding[];
  readonly faults: readonly MmlaFault[];
}

/** A check of files of MMLA. */
export interface MmlaReport {
  readonly root: string;
  /** Null where videos are not wanted. */
  readonly mediaRoot: string | null;
  /** Whether all is whole. */
  readonly ok: boolean;
  readonly samples: number;
  readonly tasks: readonly TaskReport[];
  readonly leakage: LeakageReport;
}

/** What a report lists as faults. */
export const countFaults = ({ tasks }: MmlaReport): number =>
  tasks.reduce(
    (sum, { faults, findings }) => sum + faults.length + findings.filter(({ needed }) => needed).length,
    0,
  );

/** Faults of a task shown to people; JSON has all. */
const faultsShown = 200;

function taskLines({ task, title, absent, splits, videos, findings, faults }: TaskReport): string[] {
  const lines = [`${task}${title === task ? '' : ` (${title})`}${absent ? ': absent' : ''}`];
  for (const { split, file, format, samples, labels } of splits) {
    if (file === null) continue;
    lines.push(`  ${split}: ${samples} samples, ${format ?? 'cannot be read'}: ${file}`);
    const counts = Object.entries(labels).map(([label, count]) => `${label} ${count}`);
    if (samples > 0) lines.push(`    ${counts.join(', ')}`);
  }
  if (videos !== null && !absent) lines.push(`  videos of ${videos} samples`);
  for (const { needed, message } of findings) lines.push(`  ${needed ? 'FAULT' : 'note '} ${message}`);
  for (const fault of faults.slice(0, faultsShown)) lines.push(`  FAULT ${formatFault(fault)}`);
  if (faults.length > faultsShown) {
    lines.push(`  and ${faults.length - faultsShown} faults more; --json lists all`);
  }
  return lines;
}

const percent = (fraction: number): string => `${(100 * fraction).toFixed(1)} %`;
const named = ({ task, split }: MmlaPart): string => `${task} ${split}`;

function leakageLines({ clips, texts }: LeakageReport): string[] {
  const clipLines = clips.map(
    ({ heldOut, training, shared, samples, fraction }) =>
      `  ${named(heldOut)}: ${shared} of ${samples} clips (${percent(fraction)}) are in ${named(training)}`,
  );
  const textLines = texts.map(
    ({ heldOut, against, shared, samples, fraction }) =>
      `  ${named(heldOut)}: ${shared} of ${samples} texts (${percent(fraction)}) are in ${against.join(' and ')}`,
  );
  return [
    ...(clipLines.length === 0 ? [] : ['Clips that splits share', ...clipLines]),
    ...(textLines.length === 0
      ? []
      : ['Words that splits share, in lower case and without a final full stop', ...textLines]),
  ];
}

/** The report for people, several lines. */
export function formatMmlaReport(report: MmlaReport): string {
  const { root, mediaRoot, ok, samples, tasks, leakage } = report;
  const faults = countFaults(report);
  const lines = [
    `MMLA in ${root}${mediaRoot === null ? ', text only' : `, videos in ${mediaRoot}`}`,
    ...tasks.flatMap(taskLines),
    ...leakageLines(leakage),
    `${samples} samples, ${ok ? 'no faults' : `${faults} ${faults === 1 ? 'fault' : 'faults'}`}`,
  ];
  return `${lines.join('\n')}\n`;
}
