import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { packageVersion } from '../src/config/package-folder.ts';
import { AffectGptError, InputError } from '../src/errors.ts';
import { makeFolder, writeFileAtomic } from '../src/io/atomic.ts';
import { fileError, readText } from '../src/io/filesystem.ts';
import { formatDuration } from './progress.ts';

export const statusName = 'status.json';

const count = z.number().int().min(0);
const time = z.iso.datetime();
const statusSchema = z.object({
  /** As the process itself saw it last; see `describeState`. */
  state: z.enum(['running', 'done', 'interrupted', 'failed']),
  pid: count,
  host: z.string(),
  /** When the process began, in a form to compare: another process may get the same id later. Null where unknown. */
  processStart: z.string().nullable(),
  /** Of the run; resumptions keep it. */
  startedAt: time,
  updatedAt: time,
  /** Steps done, and of the whole run. */
  step: count,
  steps: count,
  /** The last one saved or resumed from. */
  checkpoint: z.string().nullable(),
  exitCode: z.number().int().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  /** Of affectgpt. */
  version: z.string(),
  /** The arguments, program first, that started it; null where it was not started by a command of its own. */
  command: z.array(z.string()).nullable(),
});

/** `status.json` of a run folder. */
export type RunStatus = z.output<typeof statusSchema>;

/** How a training stands that has ended. */
export type RunEnd = Required<Pick<RunStatus, 'exitCode'>> &
  Pick<RunStatus, 'error'> & { readonly state: 'done' | 'interrupted' | 'failed' };

/** Between two writings where nothing happens but steps. */
const writeMilliseconds = 10_000;
/** A process elsewhere that has not written for that long is thought to be gone. */
const staleMilliseconds = 30 * writeMilliseconds;

/**
 * What tells a process from a later one with the same id: boot and start time. Null where the process is gone (or
 * waits to be buried), undefined where the system has no /proc.
 */
export function processStart(pid: number): string | null | undefined {
  let boot: string;
  try {
    boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in brackets, may hold anything; state is the third field, start time the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ['Z', 'X'].includes(fields[0]!) ? null : `${boot}:${fields[19]}`;
  } catch {
    return null;
  }
}

/** Whether the process that wrote a status on this machine is there. */
function isAlive({ pid, processStart: known }: RunStatus): boolean {
  const now = processStart(pid);
  if (now !== undefined) return now !== null && (known === null || now === known);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process is one too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** How a run stands for one who looks at it. */
export interface DescribedState {
  /**
   * As in `RunStatus`, but of a run that calls itself running: `killed` where its process is gone from this machine,
   * `stale` where another machine has not been heard of for five minutes.
   */
  readonly state: RunStatus['state'] | 'killed' | 'stale';
  /** A line for people. */
  readonly text: string;
}

/** @param now milliseconds since 1970 */
export function describeState(status: RunStatus, now = Date.now()): DescribedState {
  const { state, pid, host, step, steps, exitCode, error, updatedAt } = status;
  const done = `${step} of ${steps} steps`;
  if (state === 'done') return { state, text: `done: ${done}` };
  if (state === 'interrupted') return { state, text: `interrupted after ${done} (exit code ${exitCode})` };
  if (state === 'failed') {
    const reason = error === undefined ? '' : `: ${error.code}`;
    return { state, text: `failed after ${done}${reason} (exit code ${exitCode})` };
  }
  const silence = now - Date.parse(updatedAt);
  if (host === hostname()) {
    return isAlive(status)
      ? { state, text: `running: ${done}, process ${pid}` }
      : { state: 'killed', text: `killed after ${done} or later: process ${pid} is gone` };
  }
  return silence <= staleMilliseconds
    ? { state, text: `running: ${done}, process ${pid} on ${host}` }
    : {
        state: 'stale',
        text: `stale: ${done}, not heard of on ${host} for ${formatDuration(silence / 1000)}`,
      };
}

/**
 * The status of a run folder; undefined where none was written.
 * @throws InputError `RUN_STATUS_INVALID`, and those of `readText`
 */
export async function readRunStatus(folder: string): Promise<RunStatus | undefined> {
  const path = join(folder, statusName);
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
  try {
    return statusSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new InputError(
      'RUN_STATUS_INVALID',
      `${path} is not the status of a run. Remove it; the next start writes it anew.`,
      { cause: error },
    );
  }
}

/** How an error ends a run. */
export function endOf(error: unknown): RunEnd {
  const known = error instanceof AffectGptError;
  const code = known ? error.code : 'UNEXPECTED';
  const message = error instanceof Error ? error.message : String(error);
  const exitCode = known ? error.exitCode : 1;
  if (code === 'STOPPED') return { state: 'interrupted', exitCode };
  return { state: 'failed', exitCode, error: { code, message } };
}

/** The status of a run of this process, kept up to date on disk until it is ended. */
export class RunStatusFile {
  readonly #path: string;
  #status: RunStatus;
  #writtenAt = 0;
  #writing: Promise<void> = Promise.resolve();
  readonly #timer: NodeJS.Timeout;

  constructor(folder: string, status: RunStatus) {
    this.#path = join(folder, statusName);
    this.#status = status;
    // Steps may take minutes; the process is there all the same.
    this.#timer = setInterval(() => void this.#write().catch(() => undefined), writeMilliseconds);
    this.#timer.unref();
  }

  /** Notes what has happened: on disk at once where a checkpoint was saved, else at most every ten seconds. */
  async update(change: { readonly step?: number; readonly checkpoint?: string }): Promise<void> {
    this.#status = { ...this.#status, ...change };
    if (change.checkpoint === undefined && Date.now() - this.#writtenAt < writeMilliseconds) return;
    // A full disk is for the checkpoints to report; the status is written again soon.
    await this.#write().catch(() => undefined);
  }

  /** Writes it as it is now. @throws InputError those of `fileError` */
  #write(): Promise<void> {
    this.#writtenAt = Date.now();
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#status = { ...this.#status, updatedAt: new Date().toISOString() };
        return writeFileAtomic(this.#path, `${JSON.stringify(this.#status, null, 2)}\n`);
      });
    return this.#writing;
  }

  /** Writes the first one. @throws InputError those of `fileError` */
  begin(): Promise<void> {
    return this.#write();
  }

  /** The last entry. @throws InputError those of `fileError` */
  async end({ state, exitCode, error }: RunEnd): Promise<void> {
    clearInterval(this.#timer);
    this.#status = { ...this.#status, state, exitCode, ...(error && { error }) };
    await this.#write();
  }
}

/** Where a run begins or goes on. */
export interface RunStart {
  readonly step: number;
  readonly steps: number;
  readonly checkpoint: string | null;
  readonly command: readonly string[] | null;
}

/**
 * Says in a run folder that this process is at work there. A guard against mistakes, not a lock: two that start at the
 * same moment both pass.
 *
 * @throws InputError `RUN_IN_USE` where another process of this machine is at work there, and those of `fileError`
 */
export async function openRunStatus(folder: string, start: RunStart): Promise<RunStatusFile> {
  // A damaged one is replaced.
  const before = await readRunStatus(folder).catch(() => undefined);
  const isOther = before?.host === hostname() && before.pid !== process.pid;
  if (before?.state === 'running' && isOther && before.processStart !== null && isAlive(before)) {
    throw new InputError(
      'RUN_IN_USE',
      `${folder} is in use: process ${before.pid} trains there (since ${before.startedAt}). Wait for it, stop it, or choose another output folder.`,
    );
  }
  const now = new Date().toISOString();
  await makeFolder(folder).catch((error: unknown) => {
    throw fileError(error, folder, 'write');
  });
  const file = new RunStatusFile(folder, {
    state: 'running',
    ...{ pid: process.pid, host: hostname(), processStart: processStart(process.pid) ?? null },
    // A run that has saved nothing begins anew.
    startedAt: start.checkpoint === null ? now : (before?.startedAt ?? now),
    updatedAt: now,
    ...{ step: start.step, steps: start.steps, checkpoint: start.checkpoint },
    version: packageVersion(),
    command: start.command === null ? null : [...start.command],
  });
  await file.begin();
  return file;
}

/**
 * Runs a training and notes in its status how it ended.
 * @param work gets what keeps the status; it begins when the run is known to be a new one or the same as before
 */
export async function withRunStatus<
  T extends { readonly exitCode: number; readonly status: RunEnd['state'] },
>(work: (begin: (folder: string, start: RunStart) => Promise<RunStatusFile>) => Promise<T>): Promise<T> {
  let file: RunStatusFile | undefined;
  try {
    const outcome = await work(async (folder, start) => {
      file = await openRunStatus(folder, start);
      return file;
    });
    await file?.end({ state: outcome.status, exitCode: outcome.exitCode });
    return outcome;
  } catch (error) {
    // The error itself is what counts, also where the disk is too full to note it.
    await file?.end(endOf(error)).catch(() => undefined);
    throw error;
  }
}
