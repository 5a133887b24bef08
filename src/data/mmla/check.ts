import { stat } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.ts';
import { limiter } from '../../io/limiter.ts';
import { faultOf, type MmlaFinding, type MmlaReport, type SplitReport, type TaskReport } from './findings.ts';
import type { MmlaFault, ReadResult } from './format.ts';
import { absentSplit, knownCount } from './known-counts.ts';
import { leakageReport } from './leakage.ts';
import { type LocatedSplit, locateSplits } from './locate.ts';
import { applyMediaRule, type MediaRule, mapMedia } from './media.ts';
import { readMmlaFile } from './read-file.ts';
import type { MmlaRecord } from './records.ts';
import { type MmlaSplit, type MmlaTask, mmlaSplits, mmlaTasks } from './tasks.ts';

/** What the user wants of a check. */
export interface MmlaCheckOptions {
  /** Tasks that have to be there, and the only ones that are looked at; all of the registry where empty. */
  readonly tasks: readonly MmlaTask[];
  /** Folder of the videos; null where they are not wanted. */
  readonly mediaRoot: string | null;
  readonly rules: readonly MediaRule[];
  /** Whether other numbers of samples, absent splits and absent tasks that `tasks` does not name are no faults. */
  readonly partial: boolean;
}

interface ReadSplit {
  readonly split: MmlaSplit;
  readonly file: string;
  /** Files that have the split in other layouts, and are not read. */
  readonly passedOver: readonly string[];
  readonly format: string | null;
  readonly result: ReadResult;
}

/** The splits that are there; none where the task is absent. */
async function locate(root: string, task: MmlaTask): Promise<readonly LocatedSplit[]> {
  try {
    return await locateSplits(root, task);
  } catch (error) {
    if (error instanceof InputError && error.code === 'MMLA_FILES_MISSING') return [];
    throw error;
  }
}

/** Reads a file; one that cannot be read is a fault, too. */
async function readSplit({ split, file, passedOver }: LocatedSplit, task: MmlaTask): Promise<ReadSplit> {
  try {
    const { format, ...result } = await readMmlaFile({ file, task, split });
    return { split, file, passedOver, format, result };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return {
      ...{ split, file, passedOver, format: null },
      result: { records: [], faults: [{ file, row: null, message: error.message }] },
    };
  }
}

/** Clips that another split of the task has, too; within a split the reader finds them. */
function repeatedClips(records: readonly MmlaRecord[]): MmlaFault[] {
  const first = new Map<string, MmlaRecord>();
  return records.flatMap((record) => {
    const earlier = first.get(record.clip);
    if (earlier === undefined) first.set(record.clip, record);
    return earlier === undefined
      ? []
      : [faultOf(record, `the sample ${record.id} is already that of ${earlier.origin}`)];
  });
}

/** Files looked at at a time. */
const filesAtOnce = 8;

/** Videos of 0 bytes: what is left of downloads and archives that broke off. */
async function emptyVideos(records: readonly MmlaRecord[]): Promise<MmlaFault[]> {
  const gate = limiter(filesAtOnce);
  const found = await Promise.all(
    records.map((record) =>
      gate(async () => {
        const status = await stat(record.media!).catch(() => undefined);
        return status?.size === 0 ? [faultOf(record, `the video ${record.media} is empty`)] : [];
      }),
    ),
  );
  return found.flat();
}

interface CheckedMedia {
  readonly found: number;
  readonly faults: readonly MmlaFault[];
  readonly findings: readonly MmlaFinding[];
}

async function checkMedia(
  records: readonly MmlaRecord[],
  task: MmlaTask,
  root: string,
  rules: readonly MediaRule[],
): Promise<CheckedMedia> {
  const mapped = await mapMedia(records, { root, task, rules });
  const there = mapped.records.filter(({ media }) => media !== undefined);
  if (there.length === 0 && !task.hasVideos) {
    const message = 'no videos: the released set has none of this task, which is text only then';
    return { found: 0, faults: [], findings: [{ part: 'media', needed: false, message }] };
  }
  // Where some videos were found that the released set has not, the others are missing.
  const without = task.hasVideos
    ? []
    : mapped.records
        .filter(({ media }) => media === undefined)
        .map((record) => faultOf(record, `the video of "${record.id}" is not below ${path.resolve(root)}`));
  return {
    found: there.length,
    faults: [...mapped.faults, ...without, ...(await emptyVideos(there))],
    findings: [],
  };
}

/** Samples by label, in the order of the registry. */
function countLabels(records: readonly MmlaRecord[], { labels }: MmlaTask): Record<string, number> {
  const counts = Object.fromEntries(labels.map((label) => [label, 0]));
  for (const { label } of records) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

function splitReport(task: MmlaTask, split: MmlaSplit, read: ReadSplit | undefined): SplitReport {
  const records = read?.result.records ?? [];
  return {
    split,
    file: read?.file ?? null,
    format: read?.format ?? null,
    samples: records.length,
    expected: task.counts[split],
    labels: countLabels(records, task),
  };
}

/** What is to be said about the number of samples of a split. */
function countFindings(
  task: MmlaTask,
  { split, file, samples, expected }: SplitReport,
  partial: boolean,
): MmlaFinding[] {
  if (file === null) {
    const known = absentSplit(task, split);
    const message = `${split} is not there${known === undefined ? '' : ` (${known})`}`;
    return [{ part: 'split', needed: !partial, message }];
  }
  if (samples === expected) return [];
  const reason = knownCount(task, split, samples);
  const message = `${split} has ${samples} samples, published are ${expected}`;
  return reason === undefined
    ? [{ part: 'count', needed: !partial, message }]
    : [{ part: 'count', needed: false, message: `${message} (known: ${reason})` }];
}

/** That there are other files with the same split. */
const passedOverFindings = ({ split, file, passedOver }: ReadSplit): MmlaFinding[] =>
  passedOver.length === 0
    ? []
    : [
        {
          ...{ part: 'split', needed: false },
          message: `${split} is read from ${file} and not from ${passedOver.join(', ')}`,
        },
      ];

/** Faults by file and row, those of files as a whole first. */
function inOrder(reads: readonly ReadSplit[], faults: readonly MmlaFault[]): MmlaFault[] {
  const files = reads.map(({ file }) => file);
  return faults.toSorted(
    (one, other) => files.indexOf(one.file) - files.indexOf(other.file) || (one.row ?? 0) - (other.row ?? 0),
  );
}

interface CheckedTask {
  readonly report: TaskReport;
  readonly records: readonly MmlaRecord[];
}

async function checkTask(root: string, task: MmlaTask, options: MmlaCheckOptions): Promise<CheckedTask> {
  const { key, title } = task;
  const reads: ReadSplit[] = [];
  for (const located of await locate(root, task)) reads.push(await readSplit(located, task));
  if (reads.length === 0) {
    const needed = options.tasks.includes(task) || !options.partial;
    const findings = [{ part: 'task', needed, message: 'no file of it was found' } as const];
    return {
      report: { task: key, title, absent: true, splits: [], videos: null, findings, faults: [] },
      records: [],
    };
  }
  const records = reads.flatMap(({ result }) => result.records);
  const splits = mmlaSplits.map((split) =>
    splitReport(
      task,
      split,
      reads.find((read) => read.split === split),
    ),
  );
  const media =
    options.mediaRoot === null ? null : await checkMedia(records, task, options.mediaRoot, options.rules);
  return {
    report: {
      ...{ task: key, title, absent: false, splits },
      videos: media?.found ?? null,
      findings: [
        ...reads.flatMap(passedOverFindings),
        ...splits.flatMap((split) => countFindings(task, split, options.partial)),
        ...(media?.findings ?? []),
      ],
      faults: inOrder(reads, [
        ...reads.flatMap(({ result }) => result.faults),
        ...repeatedClips(records),
        ...(media?.faults ?? []),
      ]),
    },
    records,
  };
}

const asNeeded = (report: TaskReport): TaskReport => ({
  ...report,
  findings: report.findings.map((finding) => ({ ...finding, needed: true })),
});

/** Rules that no path begins with are a mistake: they would change nothing. */
function refuseIdleRules(records: readonly MmlaRecord[], rules: readonly MediaRule[]): void {
  const paths = records.flatMap(({ media }) => media ?? []);
  const idle = rules.filter((rule) => !paths.some((file) => applyMediaRule(rule, file) !== undefined));
  if (idle.length === 0) return;
  const example = paths[0] === undefined ? 'The files name no videos.' : `They name videos like ${paths[0]}.`;
  throw new InputError(
    'MMLA_MAP_UNUSED',
    `No path of a video begins with ${idle.map(({ from }) => from).join(', ')}. ${example}`,
  );
}

async function demandFolder(folder: string): Promise<void> {
  const status = await stat(folder).catch(() => undefined);
  if (status?.isDirectory()) return;
  throw new InputError(
    'DATASET_MISSING',
    `There is no folder ${path.resolve(folder)}. Expected is the one that holds the folders of the tasks.`,
  );
}

/**
 * Checks files of MMLA: what is there in which format, numbers of samples and labels, every fault with file and row, and
 * what splits have in common. Other numbers of samples that are known of released files are told and no faults.
 *
 * @param root folder that holds the files in any of the released layouts
 * @throws InputError `DATASET_MISSING` where a folder is not there, `MMLA_MAP_UNUSED`
 */
export async function checkMmla(root: string, options: MmlaCheckOptions): Promise<MmlaReport> {
  await demandFolder(root);
  if (options.mediaRoot !== null) await demandFolder(options.mediaRoot);
  const wanted = options.tasks.length === 0 ? mmlaTasks : options.tasks;
  const checked: CheckedTask[] = [];
  for (const task of wanted) checked.push(await checkTask(root, task, options));
  const records = checked.flatMap((task) => task.records);
  refuseIdleRules(records, options.rules);
  const reports = checked.map(({ report }) => report);
  // Nothing at all is not a part.
  const tasks = reports.every(({ absent }) => absent) ? reports.map(asNeeded) : reports;
  return {
    root: path.resolve(root),
    mediaRoot: options.mediaRoot === null ? null : path.resolve(options.mediaRoot),
    ok: tasks.every(({ faults, findings }) => faults.length === 0 && findings.every(({ needed }) => !needed)),
    samples: records.length,
    tasks,
    leakage: leakageReport(records),
  };
}
