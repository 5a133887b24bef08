import { isAbsolute, join, posix, relative, resolve } from 'node:path';
import { stringify } from 'yaml';
import { EngineError, InputError } from '../../errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../../io/atomic.ts';
import { sha256 } from '../../io/checksum.ts';
import { prepareSweep } from '../snapshot.ts';
import {
  type BackendOptions,
  countStates,
  duePoints,
  optionError,
  type SubmitRequest,
  surveyPoints,
} from './due.ts';
import { type RunTool, runTool, said } from './slurm-tasks.ts';

/** Folder in that of a sweep: the manifest and the list of points that it is of. */
const manifestsName = 'kubernetes';

/** What `--kubernetes-option` takes. */
const kubernetesOptions: Readonly<Record<string, string>> = {
  image: 'container image with affectgpt on its PATH (needed)',
  claim: 'PersistentVolumeClaim that holds the working folder (needed)',
  mount: 'where it is mounted: the working folder of the pods (/work)',
  'sub-path': 'folder in the claim that is the working folder',
  cpu: 'cores of a pod, a whole number (2)',
  memory: 'memory of a pod (8Gi)',
  gpu: 'GPUs of a pod, as nvidia.com/gpu',
  namespace: 'namespace of the Job',
  'service-account': 'service account of the pods',
  'retries-per-point': 'times that a point is tried again after its pod failed (3)',
};

export interface KubernetesRequest extends SubmitRequest {
  /** Pods at a time. */
  readonly parallel: number;
  readonly options: BackendOptions;
  /** Whether `kubectl apply` is called. */
  readonly submit: boolean;
  readonly notify: (message: string) => void;
  /** Replaced in tests. */
  readonly run?: RunTool;
}

/** @throws InputError `SWEEP_BACKEND_OPTION` with every fault */
export function checkKubernetesOptions(options: BackendOptions): void {
  const known = Object.entries(kubernetesOptions).map(([name, what]) => `${name}, ${what}`);
  const faults = [...options].flatMap(([name, value]) => {
    if (!Object.hasOwn(kubernetesOptions, name))
      return [`"${name}" is unknown; there are: ${known.join('; ')}`];
    if (value === '') return [`${name} has no value`];
    if (/^(cpu|gpu|retries-per-point)$/.test(name) && !/^[1-9]\d*$/.test(value)) {
      return [`${name} is "${value}"; expected a whole number from 1`];
    }
    if (name === 'memory' && !/^[1-9]\d*(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$/.test(value)) {
      return [`memory is "${value}"; expected an amount such as 8Gi`];
    }
    if (name === 'mount' && !value.startsWith('/')) return [`mount is "${value}"; expected an absolute path`];
    return [];
  });
  for (const name of ['image', 'claim']) {
    if (!options.has(name)) faults.push(`${name} is missing (${kubernetesOptions[name]})`);
  }
  if (faults.length > 0) throw optionError('--kubernetes-option', faults);
}

/** A path below the working folder as pods see it: relative, with slashes. */
function sharedPath(path: string): string {
  const below = relative(process.cwd(), resolve(path));
  if (below === '' || below.startsWith('..') || isAbsolute(below)) {
    throw new InputError(
      'KUBERNETES_PATH',
      `${path} is not below the working folder. Pods see the working folder alone (through the claim), so the output of the sweep has to be in it.`,
    );
  }
  return below.split(/[\\/]/).join('/');
}

/** A name that Kubernetes takes: small letters, digits and dashes; the hash keeps apart what looks alike then. */
function jobName(output: string, points: readonly string[]): string {
  const slug = output
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(-30)
    .replaceAll(/^-+|-+$/g, '');
  return `affectgpt-${slug}-${sha256(JSON.stringify([output, points, Date.now()])).slice(0, 8)}`;
}

/**
 * An indexed Job: its index i works on the point in line i + 1 of a stored list.
 *
 * @param list path of that list, as pods see it
 * @param name of the Job
 */
export function kubernetesManifest(given: {
  readonly name: string;
  readonly list: string;
  readonly points: number;
  readonly parallel: number;
  readonly options: BackendOptions;
}) {
  const { name, list, points, parallel, options } = given;
  const get = (key: string, otherwise: string): string => options.get(key) ?? otherwise;
  const mount = get('mount', '/work');
  const cpu = get('cpu', '2');
  const gpu = options.get('gpu');
  const resources = { cpu, memory: get('memory', '8Gi'), ...(gpu && { 'nvidia.com/gpu': gpu }) };
  const subPath = options.get('sub-path');
  const serviceAccountName = options.get('service-account');
  const namespace = options.get('namespace');
  const labels = { 'app.kubernetes.io/name': 'affectgpt', 'affectgpt/sweep': name };
  // --wait: a pod that takes the place of a killed one waits until the claim of that one has gone cold.
  const command = [
    `point="$(sed -n "$((JOB_COMPLETION_INDEX + 1))p" "$POINT_LIST")"`,
    '[ -n "$point" ] || { echo "no point has the index $JOB_COMPLETION_INDEX"; exit 2; }',
    `exec affectgpt sweep --point "$point" --wait --threads ${cpu}`,
  ].join('\n');
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, labels, ...(namespace && { namespace }) },
    spec: {
      completionMode: 'Indexed',
      completions: points,
      parallelism: Math.min(parallel, points),
      backoffLimitPerIndex: Number(get('retries-per-point', '3')),
      maxFailedIndexes: points,
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
          // Bad input stays bad.
          { action: 'FailIndex', onExitCodes: { containerName: 'point', operator: 'In', values: [2] } },
        ],
      },
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 120,
          ...(serviceAccountName && { serviceAccountName }),
          containers: [
            {
              name: 'point',
              image: options.get('image')!,
              workingDir: mount,
              command: ['/bin/sh', '-c', command],
              env: [{ name: 'POINT_LIST', value: list }],
              resources: { requests: resources, limits: resources },
              volumeMounts: [{ name: 'work', mountPath: mount, ...(subPath && { subPath }) }],
            },
          ],
          volumes: [{ name: 'work', persistentVolumeClaim: { claimName: options.get('claim')! } }],
        },
      },
    },
  };
}

async function plan({ sweep, only, rerunFailed, parallel, options }: KubernetesRequest) {
  checkKubernetesOptions(options);
  const found = await surveyPoints({ sweep, only });
  const due = duePoints(found, rerunFailed);
  const points = due.map(({ folder }) => sharedPath(folder));
  const name = jobName(sweep.output, points);
  const folder = join(sweep.output, manifestsName, name);
  const list = posix.join(sharedPath(sweep.output), manifestsName, name, 'points.txt');
  const job = kubernetesManifest({ name, list, points: points.length, parallel, options });
  // For people to read: every line of the command as it is, nothing by reference.
  const manifest = stringify(job, { aliasDuplicateObjects: false, lineWidth: 0 });
  const text = `# ${points.length} of the points of ${sweep.label}. Indices are lines of ${list}.\n${manifest}`;
  return { found, points, folder, text };
}

/**
 * The manifest that would be written.
 * @throws InputError `SWEEP_BACKEND_OPTION`, `KUBERNETES_PATH`, and those of `selectPoints`
 */
export async function kubernetesDryRun(request: KubernetesRequest): Promise<string> {
  const { found, points, text } = await plan(request);
  request.notify(
    `Sweep ${request.sweep.label}: ${countStates(found)}; ${points.length} in the Job. Nothing is written.`,
  );
  return points.length === 0 ? '' : text;
}

/**
 * Writes the manifest of a Job for the points that are left, and hands it to `kubectl` where asked for.
 *
 * @returns path of the manifest; undefined where nothing is left
 * @throws InputError `SWEEP_BACKEND_OPTION`, `KUBERNETES_PATH`, `KUBERNETES_REFUSED`; EngineError `KUBECTL_MISSING`; those of
 *   `prepareSweep`
 */
export async function writeKubernetesJob(request: KubernetesRequest): Promise<string | undefined> {
  const { sweep, submit, notify, run = runTool } = request;
  const { found, points, folder, text } = await plan(request);
  await prepareSweep(sweep);
  notify(`Sweep ${sweep.label}: ${countStates(found)}.`);
  if (points.length === 0) {
    notify('Nothing is left to do.');
    return undefined;
  }
  const path = join(folder, 'job.yaml');
  await writeFolderAtomic(folder, async (temporary) => {
    await writeFileAtomic(join(temporary, 'points.txt'), points.map((point) => `${point}\n`).join(''));
    await writeFileAtomic(join(temporary, 'job.yaml'), text);
  });
  if (!submit) {
    notify(`Wrote the Job of ${points.length} points; hand it over by: kubectl apply -f ${path}`);
    return path;
  }
  const result = await run('kubectl', ['apply', '-f', path]);
  if (result.exitCode === undefined) {
    throw new EngineError(
      'KUBECTL_MISSING',
      `kubectl could not be started. The Job is in ${path}; it was not submitted.`,
    );
  }
  if (result.exitCode !== 0) {
    throw new InputError(
      'KUBERNETES_REFUSED',
      `kubectl ${said(result)}. The Job is in ${path}; it was not submitted.`,
    );
  }
  notify(`${result.stdout.trim()} (${path})`);
  return path;
}
