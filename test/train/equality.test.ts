import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import type { StepRecord } from '../../train/logger.ts';
import { train } from '../../train/loop.ts';
import { EpochSampler, firstPosition } from '../../train/sampler.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import type { TaskBatch, TrainingTask } from '../../train/task.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import { makeTinyTraining, openTinyTraining, sampleLosses } from '../support/tiny-training.ts';
import { relativeLength } from './relative-length.ts';

const training = await makeTinyTraining(11);
const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
const seed = 1;
/** Every division compiles its graphs. */
const compiling = { timeout: 180_000 };
const learningRate = 1e-3;

/** The same eight samples of a step, computed 8, 4, 2 or 1 at a time. */
const divisions = [
  [8, 1],
  [4, 2],
  [2, 4],
  [1, 8],
] as const;

const largest = (data: ArrayLike<number>): number => maxAbsDifference(data, new Float32Array(data.length));

/** The largest difference as a part of the largest value. */
const relative = (actual: ArrayLike<number>, expected: ArrayLike<number>): number =>
  maxAbsDifference(actual, expected) / largest(expected);

/** Zero but for rounding: attention does not change where all its scores do by the same. */
const isNoise = (name: string): boolean => name.endsWith('self.key.bias');

/** Every number one float32 step larger or smaller. */
function jitter({ dtype, shape, data }: HostTensor, random: RandomGenerator): HostTensor {
  const moved = Float32Array.from(
    data,
    (value) => value * (1 + (random.uniform() < 0.5 ? -1 : 1) * 2 ** -23),
  );
  return { dtype, shape, data: moved };
}

const supervisedTokens = (batches: readonly TaskBatch[]): number =>
  batches.reduce((sum, batch) => sum + batch.supervisedTokens, 0);

/** The batches of the first step. */
async function firstStep(task: TrainingTask, batchSize: number, accumulation: number): Promise<TaskBatch[]> {
  const sampler = new EpochSampler({ names: task.names, seed, batchSize, accumulation });
  const { microBatches } = sampler.draw(firstPosition);
  expect(microBatches.map(({ length }) => length)).toEqual(Array(accumulation).fill(batchSize));
  return Promise.all(microBatches.map((names) => task.loadBatch(names, { epoch: 1, step: 1 })));
}

describe.each(['attention', 'qformer'])('a step of eight samples, %s pre-fusion', async (multi) => {
  const tokens = multi === 'qformer' ? 4 : 1;
  const config = training.config({ 'fusion.multi': multi, 'fusion.queryTokens.multi': tokens });
  const opened = await openTinyTraining(config, engine);
  const { task } = opened;
  const step = new TrainStep(engine, task.stepOptions);

  /** Loss and gradients of the first step. */
  const gradientsOf = async (
    batches: readonly TaskBatch[],
    total = supervisedTokens(batches),
    parameters: HostTensorMap = task.initialParameters,
  ) => {
    const state = createTrainState(engine, parameters, { accumulation: 2 });
    const inputs = batches.map((batch) => batch.inputs);
    const result = await step.gradients(state, inputs, total);
    state.dispose();
    return result;
  };
  const divided = await Promise.all(divisions.map(([size, count]) => firstStep(task, size, count)));
  const results: Awaited<ReturnType<typeof gradientsOf>>[] = [];
  for (const batches of divided) results.push(await gradientsOf(batches));
  const [whole, ...others] = results as [(typeof results)[0], ...typeof results];

  it('has samples of unequal length with unequal numbers of supervised tokens, and dropout', () => {
    const singles = divided[3]!;
    expect(new Set(singles.map((batch) => batch.supervisedTokens)).size).toBeGreaterThan(5);
    expect(new Set(singles.map((batch) => batch.tokens)).size).toBeGreaterThan(5);
    expect(Object.keys(singles[0]!.inputs)).toContain('rowKeys');
    for (const batches of divided) expect(supervisedTokens(batches)).toBe(supervisedTokens(singles));
  });

  it('has the same loss', () => {
    for (const { loss } of others) expect(Math.abs(loss / whole.loss - 1)).toBeLessThan(1e-6);
  });

  it('has the same gradient as a whole', () => {
    for (const { gradients } of others) {
      expect(relativeLength(gradients, whole.gradients)).toBeLessThan(1e-6);
    }
  });

  it('adds micro-batches up without loss: as a sum in float64', async () => {
    const total = supervisedTokens(divided[0]!);
    for (const [i, batches] of divided.entries()) {
      const sums: Record<string, Float64Array> = {};
      for (const batch of batches) {
        const { gradients } = await gradientsOf([batch], total);
        for (const [name, { data }] of Object.entries(gradients)) {
          sums[name] ??= new Float64Array(data.length);
          for (let k = 0; k < data.length; k++) sums[name][k]! += data[k]!;
        }
      }
      for (const [name, { data }] of Object.entries(results[i]!.gradients)) {
        if (!isNoise(name)) expect(relative(data, sums[name]!), name).toBeLessThan(1e-6);
      }
    }
  });

  // A batch of another size runs through other matrix kernels, whose sums round differently. Where the terms of a gradient
  // nearly cancel, that is more than 1e-6 of what is left - and so is what one float32 step in each number that goes in makes.
  it('has the same gradient of every tensor, as far as float32 tells it', async () => {
    const batch = divided[0]![0]!;
    const sensitivity: Record<string, number> = {};
    for (const draw of [1, 2, 3, 4]) {
      const random = new RandomGenerator(draw);
      const { face, audio } = batch.inputs;
      const features = { face: jitter(face!, random), audio: jitter(audio!, random) };
      const parameters = Object.fromEntries(
        Object.entries(task.initialParameters).map(([name, tensor]) => [name, jitter(tensor, random)]),
      );
      const moved = [{ ...batch, inputs: { ...batch.inputs, ...features } }];
      const { gradients } = await gradientsOf(moved, batch.supervisedTokens, parameters);
      for (const [name, { data }] of Object.entries(whole.gradients)) {
        sensitivity[name] = Math.max(sensitivity[name] ?? 0, relative(gradients[name]!.data, data));
      }
    }
    const bounds = Object.fromEntries(
      Object.entries(sensitivity).map(([name, moved]) => [name, Math.max(1e-6, 2 * moved)]),
    );
    for (const { gradients } of others) {
      for (const [name, { data }] of Object.entries(whole.gradients)) {
        if (isNoise(name)) continue;
        expect(bounds[name], name).toBeLessThan(1e-4);
        expect(relative(gradients[name]!.data, data), name).toBeLessThan(bounds[name]!);
      }
    }
  });

  it(
    'leads to the same losses and weights, over a short step at the end of an epoch too',
    compiling,
    async () => {
      const steps = 3;
      // 11 samples: every other step has 3.
      const trained = async (batchSize: number, accumulation: number) => {
        const records: StepRecord[] = [];
        const { parameters } = await train(task, {
          ...{ engine, steps, batchSize, accumulation, seed, run: null },
          schedule: { type: 'constant', lr: learningRate },
          onStep: (record) => void records.push(record),
        });
        return { records, parameters };
      };
      const reference = await trained(8, 1);
      expect(reference.records.map(({ names }) => names.length)).toEqual([8, 3, 8]);
      const smallest = await smallestGradients(steps);
      for (const [batchSize, accumulation] of divisions.slice(1)) {
        const { records, parameters } = await trained(batchSize, accumulation);
        expect(records.map(({ names }) => names)).toEqual(reference.records.map(({ names }) => names));
        for (const [i, { loss }] of records.entries()) {
          expect(Math.abs(loss / reference.records[i]!.loss - 1), `step ${i + 1}`).toBeLessThan(1e-6);
        }
        for (const [name, gradient] of Object.entries(smallest)) {
          if (isNoise(name)) continue;
          const { data } = reference.parameters[name]!;
          const furthest = (above: number): number => {
            const compared = (value: number, i: number) => (gradient[i]! > above ? value : 0);
            const actual = parameters[name]!.data as Float32Array;
            return maxAbsDifference(actual.map(compared), (data as Float32Array).map(compared));
          };
          // AdamW makes a whole step of the direction of a small gradient, noise and all.
          expect(furthest(1e-7), name).toBeLessThan(learningRate / 100);
          expect(furthest(1e-5), name).toBeLessThan(1e-6);
        }
      }
    },
  );

  /** Of every parameter the smallest gradient of the steps, as a part of the largest of its tensor. */
  async function smallestGradients(steps: number): Promise<Record<string, Float32Array>> {
    const state = createTrainState(engine, task.initialParameters, { accumulation: 2 });
    const sampler = new EpochSampler({ names: task.names, seed, batchSize: 8, accumulation: 1 });
    const smallest: Record<string, Float32Array> = {};
    for (let at = 1, position = firstPosition; at <= steps; at++) {
      const { epoch, microBatches, next } = sampler.draw(position);
      const batch = await task.loadBatch(microBatches[0]!, { epoch, step: at });
      const settings = { supervisedTokens: batch.supervisedTokens, learningRate, step: at };
      const { gradients } = await step.gradients(state, [batch.inputs], batch.supervisedTokens);
      for (const [name, { data }] of Object.entries(gradients)) {
        const scale = largest(data);
        const before = smallest[name];
        smallest[name] = Float32Array.from(data, (value, i) =>
          Math.min(before?.[i] ?? 1, Math.abs(value) / scale),
        );
      }
      await step.run(state, [batch.inputs], settings);
      position = next;
    }
    state.dispose();
    return smallest;
  }

  it('has the same loss of each sample alone as beside any neighbour, however much padding that causes', async () => {
    const lossesOf = await sampleLosses(opened, engine);
    const at = { epoch: 1, step: 1 };
    const { sequenceLength } = opened.samples.source;
    const length = (name: string) => sequenceLength.call(opened.samples.source, name, 1).tokens;
    const names = [...task.names].sort((a, b) => length(a) - length(b));
    const [short, long] = [names[0]!, names.at(-1)!];
    expect(length(long) - length(short)).toBeGreaterThan(40);
    for (const name of names.slice(0, -1)) {
      const alone = (await lossesOf([name], at)).get(name)!;
      for (const batch of [[name, long], [long, name], name === short ? names : [name, short]]) {
        const beside = (await lossesOf(batch, at)).get(name)!;
        expect(Math.abs(beside / alone - 1), `${name} among ${batch.length}`).toBeLessThan(1e-6);
      }
    }
  });
});
