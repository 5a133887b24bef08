import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/schema.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { writeChecksums } from '../../train/checkpoint-checksums.ts';
import { trainConfigured } from '../../train/configured.ts';
import { countTokens } from '../../train/dry-run/tokens.ts';
import { configuredGrouping } from '../../train/length-grouping.ts';
import { EpochSampler, firstPosition, type SamplerDraw, type SamplerOptions } from '../../train/sampler.ts';
import { makeTinyTraining, openTinyTraining, sampleLosses } from '../support/tiny-training.ts';

const samples = 1003;
const names = Array.from({ length: samples }, (_, i) => `text-${i}`);
const random = new RandomGenerator(3);
/** Most are short, a few are long; another answer, and so another length, in each epoch. */
const tokens = (name: string, epoch: number): number =>
  Math.round(Math.exp(random.split(`${name} ${epoch}`).normalFloat32(1, 4, 0.6)[0]!));

const sampler = (options: Partial<SamplerOptions> = {}) =>
  new EpochSampler({ names, seed: 1, batchSize: 4, accumulation: 2, ...options });
const grouped = (options: Partial<SamplerOptions> = {}) =>
  sampler({ lengthGrouping: { steps: 50, tokens }, ...options });

/** The steps of an epoch. */
function drawEpoch(source: EpochSampler, epoch = 1): SamplerDraw[] {
  const draws: SamplerDraw[] = [];
  for (let position = { epoch, index: 0 }; position.epoch === epoch; ) {
    const draw = source.draw(position);
    draws.push(draw);
    position = draw.next;
  }
  return draws;
}

/** Tokens that an epoch computes on, and how many of them are padding. */
function count(draws: readonly SamplerDraw[], lengthOf = tokens) {
  let [computed, padding] = [0, 0];
  for (const { epoch, microBatches } of draws) {
    for (const batch of microBatches) {
      const lengths = batch.map((name) => lengthOf(name, epoch));
      const longest = Math.max(...lengths);
      computed += longest * lengths.length;
      padding += lengths.reduce((sum, length) => sum + longest - length, 0);
    }
  }
  return { computed, padding };
}

const namesOf = (draws: readonly SamplerDraw[]) => draws.flatMap(({ microBatches }) => microBatches.flat());

describe('the order of samples grouped by length', () => {
  it('visits every sample once per epoch, in an order of its own for each epoch and seed', () => {
    const orders = [
      namesOf(drawEpoch(grouped())),
      namesOf(drawEpoch(grouped(), 2)),
      namesOf(drawEpoch(grouped({ seed: 2 }))),
      namesOf(drawEpoch(sampler())),
    ];
    for (const order of orders) expect([...order].sort()).toEqual([...names].sort());
    expect(new Set(orders.map((order) => order.join())).size).toBe(4);
  });

  it('depends on seed and epoch alone, not on what was drawn before nor on how a step is divided', () => {
    const used = grouped();
    for (const epoch of [1, 4, 2]) drawEpoch(used, epoch);
    for (const [batchSize, accumulation] of [
      [8, 1],
      [2, 4],
      [1, 8],
    ]) {
      const fresh = grouped({ batchSize: batchSize!, accumulation: accumulation! });
      for (const epoch of [3, 1, 2]) expect(fresh.order(epoch)).toEqual(used.order(epoch));
    }
  });

  it('saves most of the padding', () => {
    const plain = count(drawEpoch(sampler()));
    const saved = count(drawEpoch(grouped()));
    expect(saved.computed - saved.padding).toBe(plain.computed - plain.padding);
    expect(plain.padding / plain.computed).toBeGreaterThan(0.35);
    expect(saved.padding / saved.computed).toBeLessThan(0.05);
  });

  it('groups by the lengths of its own epoch', () => {
    const second = drawEpoch(grouped(), 2);
    const before = count(second, (name) => tokens(name, 1));
    expect(count(second).padding).toBeLessThan(before.padding / 5);
  });

  it('keeps the order of steps a matter of chance', () => {
    const longest = drawEpoch(grouped()).map(({ epoch, microBatches }) =>
      Math.max(...microBatches.flat().map((name) => tokens(name, epoch))),
    );
    const rises = longest.slice(1).filter((length, i) => length > longest[i]!).length;
    // Half of 125 for steps in random order; a sorted window would have next to none, or all.
    expect(rises).toBeGreaterThan(40);
    expect(rises).toBeLessThan(85);
  });

  it('mixes more the smaller the windows are', () => {
    const padding = (steps: number) =>
      count(drawEpoch(grouped({ lengthGrouping: { steps, tokens } }))).padding;
    expect(padding(5)).toBeGreaterThan(padding(50));
    expect(padding(1)).toBeGreaterThan(padding(5));
    expect(padding(1)).toBeLessThan(count(drawEpoch(sampler())).padding);
  });

  it('ends an epoch with a short step of samples of chance', () => {
    const draws = drawEpoch(grouped());
    expect(draws.map(({ microBatches }) => microBatches.flat().length)).toEqual([...Array(125).fill(8), 3]);
    const last = [1, 2, 3, 4, 5, 6].flatMap((epoch) =>
      drawEpoch(grouped(), epoch)
        .at(-1)!
        .microBatches.flat()
        .map((name) => tokens(name, epoch)),
    );
    const median = 55;
    expect(last.filter((length) => length > median).length).toBeGreaterThan(3);
    expect(last.filter((length) => length < median).length).toBeGreaterThan(3);
  });

  it('goes on from a position that was written down', () => {
    const all = drawEpoch(grouped());
    for (const step of [1, 60, 125]) {
      const position = JSON.parse(JSON.stringify(all[step - 1]!.next));
      expect(grouped().draw(position)).toEqual(all[step]);
    }
    expect(all.at(-1)!.next).toEqual({ epoch: 2, index: 0 });
  });

  it('is one step of all samples where there are fewer than a step takes', () => {
    const few = names.slice(0, 5);
    const [only, ...others] = drawEpoch(grouped({ names: few }));
    expect([...namesOf([only!])].sort()).toEqual(few);
    expect(others).toEqual([]);
  });
});

describe('train.lengthGrouping', async () => {
  /** Several whole trainings. */
  const runs = { timeout: 180_000 };
  const training = await makeTinyTraining(11);
  const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
  const settings = { 'train.batchSize': 2, 'train.accumulation': 1, 'train.log.every': 1 };
  const config = (more: Readonly<Record<string, unknown>> = {}) =>
    training.config({ ...settings, 'train.lengthGrouping': 5, ...more });

  it('does not change the loss of any sample', async () => {
    const opened = await openTinyTraining(config(), engine);
    const lossesOf = await sampleLosses(opened, engine);
    const { source } = opened.samples;
    const options = { names: source.names, seed: 42, batchSize: 2, accumulation: 1 };
    const lossesUnder = async (order: EpochSampler) => {
      const losses = new Map<string, number>();
      for (const { epoch, microBatches } of drawEpoch(order)) {
        for (const batch of microBatches) {
          for (const [name, loss] of await lossesOf(batch, { epoch, step: 1 })) losses.set(name, loss);
        }
      }
      return losses;
    };
    const chance = new EpochSampler(options);
    const likewise = new EpochSampler({ ...options, lengthGrouping: configuredGrouping(config(), source) });
    const length = (name: string, epoch: number) => source.sequenceLength(name, epoch).tokens;
    expect(count(drawEpoch(likewise), length).padding).toBeLessThan(
      count(drawEpoch(chance), length).padding / 2,
    );
    const [expected, actual] = [await lossesUnder(chance), await lossesUnder(likewise)];
    expect([...actual.keys()].sort()).toEqual([...source.names].sort());
    for (const [name, loss] of expected) {
      expect(Math.abs(actual.get(name)! / loss - 1), name).toBeLessThan(1e-6);
    }
  });

  it('counts lengths as batches have them, anew for every epoch, and saves padding in the forecast', async () => {
    const { source } = (await openTinyTraining(config(), engine)).samples;
    const grouping = configuredGrouping(config(), source)!;
    expect(configuredGrouping(config({ 'train.lengthGrouping': null }), source)).toBeNull();
    const counted = new Set<number>();
    for (const epoch of [1, 2, 3, 4]) {
      const { tokens: total } = await source.loadBatch(source.names, { epoch });
      expect(source.names.reduce((sum, name) => sum + grouping.tokens(name, epoch), 0)).toBe(total);
      counted.add(total);
    }
    expect(counted.size).toBeGreaterThan(1);
    const share = (lengthGrouping: typeof grouping | null) =>
      countTokens({
        ...{ names: source.names, seed: 42, batchSize: 2, accumulation: 1, lengthGrouping },
        lengthOf: (name) => source.sequenceLength(name, 1),
      }).summary.paddingShare;
    expect(share(grouping)).toBeLessThan(share(null) / 2);
  });

  const trained = async (chosen: Config) => {
    const steps: unknown[] = [];
    const { parameters } = await trainConfigured({
      ...{ config: chosen, sources: new Map(), engine, resume: 'auto', stream: null },
      onStep: ({ seconds: _, totals: __, ...numbers }) => void steps.push(numbers),
    });
    return { steps, parameters };
  };

  it('goes on exactly where a run was left, in the middle of an epoch', runs, async () => {
    const run = (name: string, steps: number) =>
      trained(config({ output: join(training.folder, name), 'train.steps': steps }));
    const whole = await run('whole', 9);
    const parts = [await run('parts', 3), await run('parts', 9)];
    expect(parts.flatMap(({ steps }) => steps)).toEqual(whole.steps);
    expect(parts.at(-1)!.parameters).toEqual(whole.parameters);
    const { source } = (await openTinyTraining(config(), engine)).samples;
    const order = new EpochSampler({
      ...{ names: source.names, seed: 42, batchSize: 2, accumulation: 1 },
      lengthGrouping: configuredGrouping(config(), source),
    });
    const drawn = whole.steps.slice(0, 6).flatMap((step) => (step as { names: string[] }).names);
    expect(drawn).toEqual(order.order(firstPosition.epoch));
  });

  it('cannot be turned on or changed in the middle of a run', runs, async () => {
    const output = join(training.folder, 'ungrouped');
    const at = (lengthGrouping: number | null, steps: number) =>
      config({ output, 'train.lengthGrouping': lengthGrouping, 'train.steps': steps });
    await trained(at(null, 2));
    await expect(trained(at(50, 4))).rejects.toMatchObject({
      code: 'RESUME_CONFIG_CHANGED',
      message: expect.stringContaining('train.lengthGrouping was null and is now 50'),
    });
    // A checkpoint from before there was this setting.
    const checkpoint = join(output, 'checkpoints', 'step-000002');
    const file = join(checkpoint, 'state.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    expect(state.config['train.lengthGrouping']).toBeNull();
    delete state.config['train.lengthGrouping'];
    await writeFile(file, JSON.stringify(state));
    const { files } = JSON.parse(await readFile(join(checkpoint, 'checksums.json'), 'utf8'));
    await writeChecksums(checkpoint, Object.keys(files));
    await expect(trained(at(50, 4))).rejects.toMatchObject({
      message: expect.stringContaining('train.lengthGrouping was absent and is now 50'),
    });
    expect((await trained(at(null, 4))).steps).toHaveLength(2);
  });
});
