import type { Argv } from 'yargs';
import type { Sweep } from '../sweep/load.ts';
import type { Program } from '../sweep/processes.ts';
import { usageError } from './errors.ts';

export interface BackendArguments {
  backend: 'slurm' | 'kubernetes' | undefined;
  'slurm-option': string[];
  'kubernetes-option': string[];
  submit: boolean;
  status: boolean;
}

/** Options that hand the points over to a cluster. */
export const withBackendOptions = <T>(args: Argv<T>) =>
  args
    .option('backend', {
      choices: ['slurm', 'kubernetes'] as const,
      describe:
        'Instead of running points here: submit a Slurm job array, or write an indexed Kubernetes Job. --parallel then limits what runs at a time (Slurm: no limit by default)',
    })
    .option('slurm-option', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe:
        'With --backend slurm: an option of sbatch, such as partition=gpu, time=12:00:00, gres=gpu:1, mem=32G',
    })
    .option('kubernetes-option', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe:
        'With --backend kubernetes: image=NAME, claim=NAME (both needed), mount, sub-path, cpu, memory, gpu, namespace, service-account, retries-per-point',
    })
    .option('submit', {
      type: 'boolean',
      default: false,
      describe: 'With --backend kubernetes: hand the Job to kubectl, too',
    })
    .option('status', {
      type: 'boolean',
      default: false,
      describe: 'With --backend slurm: say how points stand on disk and in Slurm; nothing is submitted',
    });

/** What of a sweep's command line a backend reads. */
type Given = BackendArguments & {
  readonly only: readonly string[];
  readonly rerun: 'failed' | undefined;
  readonly parallel: number | undefined;
  readonly 'dry-run': boolean;
  readonly 'shapes-only': boolean;
  readonly 'results-only': boolean;
  readonly json: boolean;
};

/** @throws InputError `USAGE` */
export function checkBackendUsage(args: Given): void {
  const { backend, status } = args;
  for (const name of ['slurm-option', 'kubernetes-option'] as const) {
    const of = name.replace('-option', '');
    if (args[name].length > 0 && backend !== of)
      throw usageError(`--${name} is of --backend ${of}; give both.`);
  }
  if (args.submit && backend !== 'kubernetes')
    throw usageError('--submit is of --backend kubernetes; give both.');
  if (status && backend !== 'slurm') throw usageError('--status is of --backend slurm; give both.');
  if (backend === undefined) return;
  for (const name of ['results-only', 'shapes-only', 'json'] as const) {
    if (args[name]) throw usageError(`--${name} is not of --backend; leave one of them out.`);
  }
  if (args.submit && args['dry-run']) throw usageError('--dry-run submits nothing; leave --submit out.');
  if (status && (args['dry-run'] || args.rerun !== undefined || args['slurm-option'].length > 0)) {
    throw usageError('--status submits nothing; leave --dry-run, --rerun and --slurm-option out.');
  }
}

/** Hands the points of a sweep over, or says what would be or was handed over. */
export async function runBackend(
  args: Given,
  sweep: Sweep,
  { program, notify }: { readonly program: Program; readonly notify: (message: string) => void },
): Promise<void> {
  const { parseBackendOptions } = await import('../sweep/backends/due.ts');
  const request = { sweep, only: args.only, rerunFailed: args.rerun === 'failed', notify };
  const print = (text: string): void => void process.stdout.write(text);
  const { checkSnapshot } = await import('../sweep/snapshot.ts');
  const { checkReady } = await import('../sweep/check-ready.ts');
  const { selectPoints } = await import('../sweep/load.ts');
  await checkSnapshot(sweep);
  const ready = () => checkReady(selectPoints(sweep, args.only));
  if (args.backend === 'kubernetes') {
    const { checkKubernetesOptions, kubernetesDryRun, writeKubernetesJob } = await import(
      '../sweep/backends/kubernetes.ts'
    );
    const options = parseBackendOptions('--kubernetes-option', args['kubernetes-option']);
    checkKubernetesOptions(options);
    const job = { ...request, parallel: args.parallel ?? 1, options, submit: args.submit };
    if (args['dry-run']) return print(await kubernetesDryRun(job));
    await ready();
    await writeKubernetesJob(job);
    return;
  }
  const { slurmDryRun, slurmStatus, submitToSlurm } = await import('../sweep/backends/slurm.ts');
  const { checkSlurmOptions } = await import('../sweep/backends/slurm-script.ts');
  if (args.status) {
    const { checkPrepared } = await import('../sweep/snapshot.ts');
    await checkPrepared(sweep);
    return print(await slurmStatus({ ...request }));
  }
  const options = parseBackendOptions('--slurm-option', args['slurm-option']);
  checkSlurmOptions(options);
  const job = { ...request, parallel: args.parallel, options, program };
  if (args['dry-run']) return print(await slurmDryRun(job));
  await ready();
  await submitToSlurm(job);
}
