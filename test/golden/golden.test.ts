import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderForFile } from '../support/temporary-folder.ts';
import { goldenDifferences } from './compare.ts';
import { readGolden } from './files.ts';
import {
  type GoldenResult,
  type GoldenRun,
  goldenConfig,
  goldenName,
  goldenRuns,
  trainGolden,
  writeGoldenMaterial,
} from './runs.ts';

const folder = folderForFile();
const material = await writeGoldenMaterial(folder);
const minutes = 60_000;

/** The published Q-Former on an eager engine takes as long as all others together: test:full and `npm run golden`. */
const isSlow = ({ config, engine }: GoldenRun): boolean =>
  config === 'prefusion-qformer.yaml' && engine === 'wasm';
const named = goldenRuns.filter((run) => !isSlow(run)).map((run) => [goldenName(run), run] as const);

describe('the first steps of a shipped configuration', () => {
  it.each(named)('are as stored: %s', { timeout: 3 * minutes }, async (_, run) => {
    const stored = await readGolden(run);
    expect(stored?.steps).toHaveLength(run.steps);
    const now = await trainGolden(goldenConfig(material, run), run);
    expect(goldenDifferences(stored, now), 'npm run golden -- --update, if that is meant').toEqual([]);
  });

  it('tell of another weight decay, though it hardly shows in the losses', { timeout: minutes }, async () => {
    const run = goldenRuns.find((one) => one.config === 'prefusion-attn.yaml')!;
    const config = goldenConfig(material, run);
    const optimizer = { ...config.train.optimizer, weightDecay: 2 * config.train.optimizer.weightDecay };
    const other = { ...config, train: { ...config.train, optimizer }, output: join(folder, 'decay') };
    const differences = goldenDifferences(await readGolden(run), await trainGolden(other, run));
    expect(differences).toContainEqual(expect.stringMatching(/^weights of affectgpt_proj: .* → .*e-6\)$/));
    expect(differences.filter((line) => line.includes('loss'))).toEqual([]);
  });
});

describe('stored steps', async () => {
  const stored = (await readGolden(goldenRuns[0]!))!;
  const [first, ...rest] = stored.steps;
  const withFirst = (change: object): GoldenResult => ({
    ...stored,
    steps: [{ ...first!, ...change }, ...rest],
  });

  it('are kept for every engine', async () => {
    for (const run of goldenRuns) {
      expect((await readGolden(run))?.steps, goldenName(run)).toHaveLength(run.steps);
    }
  });

  it.each([
    ['another order of samples', { names: [...first!.names].reverse() }, 'names'],
    ['another prompt', { tokens: first!.tokens + 8 }, 'tokens'],
    ['another answer', { supervisedTokens: first!.supervisedTokens + 1 }, 'supervisedTokens'],
    ['another learning rate', { lr: first!.lr + 1e-9 }, 'lr'],
    ['another loss', { loss: first!.loss * (1 + 3e-5) }, 'loss'],
    ['another gradient', { gradNorm: first!.gradNorm * (1 - 3e-4) }, 'gradNorm'],
  ])('differ by %s, and say from what to what', (_, change, key) => {
    const lines = goldenDifferences(stored, withFirst(change));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^step 1, ${key}: .+ → .+`));
  });

  it('differ by weights, by a module and by a step', () => {
    const module = Object.keys(stored.weights)[0]!;
    const weights = { ...stored.weights, [module]: stored.weights[module]! * (1 + 3e-6) };
    expect(goldenDifferences(stored, { ...stored, weights })).toHaveLength(1);
    const { [module]: _, ...fewer } = stored.weights;
    expect(goldenDifferences(stored, { ...stored, weights: fewer })).toEqual([
      expect.stringMatching(`weights of ${module}: .* → nothing`),
    ]);
    expect(goldenDifferences(stored, { ...stored, steps: rest })[0]).toBe('steps: 10 → 9 (-1.0e-1)');
    expect(goldenDifferences(undefined, stored)).toEqual(['nothing is stored yet']);
  });

  it('do not differ by the rounding of another processor', () => {
    const scaled = (factor: number): GoldenResult => ({
      steps: stored.steps.map((step) => ({
        ...step,
        loss: step.loss * (1 + 5e-7 * factor),
        gradNorm: step.gradNorm * (1 - 2e-6 * factor),
      })),
      weights: Object.fromEntries(
        Object.entries(stored.weights).map(([module, length]) => [module, length * (1 + 3e-8 * factor)]),
      ),
    });
    for (const factor of [1, -1, 10]) expect(goldenDifferences(stored, scaled(factor))).toEqual([]);
  });
});
