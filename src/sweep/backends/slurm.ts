import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { EngineError, InputError } from '../../errors.ts';
import { removeFolderAtomic, writeFileAtomic, writeFolderAtomic } from '../../io/atomic.ts';
import { fileError, readText } from '../../io/filesystem.ts';
import { markdownTable } from '../../report/table.ts';
import type { Program } from '../processes.ts';
import { prepareSweep } from '../snapshot.ts';
import { type BackendOptions, countStates, duePoints, type SubmitRequest, surveyPoints } from './due.ts';
import { checkSlurmOptions, slurmScript, taskListName } from './slurm-script.ts';
import { isActive, type RunTool, readTasks, runTool, type SlurmTask, said } from './slurm-tasks.ts';

/** Folder in that of a sweep: a folder for each submission. */
const submissionsName = 'slurm';
const scriptName = 'job.sh';
const jobName = 'job.json';

const jobSchema = z.object({
  jobId: z.string(),
  submittedAt: z.iso.datetime(),
  /** Names of points, by task of the array. */
  points: z.array(z.string()),
});
type Job = z.infer<typeof jobSchema>;

export interface SlurmRequest extends SubmitRequest {
  /** Tasks at a time; all that fit where undefined. */
  readonly parallel: number | undefined;
  readonly options: BackendOptions;
  readonly program: Program;
  readonly notify: (message: string) => void;
  /** Replaced in tests. */
  readonly run?: RunTool;
}

/** Numbers of the submissions that were made, in order. */
async function submissions(output: string): Promise<number[]> {
  const folder = join(output, submissionsName);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw fileError(error, folder, 'read');
  });
  return names.flatMap((name) => (/^\d{4,}$/.test(name) ? [Number(name)] : [])).sort((a, b) => a - b);
}

const submissionFolder = (output: string, number: number): string =>
  join(output, submissionsName, String(number).padStart(4, '0'));

/** Jobs that were submitted for a sweep, the first one first. */
async function readJobs(output: string): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const number of await submissions(output)) {
    const path = join(submissionFolder(output, number), jobName);
    const text = await readText(path).catch((error: unknown) => {
      // It was killed between sbatch and noting what it said: such tasks are kept apart by claims alone.
      if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return undefined;
      throw error;
    });
    if (text === undefined) continue;
    const parsed = jobSchema.safeParse(parseJson(text));
    if (!parsed.success) {
      throw new InputError(
        'SWEEP_FOLDER_INVALID',
        `${path} is not what a submission to Slurm notes. Move it away; claims keep points from running twice.`,
      );
    }
    jobs.push(parsed.data);
  }
  return jobs;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The last task of each point that Slurm knows of, by the name of the point. */
function lastTasks(jobs: readonly Job[], tasks: readonly SlurmTask[]): Map<string, SlurmTask> {
  const last = new Map<string, SlurmTask>();
  for (const { jobId, points } of jobs) {
    for (const task of tasks) {
      const point = task.job === jobId ? points[task.index] : undefined;
      if (point !== undefined) last.set(point, task);
    }
  }
  return last;
}

/** The script for the points that a submission would have, and which these are. */
async function planJob(request: SlurmRequest, number: number) {
  const { sweep, rerunFailed, parallel, program, options, run = runTool } = request;
  checkSlurmOptions(options);
  const found = await surveyPoints(request);
  const jobs = await readJobs(sweep.output);
  const { tasks } = await readTasks(
    jobs.map(({ jobId }) => jobId),
    run,
  );
  const queued = lastTasks(jobs, tasks.filter(isActive));
  const due = duePoints(found, rerunFailed);
  const points = due.filter(({ id }) => !queued.has(id));
  const folder = resolve(submissionFolder(sweep.output, number));
  const places = { output: sweep.output, folder, workingFolder: process.cwd() };
  const script = slurmScript({ ...places, points: points.length, parallel, program, options });
  const inQueue = due.length - points.length;
  const summary = `${countStates(found)}${inQueue === 0 ? '' : `, of which ${inQueue} wait in the queue`}`;
  return { found, points, folder, script, summary };
}

/** The number that the next submission gets. */
const nextNumber = async (output: string): Promise<number> => ((await submissions(output)).at(-1) ?? 0) + 1;

/**
 * The script that would be submitted; nothing is written or submitted.
 * @throws InputError `SWEEP_BACKEND_OPTION`, and those of `selectPoints`; EngineError `SLURM_UNAVAILABLE`
 */
export async function slurmDryRun(request: SlurmRequest): Promise<string> {
  const { points, script, summary } = await planJob(request, await nextNumber(request.sweep.output));
  request.notify(
    `Sweep ${request.sweep.label}: ${summary}; ${points.length} to submit. Nothing is submitted.`,
  );
  return points.length === 0
    ? ''
    : `${script}\n# ${taskListName}:\n${points.map(({ folder }) => `# ${folder}\n`).join('')}`;
}

/**
 * Submits the points that are left as one job array. Points that are done, worked on or in the queue already are left out.
 *
 * @returns the number of the job; undefined where nothing is left
 * @throws InputError `SWEEP_BACKEND_OPTION`, `SLURM_REFUSED` with the reason that Slurm gives, `SWEEP_SUBMITTED_NOW`;
 *   EngineError `SLURM_UNAVAILABLE`; and those of `prepareSweep`
 */
export async function submitToSlurm(request: SlurmRequest): Promise<string | undefined> {
  const { sweep, notify, run = runTool } = request;
  checkSlurmOptions(request.options);
  await prepareSweep(sweep);
  const { points, folder, script, summary } = await planJob(request, await nextNumber(sweep.output));
  notify(`Sweep ${sweep.label}: ${summary}.`);
  if (points.length === 0) {
    notify('Nothing is left to submit.');
    return undefined;
  }
  await writeSubmission(
    folder,
    script,
    points.map((point) => resolve(point.folder)),
  );
  const path = join(folder, scriptName);
  const result = await run('sbatch', ['--parsable', path]);
  const jobId = /^(\d+)(;.*)?$/.exec(result.stdout.trim())?.[1];
  if (result.exitCode !== 0 || jobId === undefined) {
    await removeFolderAtomic(folder);
    if (result.exitCode === undefined) {
      throw new EngineError(
        'SLURM_UNAVAILABLE',
        'sbatch could not be started; submit from a machine of the cluster, with the client of Slurm on the PATH. Nothing was submitted.',
      );
    }
    throw new InputError('SLURM_REFUSED', `sbatch ${said(result)}. Nothing was submitted.`);
  }
  const job: Job = { jobId, submittedAt: new Date().toISOString(), points: points.map(({ id }) => id) };
  await writeFileAtomic(join(folder, jobName), `${JSON.stringify(job, null, 1)}\n`);
  const counted = points.length === 1 ? '1 point' : `${points.length} points`;
  notify(`Submitted ${counted} as job ${jobId}: ${path}.`);
  return jobId;
}

async function writeSubmission(folder: string, script: string, points: readonly string[]): Promise<void> {
  try {
    await writeFolderAtomic(folder, async (temporary) => {
      await writeFileAtomic(join(temporary, scriptName), script);
      await writeFileAtomic(join(temporary, taskListName), points.map((point) => `${point}\n`).join(''));
    });
  } catch (error) {
    if (!(error instanceof InputError) || error.code !== 'FOLDER_EXISTS') throw error;
    throw new InputError(
      'SWEEP_SUBMITTED_NOW',
      'Somebody else submitted this sweep a moment ago. Look at --status; the same command submits what is left.',
    );
  }
}

/**
 * How the points stand on disk, and their last tasks in Slurm.
 * @throws InputError `SWEEP_FOLDER_INVALID`; EngineError `SLURM_UNAVAILABLE`
 */
export async function slurmStatus({
  sweep,
  only,
  notify,
  run = runTool,
}: Pick<SlurmRequest, 'sweep' | 'only' | 'notify' | 'run'>): Promise<string> {
  const found = await surveyPoints({ sweep, only });
  const jobs = await readJobs(sweep.output);
  const view = await readTasks(
    jobs.map(({ jobId }) => jobId),
    run,
  );
  if (view.withoutAccounting !== undefined) {
    notify(`Of tasks that have ended Slurm says nothing here (${view.withoutAccounting}).`);
  }
  const last = lastTasks(jobs, view.tasks);
  const rows = found.map(({ point, state }) => {
    const task = last.get(point.id);
    const slurm = task === undefined ? ['–', '–', '–', '–'] : describeTask(task);
    return [point.id, state, ...slurm];
  });
  const head = ['point', 'on disk', 'task', 'in Slurm', 'exit', 'node'];
  return `${markdownTable({ head, rows, textColumns: head.map((_, i) => i) })}\n${countStates(found)}\n`;
}

const describeTask = ({ job, index, state, exit, node }: SlurmTask): string[] => [
  `${job}_${index}`,
  state,
  state === 'PENDING' || state === 'RUNNING' ? '–' : (exit ?? '–'),
  node ?? '–',
];
