import { execa } from 'execa';
import { EngineError } from '../../errors.ts';

/** What a command line tool did. */
export interface ToolResult {
  /** Undefined where it could not be started. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line tool; replaced in tests by what was recorded. */
export type RunTool = (command: string, args: readonly string[]) => Promise<ToolResult>;

export const runTool: RunTool = async (command, args) => {
  const { exitCode, stdout, stderr } = await execa(command, args, { reject: false, stdin: 'ignore' });
  return { exitCode, stdout, stderr };
};

/** A task of a job array, as Slurm sees it. */
export interface SlurmTask {
  readonly job: string;
  readonly index: number;
  /** `PENDING`, `RUNNING`, `COMPLETED`, … without what follows it (`CANCELLED by 0`). */
  readonly state: string;
  /** `exit code:signal`; undefined while it has none. */
  readonly exit: string | undefined;
  readonly node: string | undefined;
}

/** States in which Slurm still has something to do with a task. */
const activeStates = [
  ...['PENDING', 'RUNNING', 'REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'CONFIGURING', 'COMPLETING'],
  ...['SUSPENDED', 'RESIZING', 'STOPPED', 'SIGNALING', 'STAGE_OUT', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'],
];

export const isActive = ({ state }: SlurmTask): boolean => activeStates.includes(state);

/** `0`, `5-6`, `1,3-4%2` */
function indices(text: string): number[] {
  return text
    .replace(/%\d+$/, '')
    .split(',')
    .flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number) as [number, number?];
      return Number.isSafeInteger(first) && Number.isSafeInteger(last)
        ? Array.from({ length: last! - first + 1 }, (_, i) => first + i)
        : [];
    });
}

/** `8_3`, or `8_[5-6%2]` for tasks that wait together. */
function tasksOf(id: string): { job: string; index: number }[] {
  const [, job, single, many] = /^(\d+)_(?:(\d+)|\[([^\]]+)\])$/.exec(id) ?? [];
  if (job === undefined) return [];
  return (single === undefined ? indices(many!) : [Number(single)]).map((index) => ({ job, index }));
}

/** What `sacct -X -P -n --format=JobID,State,ExitCode,NodeList` prints. */
export function parseSacct(text: string): SlurmTask[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', state = '', exit, node] = line.split('|');
    return tasksOf(id).map((task) => ({
      ...{ ...task, state: state.split(' ')[0]! },
      exit: exit === '' ? undefined : exit,
      node: node === undefined || /^(None assigned)?$/.test(node) ? undefined : node,
    }));
  });
}

/** What `squeue --array -h -o '%i|%T|%r'` prints. */
export function parseSqueue(text: string): SlurmTask[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', state = ''] = line.split('|');
    return tasksOf(id).map((task) => ({ ...task, state, exit: undefined, node: undefined }));
  });
}

/** All tasks of jobs that Slurm knows of. */
export interface SlurmView {
  readonly tasks: readonly SlurmTask[];
  /** Why there is nothing about tasks that ended; undefined where `sacct` answered. */
  readonly withoutAccounting: string | undefined;
}

/**
 * Asks `sacct` for the tasks of jobs, and `squeue` for those that wait or run: accounting lags behind by seconds, and some
 * clusters have none.
 *
 * @throws EngineError `SLURM_UNAVAILABLE` where neither answers
 */
export async function readTasks(jobs: readonly string[], run: RunTool): Promise<SlurmView> {
  if (jobs.length === 0) return { tasks: [], withoutAccounting: undefined };
  const sacct = await run('sacct', [
    '-X',
    '-P',
    '-n',
    '-j',
    jobs.join(','),
    '--format=JobID,State,ExitCode,NodeList',
  ]);
  const squeue = await run('squeue', ['--me', '--array', '-h', '-o', '%i|%T|%r']);
  if (sacct.exitCode !== 0 && squeue.exitCode !== 0) {
    throw new EngineError(
      'SLURM_UNAVAILABLE',
      `Slurm does not answer: sacct ${said(sacct)}; squeue ${said(squeue)}. Nothing was submitted.`,
    );
  }
  const waiting = squeue.exitCode === 0 ? parseSqueue(squeue.stdout) : [];
  const ended = sacct.exitCode === 0 ? parseSacct(sacct.stdout) : [];
  const tasks = new Map<string, SlurmTask>();
  for (const task of [...ended, ...waiting]) {
    if (!jobs.includes(task.job)) continue;
    const key = `${task.job}_${task.index}`;
    const known = tasks.get(key);
    // Of a task that waits or runs squeue is the one that is up to date; accounting knows the node.
    tasks.set(key, known === undefined ? task : { ...known, state: task.state });
  }
  return {
    tasks: [...tasks.values()],
    withoutAccounting: sacct.exitCode === 0 ? undefined : `sacct ${said(sacct)}`,
  };
}

/** What a tool gave as its reason. */
export const said = ({ exitCode, stdout, stderr }: ToolResult): string =>
  exitCode === undefined
    ? 'could not be started'
    : `ended with exit code ${exitCode}: ${(stderr || stdout).trim().replaceAll(/\s*\n\s*/g, ' ') || 'it gave no reason'}`;
