import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/quickstart/random.ts';
import { readAttempts } from '../../src/sweep/attempts.ts';
import { makeWorkspace, readMetrics, readTensorFiles, run, set, succeed } from './workspace.ts';

const { path, rows, writeManifest } = await makeWorkspace();
const program = ['--import', 'tsx', fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))];
const steps = 15;

interface Written {
  readonly file: string;
  readonly output: string;
}

/** A sweep file over the workspace's configuration, with features and output of its own. */
async function writeSweep(name: string, text: string, count = steps): Promise<Written> {
  const output = path(name);
  const file = path(`${name}.yaml`);
  const common = `train.steps: ${count}, train.checkpoint.every: 4, data.featureCache: ${path(`${name}-features`)}`;
  await writeFile(file, `base: config.yaml\nset: { ${common} }\noutput: ${output}\n${text}\n`);
  return { file, output };
}

const pointFolder = (output: string, id: string) => join(output, 'points', id);
const attemptsAt = (output: string, id: string) => readAttempts(pointFolder(output, id));

/** Steps that a point has logged so far. */
function logged(output: string, id: string): number {
  const file = join(pointFolder(output, id), 'metrics.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}

/** Waits until a point is worked on and has done some steps; returns the process that does so. */
async function workerAt(output: string, id: string, step: number): Promise<number> {
  for (;;) {
    const last = (await attemptsAt(output, id)).at(-1);
    if (last?.isAlive && logged(output, id) >= step) return last.claim!.pid;
    if (last?.end?.state === 'done') throw new Error(`${id} was done before it could be killed`);
    await setTimeout(3);
  }
}

/** When metrics and the last checkpoint of a point were written. */
const written = (output: string, id: string) =>
  ['metrics.jsonl', join('checkpoints', 'latest')].map(
    (name) => statSync(join(pointFolder(output, id), name)).mtimeMs,
  );

/** Starts a sweep as a process of its own and keeps what it says. */
function startSweep({ file }: Written, ...more: string[]) {
  const child = execa(process.execPath, [...program, 'sweep', '--config', file, ...more], {
    ...{ reject: false, timeout: 150_000, stdin: 'ignore' },
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += String(text);
  });
  const says = async (what: string) => {
    while (!said.includes(what)) {
      if (child.exitCode !== null) throw new Error(`it ended without saying "${what}":\n${said}`);
      await setTimeout(10);
    }
  };
  return { child, says };
}

describe.skipIf(process.platform === 'win32')('a sweep of 2 x 2 points with two seeds each', () => {
  const ids = [2, 4].flatMap((rank) =>
    ['mean', 'attention'].flatMap((video) =>
      [1, 2].map((seed) => `fusion.video=${video},lora.rank=${rank},seed=${seed}`),
    ),
  );
  const grid = 'grid: { lora.rank: [2, 4], fusion.video: [mean, attention] }\nseeds: [1, 2]';

  it('is killed three times, repeats nothing that is done, and prints its table', async () => {
    const sweep = await writeSweep('killed', grid);
    const { output } = sweep;
    const random = new Random(7);
    const [first, second, third] = [0, 1, 2].map((i) => ids[2 * i + random.integer(2)]!) as [
      string,
      string,
      string,
    ];
    const moments = [0, 1, 2].map(() => random.integer(steps - 4));

    // A child: the sweep goes on with the others. Then the sweep, while its child lives on.
    const one = startSweep(sweep);
    process.kill(await workerAt(output, first, moments[0]!), 'SIGKILL');
    await one.says(`${first}: its process was killed by SIGKILL`);
    const orphan = await workerAt(output, second, moments[1]!);
    process.kill(orphan, 'SIGSTOP');
    one.child.kill('SIGKILL');
    await one.child;
    const done = ids.slice(0, ids.indexOf(second)).filter((id) => id !== first);
    const times = new Map(done.map((id) => [id, written(output, id)]));

    // Again: the orphan is waited for, not doubled. Then both at once.
    const two = startSweep(sweep);
    await two.says(`${second}: process ${orphan} on `);
    process.kill(orphan, 'SIGCONT');
    await two.says(`${second}: done`);
    const pid = await workerAt(output, third, moments[2]!);
    two.child.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await two.child;
    for (const id of [first, second]) times.set(id, written(output, id));

    const { out } = await succeed('sweep', '--config', sweep.file, '--parallel', '2');
    for (const [id, before] of times) expect(written(output, id), id).toEqual(before);
    expect(out.match(/\d\.\d{4} ± \d\.\d{4}\*{0,2} \| +2 of 2/g)).toHaveLength(4);
    const attempts = await Promise.all(ids.map((id) => attemptsAt(output, id)));
    expect(attempts.map((of) => of.map(({ end }) => end?.state ?? 'killed'))).toEqual(
      ids.map((id) => ([first, third].includes(id) ? ['killed', 'done'] : ['done'])),
    );
    expect(await readdir(output)).toEqual(
      expect.arrayContaining(['points.json', 'results.csv', 'results.html', 'results.md', 'sweep.yaml']),
    );
    // Features were computed by the first point alone.
    const outputs = await Promise.all(
      ids.map((id) => readFile(join(pointFolder(output, id), 'output.txt'), 'utf8')),
    );
    expect(outputs.filter((text) => /Features: \d+ computed/.test(text)).length).toBeLessThanOrEqual(
      // Where the first point was killed in the middle, the rest of them was computed afterwards.
      2,
    );

    // What was killed and went on is, bit for bit, what an undisturbed training gives.
    for (const id of [first, third]) {
      const undisturbed = path(`undisturbed-${ids.indexOf(id)}`);
      await succeed(
        ...[
          'train',
          '--config',
          join(pointFolder(output, id), 'point.yaml'),
          ...set({ output: undisturbed }),
        ],
      );
      expect(await readMetrics(pointFolder(output, id))).toEqual(await readMetrics(undisturbed));
      const last = join('checkpoints', `step-${String(steps).padStart(6, '0')}`);
      expect(await readTensorFiles(join(pointFolder(output, id), last))).toEqual(
        await readTensorFiles(join(undisturbed, last)),
      );
    }
  }, 400_000);
});

describe.skipIf(process.platform === 'win32')('a sweep that is told to stop', () => {
  it('lets its point save, says how far it is, exits with the code of the signal, and goes on', async () => {
    const sweep = await writeSweep('stopped', 'grid: { lora.rank: [2] }\nseeds: [1]', 100_000);
    const { child } = startSweep(sweep);
    await workerAt(sweep.output, 'lora.rank=2,seed=1', 2);
    child.kill('SIGTERM');
    const { exitCode, stderr } = await child;
    expect(stderr).toMatch(/lora\.rank=2,seed=1: stopped after saving/);
    expect(stderr).toMatch(/error\[STOPPED\]: Stopped by SIGTERM: 0 of 1 points are done/);
    expect(exitCode).toBe(143);
    const [attempt] = await attemptsAt(sweep.output, 'lora.rank=2,seed=1');
    expect(attempt!.end).toMatchObject({ state: 'stopped', exitCode: 143 });
    expect(existsSync(join(pointFolder(sweep.output, 'lora.rank=2,seed=1'), 'checkpoints', 'latest'))).toBe(
      true,
    );
  }, 60_000);
});

describe('a point that fails', () => {
  it('is reported with its reason, does not stop the others, and is tried again when asked', async () => {
    const sweep = await writeSweep(
      'failing',
      'grid: { model.maxLength: [60, 512] }\nseeds: [1]\nmetric: [train.loss, "evaluation.json:nothing"]',
      2,
    );
    const first = await run('sweep', '--config', sweep.file);
    expect(first.exitCode).toBe(1);
    expect(first.err).toMatch(
      /model\.maxLength=60,seed=1: failed, error\[SAMPLES_UNUSABLE\]: .*more than model\.maxLength 60/,
    );
    expect(first.err).toMatch(/model\.maxLength=512,seed=1: done/);
    expect(first.err).toMatch(/error\[SWEEP_POINTS_FAILED\]: 1 of 2 points failed/);
    const csv = await readFile(join(sweep.output, 'results.csv'), 'utf8');
    expect(csv).toMatch(/"model\.maxLength=60,seed=1",60,1,failed,,,,\d+,"?SAMPLES_UNUSABLE: /);
    expect(csv).toMatch(/"model\.maxLength=512,seed=1",512,1,done,\d+\.\d+,,/);

    const again = await run('sweep', '--config', sweep.file);
    expect(again.err).toMatch(/failed before \(SAMPLES_UNUSABLE\); --rerun failed tries it again/);
    expect(again.err).not.toContain('started');
    expect(again.exitCode).toBe(1);
    const rerun = await run('sweep', '--config', sweep.file, '--rerun', 'failed', '--only', '*=60,*');
    expect(rerun.err.match(/started/g)).toHaveLength(1);
    expect(await attemptsAt(sweep.output, 'model.maxLength=60,seed=1')).toHaveLength(2);
    expect(await attemptsAt(sweep.output, 'model.maxLength=512,seed=1')).toHaveLength(1);

    const table = await succeed('sweep', '--config', sweep.file, '--results-only');
    expect(table.out).toMatch(/\| 512 +\|/);
    const { out } = await succeed('sweep', '--config', sweep.file, '--results-only', '--json');
    expect(JSON.parse(out)).toMatchObject({
      settings: [{ values: { 'model.maxLength': 60 } }, { seedsDone: 1, seeds: 1 }],
      points: [
        { state: 'failed', error: { code: 'SAMPLES_UNUSABLE' } },
        { state: 'done', seed: 1 },
      ],
    });
  }, 120_000);
});

describe('a point whose training is followed by scoring', () => {
  it('is scored where it was killed in between, without training again', async () => {
    const single = rows.map((row) => ({ ...row, labels: (row.labels as string[]).slice(0, 1) }));
    const choices = [...new Set(single.flatMap(({ labels }) => labels))];
    const settings = set({
      'data.manifest': await writeManifest('single.jsonl', single),
      'evaluation.choices': choices,
    });
    const sweep = await writeSweep(
      'scored',
      `seeds: [1]
after:
  - eval choices --checkpoint {run} --output {run}/again
metric: [evaluation.accuracy, "again.json:metrics.macro.f1"]`,
      2,
    );
    const { out } = await succeed('sweep', '--config', sweep.file, '--json', ...settings);
    const { points } = JSON.parse(out) as {
      points: { id: string; figures: Record<string, number> }[];
    };
    const { id, figures } = points[0]!;
    const folder = pointFolder(sweep.output, id);
    const scores = JSON.parse(await readFile(join(folder, 'evaluation.json'), 'utf8')) as {
      metrics: { accuracy: number; macro: { f1: number } };
    };
    expect(figures).toEqual({
      'evaluation.accuracy': scores.metrics.accuracy,
      'again.json:metrics.macro.f1': scores.metrics.macro.f1,
    });

    // As a process leaves it that is killed after its last step: no end, no scores.
    const before = written(sweep.output, id);
    for (const name of ['attempts/0001/end.json', 'evaluation.json', 'evaluation.jsonl', 'again.json']) {
      await rm(join(folder, name));
    }
    await succeed('sweep', '--config', sweep.file, ...settings);
    expect(written(sweep.output, id)).toEqual(before);
    expect(JSON.parse(await readFile(join(folder, 'evaluation.json'), 'utf8'))).toMatchObject({
      metrics: scores.metrics,
    });
    expect(existsSync(join(folder, 'again.json'))).toBe(true);
    expect(await attemptsAt(sweep.output, id)).toHaveLength(2);
  }, 120_000);
});

describe('a sweep that cannot be', () => {
  it('is refused before anything is written', async () => {
    const unknown = await writeSweep('unknown', 'grid: { lora.rnk: [8] }');
    const refused = await run('sweep', '--config', unknown.file);
    expect(refused).toMatchObject({ exitCode: 2, out: '' });
    expect(refused.err).toMatch(
      /error\[SWEEP_INVALID\]: .*unknown\.yaml is not valid[\s\S]*lora\.rnk: unknown key/,
    );
    const lost = path('models', 'lost');
    const missing = await writeSweep('missing', `grid: { model.llm: [${path('models', 'llm')}, ${lost}] }`);
    const notReady = await run('sweep', '--config', missing.file);
    expect(notReady.exitCode).toBe(2);
    expect(notReady.err).toMatch(
      /error\[SWEEP_NOT_READY\]: [\s\S]*error\[MODEL_NOT_FOUND\]: [\s\S]*lost.*\n {2}concerns 1 of 2 points: model\.llm=/,
    );
    for (const { output } of [unknown, missing]) expect(existsSync(output)).toBe(false);
  });

  it('says each thing that is missing once, with the points that need it', async () => {
    const grid =
      'grid: { model.llm: [org/one, org/two], model.audioEncoder.model: [org/ears], lora.rank: [2, 4] }';
    const { file, output } = await writeSweep('missing-models', `${grid}\nseeds: [1, 2]`);
    for (const flags of [[], ['--dry-run']]) {
      const { err, exitCode } = await run('sweep', '--config', file, ...flags);
      expect(exitCode).toBe(2);
      const lines = err.split('\n');
      const of = (name: string) => {
        const [at, ...more] = lines.flatMap((line, i) => (line.includes(`"${name}"`) ? [i] : []));
        expect(more, name).toEqual([]);
        return lines[at! + 1];
      };
      expect(of('org/one')).toMatch(/^ {2}concerns 4 of 8 points: ([^;]*org-one[^;]*; ){3}and 1 more$/);
      expect(of('org/two')).toMatch(/^ {2}concerns 4 of 8 points: /);
      expect(of('org/ears')).toMatch(/^ {2}concerns 8 of 8 points: ([^;]*; ){3}and 5 more$/);
      expect(err.includes('--shapes-only')).toBe(flags.length > 0);
      expect(existsSync(output)).toBe(false);
    }
  });

  it.each([
    [['--point', 'nowhere'], 'SWEEP_POINT_NOT_PREPARED'],
    [[], 'USAGE'],
    [['--config', 'x', '--point', 'y'], 'USAGE'],
    [['--config', 'x', '--parallel', '0'], 'USAGE'],
    [['--config', 'x', '--shapes-only'], 'USAGE'],
    [['--config', 'x', '--dry-run', '--rerun', 'failed'], 'USAGE'],
    [['--point', 'y', '--only', 'z'], 'USAGE'],
  ])('%j is %s', async (argv, code) => {
    const { exitCode, err } = await run('sweep', ...argv);
    expect(err).toContain(`error[${code}]`);
    expect(exitCode).toBe(2);
  });
});

describe('a dry run of a sweep', () => {
  it('says what points share and take, and writes nothing', async () => {
    const sweep = await writeSweep('dry', 'grid: { lora.rank: [2, 4] }\nseeds: [1, 2]');
    const { out } = await succeed('sweep', '--config', sweep.file, '--dry-run', '--json');
    const forecast = JSON.parse(out) as {
      points: { id: string; seconds: number; features: string[]; trainableParameters: number }[];
      features: { points: string[]; bytes: number }[];
      totals: Record<string, number>;
    };
    expect(forecast.points.map(({ id }) => id)).toEqual([
      'lora.rank=2,seed=1',
      'lora.rank=2,seed=2',
      'lora.rank=4,seed=1',
      'lora.rank=4,seed=2',
    ]);
    // Of one shape one point is measured.
    expect(forecast.points[0]!.seconds).toBe(forecast.points[1]!.seconds);
    expect(forecast.points[2]!.trainableParameters).toBeGreaterThan(forecast.points[0]!.trainableParameters);
    expect(forecast.features.map(({ points }) => points.length)).toEqual([4, 4]);
    // Five samples, eight frames of twelve numbers.
    expect(forecast.features[0]!.bytes).toBe(5 * 8 * 12 * 4);
    const sum = forecast.points.reduce((total, { seconds }) => total + seconds, 0);
    expect(forecast.totals).toMatchObject({ points: 4 });
    expect(forecast.totals.wallSeconds).toBeCloseTo(sum, 9);
    expect(existsSync(sweep.output)).toBe(false);

    const shapes = await succeed('sweep', '--config', sweep.file, '--dry-run', '--shapes-only');
    expect(shapes.out).toMatch(/4 points in .*dry, 4 not done/);
    expect(shapes.out).toMatch(/F1: frame features of clip .*computed once, read by 4 of 4 points/);
    expect(existsSync(sweep.output)).toBe(false);
  }, 120_000);
});
