import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';
import { claimAttempt } from '../../src/sweep/attempts.ts';
import { loadSweep, type Sweep, type SweepPoint } from '../../src/sweep/load.ts';
import { finalLoss } from '../../src/sweep/metric-values.ts';
import { prepareSweep } from '../../src/sweep/snapshot.ts';
import { sampleDeviation, signFlipTest } from '../../src/sweep/statistics.ts';
import { writeResults } from '../../src/sweep/write-results.ts';
import { jsonLines } from '../support/json-lines.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

describe('statistics', () => {
  it('divide by n - 1, and say nothing of one value', () => {
    expect(sampleDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
    expect(sampleDeviation([3])).toBeUndefined();
  });

  it('test pairs exactly: how many of all signs go as far', () => {
    // All of one sign: only the two patterns of equal signs go as far.
    expect(signFlipTest([1, 2, 3, 4, 5, 6])).toEqual({ pairs: 6, pValue: 2 / 64 });
    // Sums of +-1 over six that are at least 4 from zero: 2 * (1 + 6) of 64.
    expect(signFlipTest([1, 1, 1, 1, 1, -1])).toEqual({ pairs: 6, pValue: 14 / 64 });
    expect(signFlipTest([0, 0, 0, 0, 0, 0]).pValue).toBe(1);
    expect(signFlipTest([0.1, 0.1, 0.1, 0.1, 0.1, 0.1]).pValue).toBe(2 / 64);
  });

  it('make no p-value of so few pairs that none could be small', () => {
    expect(signFlipTest([5, 5])).toEqual({ pairs: 2, pValue: null });
    expect(signFlipTest([5, 5, 5, 5, 5])).toEqual({ pairs: 5, pValue: null });
  });

  it('take the last tenth of the losses, at least one', () => {
    const lines = (...losses: number[]) => losses.map((loss) => ({ loss }));
    expect(finalLoss(lines(9, 8, 7))).toBe(7);
    expect(finalLoss(lines(...Array.from({ length: 20 }, (_, i) => i)))).toBe(18.5);
    expect(finalLoss([])).toBeUndefined();
  });
});

await writeFile(
  join(folder, 'base.yaml'),
  'data: { manifest: clips.jsonl }\nevaluation: {}\nlora: { rank: 8 }\noutput: run\n',
);

async function sweepOf(name: string, text: string): Promise<Sweep> {
  await writeFile(
    join(folder, `${name}.yaml`),
    `base: base.yaml\noutput: ${join(folder, name)}\nseeds: [1, 2]\n${text}\n`,
  );
  const sweep = loadSweep({ config: `${name}.yaml`, folder });
  await prepareSweep(sweep);
  return sweep;
}

/** What a run leaves that is done: losses, and which of six samples it got right. */
async function finish(point: SweepPoint, loss: number, right = '111111'): Promise<void> {
  const line = (step: number, value: number) => ({
    ...{ step, loss: value, lr: 0.1, gradNorm: 1, tokens: step, tokensPerSecond: 1 },
    ...{ samples: step, seconds: 2 * step },
  });
  await mkdir(point.folder, { recursive: true });
  await writeFile(join(point.folder, 'metrics.jsonl'), jsonLines([line(1, 2 * loss), line(2, loss)]));
  const samples = [...right].map((one, i) => ({
    ...{ name: `s${i}`, scores: {}, label: 'happy' },
    chosen: one === '1' ? 'happy' : 'sad',
  }));
  const accuracy = [...right].filter((one) => one === '1').length / right.length;
  await writeFile(join(point.folder, 'evaluation.jsonl'), jsonLines(samples));
  await writeFile(
    join(point.folder, 'evaluation.json'),
    JSON.stringify({ choices: ['happy', 'sad'], metrics: { accuracy, weighted: { f1: accuracy } } }),
  );
  const claim = await claimAttempt(point.folder, 0, null);
  await claim!.end({ state: 'done', exitCode: 0, seconds: 9 });
}

describe('results', () => {
  it('are means and deviations over seeds, in all three files', async () => {
    const sweep = await sweepOf(
      'grid',
      'grid: { lora.rank: [8, 16], model.frames: [4, 8] }\nmetric: [train.loss, evaluation.accuracy]',
    );
    const losses = [1, 2, 3, 3.5, 0.5, 0.7, 4, 4.2];
    const right = ['111111', '111110', '111100', '111000', '110000', '100000', '111111', '111111'];
    for (const [i, point] of sweep.points.entries()) await finish(point, losses[i]!, right[i]);
    const { settings } = await writeResults(sweep);
    // By hand: (1 + 2) / 2 and sqrt(0.5); (6/6 + 5/6) / 2.
    expect(settings[0]!.summaries[0]).toMatchObject({ n: 2, mean: 1.5, isBest: false });
    expect(settings[0]!.summaries[0]!.deviation).toBeCloseTo(Math.SQRT1_2, 12);
    expect(settings[0]!.summaries[1]!.mean).toBeCloseTo(11 / 12, 12);
    expect(settings.map(({ summaries }) => summaries.map((one) => one!.isBest))).toEqual([
      [false, false],
      [false, false],
      [true, false],
      [false, true],
    ]);
    // rank 8 with 8 frames is the base; (1 - 3 + 2 - 3.5) / 2.
    expect(sweep.compare).toBe('lora.rank=8,model.frames=8');
    expect(settings[0]!.differences[0]).toMatchObject({
      difference: -1.75,
      seeds: { pairs: 2, pValue: null },
      samples: undefined,
    });
    expect(settings[1]!.differences).toEqual([undefined, undefined]);
    expect(settings[0]!.differences[1]!.samples!.difference).toBeCloseTo((6 + 5 - 4 - 3) / 12, 12);

    const markdown = await readFile(join(sweep.output, 'results.md'), 'utf8');
    expect(markdown).toMatch(/\| 8 +\| 4 +\| +1\.5000 ± 0\.7071 \| +91\.67 ± 11\.79 \| +2 of 2 \|/);
    expect(markdown).toMatch(/\| 16 +\| 4 +\| +\*\*0\.6000 ± 0\.1414\*\* \|/);
    expect(markdown).toMatch(/\| 16 +\| 8 +\| +4\.1000 ± 0\.1414 \| +\*\*100\.00 ± 0\.00\*\* \|/);
    expect(markdown).toContain('With fewer than 6 no paired test can come below p = 0.05');

    const rows = parse(await readFile(join(sweep.output, 'results.csv'), 'utf8'), {
      columns: true,
    }) as Record<string, string>[];
    expect(rows).toHaveLength(8);
    expect(rows[5]).toMatchObject({
      ...{ point: 'lora.rank=16,model.frames=4,seed=2', 'lora.rank': '16', seed: '2', state: 'done' },
      ...{ 'train.loss': '0.7', 'evaluation.accuracy': String(1 / 6), seconds: '4', error: '' },
    });
    expect(Number(rows[5]!.peakMemoryBytes)).toBeGreaterThan(1e6);

    const html = await readFile(join(sweep.output, 'results.html'), 'utf8');
    expect(html).toContain('<strong>0.6000 ± 0.1414</strong>');
    expect(html).toContain('lora.rank 16, model.frames 4: 0.6000');
    expect(html).toMatch(/class="chart".*training loss/);
    expect(html).not.toContain('<script');
  });

  it('leave out what is not done, and say why', async () => {
    const sweep = await sweepOf('part', 'grid: { lora.rank: [8, 16] }\nmetric: evaluation.accuracy');
    const [first, second, third] = sweep.points as [SweepPoint, SweepPoint, SweepPoint];
    await finish(first, 1);
    const claim = await claimAttempt(second.folder, 0, null);
    const error = { code: 'LOSS_NOT_FINITE', message: 'NaN in step 3' };
    await claim!.end({ state: 'failed', exitCode: 3, seconds: 1, error });
    await finish(third, 1);
    await rm(join(third.folder, 'evaluation.json'));
    const { settings } = await writeResults(sweep);
    expect(settings[0]!.summaries[0]).toEqual({ n: 1, mean: 1, deviation: undefined, isBest: true });
    expect(settings[1]!.summaries[0]).toBeUndefined();
    const markdown = await readFile(join(sweep.output, 'results.md'), 'utf8');
    expect(markdown).toContain('lora.rank=8,seed=2: failed, error[LOSS_NOT_FINITE]: NaN in step 3');
    expect(markdown).toMatch(/Cannot read .*evaluation\.json/);
    expect(markdown).toContain('lora.rank=16,seed=2: pending');
    expect(markdown).toMatch(/\*\*100\.00\*\* \| +1 of 2 \(base\)/);
  });

  it('have parallel coordinates for more than two axes, and compare every seed of the same samples', async () => {
    const sweep = await sweepOf(
      'three',
      'grid: { lora.rank: [8, 16], model.frames: [4, 8], lora.alpha: [16, 32] }\nmetric: evaluation.accuracy',
    );
    const bad = '100000100000100000';
    for (const point of sweep.points) {
      await finish(point, 1, point.cells['lora.rank'] === 16 ? bad : '1'.repeat(18));
    }
    const { settings } = await writeResults(sweep);
    expect(sweep.compare).toBe('lora.alpha=32,lora.rank=8,model.frames=8');
    const [worse] = settings.filter(({ cells }) => cells['lora.rank'] === 16);
    expect(worse!.differences[0]!.samples).toMatchObject({ pValue: expect.closeTo(2 / 1001, 6) });
    expect(worse!.differences[0]!.samples!.difference).toBeCloseTo(-15 / 18, 12);
    const html = await readFile(join(sweep.output, 'results.html'), 'utf8');
    expect(html.match(/<polyline points="[^"]*" stroke-opacity/g)).toHaveLength(8);
  });
});

describe('a sweep in a folder', () => {
  it('welcomes new points and keeps the old ones', async () => {
    const before = await sweepOf('grows', 'grid: { lora.rank: [8, 16] }');
    const text = () => readFile(join(before.points[0]!.folder, 'point.yaml'), 'utf8');
    const first = await text();
    const after = await sweepOf('grows', 'grid: { lora.rank: [32, 8] }');
    expect(await text()).toBe(first);
    const saved = JSON.parse(await readFile(join(after.output, 'points.json'), 'utf8')) as {
      points: { id: string }[];
      former: { id: string }[];
    };
    expect(saved.points.map(({ id }) => id)).toEqual(after.points.map(({ id }) => id));
    expect(saved.former.map(({ id }) => id)).toEqual(['lora.rank=16,seed=1', 'lora.rank=16,seed=2']);
  });

  it('is refused where points of the same name are other trainings', async () => {
    await sweepOf('changes', 'grid: { lora.rank: [8, 16] }');
    await expect(sweepOf('changes', 'set: { train.steps: 9 }\ngrid: { lora.rank: [8] }')).rejects.toThrow(
      /lora\.rank=8,seed=1: train\.steps was 300000 and is now 9\n {2}lora\.rank=8,seed=2: train\.steps/,
    );
    await expect(sweepOf('changes', 'after: [eval x]\ngrid: { lora.rank: [8] }')).rejects.toMatchObject({
      code: 'SWEEP_POINTS_CHANGED',
      exitCode: 2,
    });
  });

  it('is refused where the folder holds something else', async () => {
    await mkdir(join(folder, 'full'));
    await writeFile(join(folder, 'full', 'letter.txt'), 'Dear');
    await expect(sweepOf('full', '')).rejects.toMatchObject({ code: 'SWEEP_FOLDER_IN_USE' });
  });
});
