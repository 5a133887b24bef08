import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { claimAttempt } from '../../src/sweep/attempts.ts';
import { parseBackendOptions } from '../../src/sweep/backends/due.ts';
import {
  checkKubernetesOptions,
  kubernetesDryRun,
  kubernetesManifest,
  writeKubernetesJob,
} from '../../src/sweep/backends/kubernetes.ts';
import type { RunTool } from '../../src/sweep/backends/slurm-tasks.ts';
import { loadSweep } from '../../src/sweep/load.ts';
import { prepareSweep } from '../../src/sweep/snapshot.ts';

// Below the working folder, as pods see nothing else.
const folder = await mkdtemp(join('test', '.kubernetes-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

await writeFile(join(folder, 'base.yaml'), 'data: { manifest: clips.jsonl }\noutput: run\n');

async function sweepOf(name: string, output = join(folder, name)) {
  await writeFile(
    join(folder, `${name}.yaml`),
    `base: base.yaml\ngrid: { lora.rank: [1, 2, 3] }\nseeds: [7]\noutput: ${output}\n`,
  );
  return loadSweep({ config: `${name}.yaml`, folder });
}

const options = (...given: string[]) => parseBackendOptions('--kubernetes-option', given);
const needed = ['image=registry.example/affectgpt:0.1.0', 'claim=work'];
const said: string[] = [];
const common = {
  ...{ only: [], rerunFailed: false, parallel: 2, submit: false, options: options(...needed) },
  notify: (message: string) => void said.push(message),
};

describe('the manifest of a sweep', () => {
  const given = { name: 'affectgpt-x', list: 'runs/x/kubernetes/j/points.txt', points: 3, parallel: 2 };

  it('is an indexed Job', () => {
    const more = [
      'gpu=1',
      'memory=32Gi',
      'cpu=8',
      'mount=/data',
      'sub-path=me',
      'namespace=lab',
      'service-account=sa',
    ];
    const job = kubernetesManifest({ ...given, options: options(...needed, ...more, 'retries-per-point=5') });
    expect(job).toMatchObject({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'affectgpt-x', namespace: 'lab' },
      spec: { completionMode: 'Indexed', completions: 3, parallelism: 2, backoffLimitPerIndex: 5 },
    });
    const { spec } = job.spec.template;
    // Without it neither a limit per index nor a failure policy is allowed.
    expect(spec.restartPolicy).toBe('Never');
    const [container] = spec.containers;
    expect(container).toMatchObject({
      ...{ image: 'registry.example/affectgpt:0.1.0', workingDir: '/data' },
      volumeMounts: [{ name: 'work', mountPath: '/data', subPath: 'me' }],
      resources: { limits: { cpu: '8', memory: '32Gi', 'nvidia.com/gpu': '1' } },
    });
    expect(spec.volumes).toEqual([{ name: 'work', persistentVolumeClaim: { claimName: 'work' } }]);
    const rules = job.spec.podFailurePolicy.rules;
    expect(rules.find(({ onExitCodes }) => onExitCodes)?.onExitCodes?.containerName).toBe(container!.name);
  });

  it('has what is needed alone by default, and no more pods at a time than points', () => {
    const job = kubernetesManifest({ ...given, parallel: 9, options: options(...needed) });
    expect(job.spec.parallelism).toBe(3);
    const text = JSON.stringify(job);
    for (const absent of ['namespace', 'subPath', 'nvidia', 'serviceAccountName'])
      expect(text).not.toContain(absent);
  });

  it('lets every index work on its point', async () => {
    const [container] = kubernetesManifest({ ...given, options: options(...needed) }).spec.template.spec
      .containers;
    const [shell, ...args] = container!.command as [string, ...string[]];
    await writeFile(join(folder, 'affectgpt'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    await writeFile(join(folder, 'points.txt'), 'runs/x/points/a=1\nruns/x/points/b=2\n');
    const start = (index: string) =>
      execa(shell, args, {
        reject: false,
        env: {
          ...{ PATH: `${join(process.cwd(), folder)}:${process.env.PATH}`, JOB_COMPLETION_INDEX: index },
          POINT_LIST: join(folder, 'points.txt'),
        },
      });
    expect((await start('1')).stdout).toBe('sweep --point runs/x/points/b=2 --wait --threads 2');
    expect(await start('2')).toMatchObject({ exitCode: 2, stdout: 'no point has the index 2' });
  });

  it.each([
    [['image=x'], /claim is missing/],
    [[...needed, 'colour=red'], /"colour" is unknown; there are: image/],
    [
      [...needed, 'cpu=half', 'memory=lots', 'mount=work'],
      /cpu is "half".*memory is "lots".*mount is "work"/,
    ],
  ])('refuses %j', (given, message) => {
    const check = () => checkKubernetesOptions(options(...given));
    expect(check).toThrow(message);
    expect(check).toThrow(expect.objectContaining({ code: 'SWEEP_BACKEND_OPTION', exitCode: 2 }));
  });
});

describe('a Job of a sweep', () => {
  it('is of the points that are left, and is written with their list', async () => {
    const sweep = await sweepOf('left');
    await prepareSweep(sweep);
    const claim = await claimAttempt(sweep.points[1]!.folder, 0, null);
    await claim!.end({ state: 'done', exitCode: 0, seconds: 1 });
    expect(parse(await kubernetesDryRun({ ...common, sweep }))).toMatchObject({ spec: { completions: 2 } });
    expect(await readdir(sweep.output)).not.toContain('kubernetes');

    const path = (await writeKubernetesJob({ ...common, sweep }))!;
    const job = parse(await readFile(path, 'utf8')) as ReturnType<typeof kubernetesManifest>;
    expect(await readFile(path, 'utf8')).toMatch(
      /\n +exec affectgpt sweep --point "\$point" --wait --threads 2\n/,
    );
    expect(job.metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
    expect(job.metadata.name.length).toBeLessThanOrEqual(63);
    const [container] = job.spec.template.spec.containers;
    const list = await readFile(container!.env[0]!.value, 'utf8');
    expect(list).toBe([0, 2].map((i) => `${sweep.points[i]!.folder}\n`).join(''));
    expect(said.at(-1)).toBe(`Wrote the Job of 2 points; hand it over by: kubectl apply -f ${path}`);
  });

  it('is handed to kubectl where asked for', async () => {
    const sweep = await sweepOf('submitted');
    const asked: string[][] = [];
    const answer = (result: { exitCode: number | undefined; stdout?: string; stderr?: string }): RunTool => {
      return (command, args) => {
        asked.push([command, ...args]);
        return Promise.resolve({ stdout: '', stderr: '', ...result });
      };
    };
    const run = answer({ exitCode: 0, stdout: 'job.batch/x created' });
    const path = await writeKubernetesJob({ ...common, sweep, submit: true, run });
    expect(asked).toEqual([['kubectl', 'apply', '-f', path]]);
    const refused = answer({ exitCode: 1, stderr: 'no such namespace' });
    await expect(writeKubernetesJob({ ...common, sweep, submit: true, run: refused })).rejects.toMatchObject({
      ...{ code: 'KUBERNETES_REFUSED', exitCode: 2, message: expect.stringContaining('no such namespace') },
    });
    const missing = answer({ exitCode: undefined });
    await expect(writeKubernetesJob({ ...common, sweep, submit: true, run: missing })).rejects.toMatchObject({
      ...{ code: 'KUBECTL_MISSING', exitCode: 4 },
    });
  });

  it('is refused where pods would not see the sweep', async () => {
    const sweep = await sweepOf('outside', '/elsewhere/sweep');
    await expect(kubernetesDryRun({ ...common, sweep })).rejects.toMatchObject({
      ...{ code: 'KUBERNETES_PATH', exitCode: 2 },
    });
  });
});
