import { basename } from 'node:path';
import type { Program } from '../processes.ts';
import { type BackendOptions, optionError } from './due.ts';

/** Options of sbatch that the script needs as they are. */
const ownOptions = [
  ...['array', 'output', 'error', 'open-mode', 'requeue', 'no-requeue', 'chdir', 'wrap', 'parsable'],
  ...['wait', 'test-only', 'help', 'version', 'ntasks', 'nodes'],
];

/** What a Slurm job array is made of. */
export interface SlurmScriptOptions {
  /** Of the sweep: names the job. */
  readonly output: string;
  /** Folder of this submission, absolute: the list of points, and what the tasks write. */
  readonly folder: string;
  /** The working folder, absolute: paths of configurations are relative to it. */
  readonly workingFolder: string;
  readonly points: number;
  /** Tasks at a time; all that fit where undefined. */
  readonly parallel: number | undefined;
  readonly program: Program;
  /** Further `#SBATCH` options by name, such as `partition`. */
  readonly options: BackendOptions;
}

/** File of a submission: the folder of each point, by task of the array. */
export const taskListName = 'points.txt';

/** A word for the shell, whatever is in it. */
export const shellWord = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * @throws InputError `SWEEP_BACKEND_OPTION` for options that the script sets itself, and a signal of another kind
 */
export function checkSlurmOptions(options: BackendOptions): void {
  const faults = [...options.keys()]
    .filter((name) => ownOptions.includes(name))
    .map((name) => `${name} is set by the sweep itself`);
  const signal = options.get('signal');
  if (signal !== undefined && !/^B:USR2@\d+$/.test(signal)) {
    faults.push(`signal is "${signal}"; expected B:USR2@SECONDS, on which a training saves and is requeued`);
  }
  if (faults.length > 0) throw optionError('--slurm-option', faults);
}

/**
 * The script of a job array: task i works on the point in line i + 1 of `points.txt`. Before its time limit a task is sent
 * SIGUSR2: the training saves and exits with 75, and the task is queued again to go on from there.
 */
export function slurmScript(given: SlurmScriptOptions): string {
  const { output, folder, workingFolder, points, parallel, program, options } = given;
  const settings = new Map<string, string>([
    ['job-name', `affectgpt-${basename(output).replaceAll(/[^A-Za-z0-9._-]+/g, '-')}`],
    ['signal', 'B:USR2@120'],
    ...options,
    ['array', `0-${points - 1}${parallel === undefined ? '' : `%${parallel}`}`],
    ['nodes', '1'],
    ['ntasks', '1'],
    ['chdir', workingFolder],
    ['output', `${folder}/task-%a.txt`],
    ['open-mode', 'append'],
    ['requeue', ''],
  ]);
  const lines = [...settings].map(([name, value]) =>
    value === '' ? `#SBATCH --${name}` : `#SBATCH --${name}=${/[\s"']/.test(value) ? quoted(value) : value}`,
  );
  return `#!/bin/bash
${lines.join('\n')}

# One task works on one point. Whoever is first claims it, so a point that is done or worked on is never repeated.
mapfile -t points < ${shellWord(`${folder}/${taskListName}`)}
point="\${points[$SLURM_ARRAY_TASK_ID]}"

# The batch shell gets the signals: they are passed on, and what the training does with them is waited for.
child=; signal=; passed=
pass_on() { signal="$1"; if [ -n "$child" ]; then passed=1; kill -s "$signal" "$child"; fi; }
trap 'pass_on USR2' USR2
trap 'pass_on TERM' TERM
${program.map(shellWord).join(' ')} sweep --point "$point" --wait --threads "\${SLURM_CPUS_PER_TASK:-1}" &
child=$!
# Once only: a second signal would end it without saving.
if [ -n "$signal" ] && [ -z "$passed" ]; then kill -s "$signal" "$child"; fi
wait "$child"; code=$?
# A wait that a signal ended says nothing about the training: it is waited for again. 127: it was gone already.
while [ -n "$signal" ] && [ "$code" -gt 128 ]; do
  signal=; wait "$child"; again=$?
  if [ "$again" -ne 127 ]; then code=$again; fi
done

# 75: saved on SIGUSR2. 140: ended by it while nothing was to be saved, as between training and scoring.
if [ "$code" -eq 75 ] || [ "$code" -eq 140 ]; then
  echo "Queued again, to go on from what was saved."
  scontrol requeue "\${SLURM_ARRAY_JOB_ID}_\${SLURM_ARRAY_TASK_ID}" && exit 0
fi
exit "$code"
`;
}

/** A value of an `#SBATCH` line with spaces in it. */
const quoted = (value: string): string => `"${value.replaceAll(/(["\\])/g, '\\$1')}"`;
