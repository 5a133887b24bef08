import { describe, expect, it } from 'vitest';
import { mpirun, whyNoMpirun } from '../support/mpirun.ts';
import { makeWorkspace, readMetrics, set, succeed } from './workspace.ts';

const why = whyNoMpirun();
if (why !== undefined) console.warn(`Training in several processes is not tested: ${why}`);

describe.skipIf(why !== undefined)('affectgpt train under mpirun', { timeout: 240_000 }, async () => {
  const { config, path } = await makeWorkspace();
  const train = (settings: Readonly<Record<string, unknown>>): string[] => [
    ...['train', '--config', config],
    ...set({ 'train.checkpoint.every': 2, ...settings }),
  ];
  it('equals one process with so many times the batch, resumed with three ranks and with one', async () => {
    await succeed(...train({ output: path('alone'), 'train.steps': 8, 'train.batchSize': 6 }));
    const output = path('ranks');
    const cache = { 'data.featureCache': path('features of ranks') };
    const two = await mpirun([2, train({ output, ...cache, 'train.steps': 4, 'train.batchSize': 3 })]);
    expect(two.stderr).toContain('2 processes train together (rank 0 on ');
    // Each computed its part of them: two of every clip.
    expect(two.stderr).toContain('Features: 10 computed, in ');
    expect({ exitCode: two.exitCode, stdout: two.stdout }).toEqual({
      exitCode: 0,
      stdout: path('ranks', 'checkpoints', 'step-000004'),
    });
    const three = await mpirun([3, train({ output, 'train.steps': 6, 'train.batchSize': 2 })]);
    expect(three.stderr).toContain('It was trained by 2 ranks until now, and by 3 ranks from here');
    expect(three.exitCode).toBe(0);
    const one = await succeed(...train({ output, 'train.steps': 8, 'train.batchSize': 6 }));
    expect(one.err).toContain('It was trained by 3 ranks until now, and by 1 process from here');
    const [actual, expected] = [await readMetrics(output), await readMetrics(path('alone'))];
    expect(actual.map(({ step, tokens, samples }) => ({ step, tokens, samples }))).toEqual(
      expected.map(({ step, tokens, samples }) => ({ step, tokens, samples })),
    );
    for (const [i, { loss }] of expected.entries()) {
      expect(Math.abs(Number(actual[i]!.loss) / Number(loss) - 1), `step ${i + 1}`).toBeLessThan(1e-6);
    }
  });
});
