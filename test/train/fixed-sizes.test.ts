import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { Engine } from '../../src/engine/types.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import type { TaskBatch, TrainingTask } from '../../train/task.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import { watchSizes } from '../support/sizes-asked.ts';
import { makeTinyTraining, openTinyTraining } from '../support/tiny-training.ts';
import { hasXla } from '../support/xla.ts';

const training = await makeTinyTraining(11);
const onnxruntime = await createEngine({ type: 'onnxruntime', threads: 1 });
const config = training.config();
const { task: exact } = await openTinyTraining(config, onnxruntime);

const sizesOf = ({ inputs }: TaskBatch): string => `${inputs.inputIds!.shape[1]} ${inputs.positions!.shape}`;

/** Pairs of samples that make batches of twenty combinations of sizes. */
async function twentyPairs(): Promise<string[][]> {
  const seen = new Map<string, string[]>();
  for (const first of exact.names) {
    for (const second of exact.names) {
      if (first >= second) continue;
      const sizes = sizesOf(await exact.loadBatch([first, second], { epoch: 1, step: 1 }));
      if (seen.size < 20 && !seen.has(sizes)) seen.set(sizes, [first, second]);
    }
  }
  return [...seen.values()];
}

const pairs = await twentyPairs();
const batchesOf = (task: TrainingTask): Promise<TaskBatch[]> =>
  Promise.all(pairs.map((names, i) => task.loadBatch(names, { epoch: 1, step: i + 1 })));

/** A step with each pair, or some of them. @returns the losses */
async function train(
  task: TrainingTask,
  engine: Engine,
  some: (batch: TaskBatch) => boolean = () => true,
): Promise<number[]> {
  const step = new TrainStep(engine, task.stepOptions);
  const state = createTrainState(engine, task.initialParameters);
  const losses: number[] = [];
  for (const [i, { inputs, supervisedTokens }] of (await batchesOf(task)).filter(some).entries()) {
    const at = { supervisedTokens, learningRate: 1e-3, step: i + 1 };
    losses.push((await step.run(state, [inputs], at)).loss);
  }
  state.dispose();
  await step.dispose();
  return losses;
}

const { engine: fixed, asked } = watchSizes(onnxruntime, true);
const { task: rounded } = await openTinyTraining(config, fixed);

describe('training with sizes rounded up', () => {
  it('asks for few combinations of them, and counts tokens as they are', async () => {
    const [before, after] = [await batchesOf(exact), await batchesOf(rounded)];
    expect(new Set(before.map(sizesOf)).size).toBe(20);
    expect(new Set(after.map(sizesOf)).size).toBeLessThanOrEqual(10);
    const counts = (batches: readonly TaskBatch[]) =>
      batches.map(({ tokens, supervisedTokens, flops }) => ({ tokens, supervisedTokens, flops }));
    expect(counts(after)).toEqual(counts(before));
  });

  it('has the losses of exact sizes, with dropout, step after step', async () => {
    const expected = await train(exact, onnxruntime);
    const losses = await train(rounded, fixed);
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.9);
    losses.forEach((loss, i) => {
      expect(Math.abs(loss - expected[i]!), `step ${i + 1}`).toBeLessThan(1e-5);
    });
    expect(asked['affectgpt.step']!.size).toBeLessThanOrEqual(10);
  });

  it('has the gradient of exact sizes', async () => {
    const gradientsOf = async (task: TrainingTask) => {
      const { inputs, supervisedTokens } = (await batchesOf(task))[0]!;
      const state = createTrainState(onnxruntime, task.initialParameters, { accumulation: 2 });
      return new TrainStep(onnxruntime, task.stepOptions).gradients(state, [inputs], supervisedTokens);
    };
    const [whole, other] = [await gradientsOf(exact), await gradientsOf(rounded)];
    for (const [name, { data }] of Object.entries(whole.gradients)) {
      // Zero but for rounding.
      if (name.endsWith('self.key.bias')) continue;
      const largest = maxAbsDifference(data, new Float32Array(data.length));
      expect(maxAbsDifference(other.gradients[name]!.data, data) / largest, name).toBeLessThan(2e-5);
    }
  });
});

describe.skipIf(!hasXla)('training on xla', async () => {
  const executables = await mkdtemp(path.join(tmpdir(), 'xla-training-'));
  afterAll(() => rm(executables, { recursive: true }));

  // XLA takes seconds for each program: batches of two combinations of sizes stand for all.
  const all = (await batchesOf(rounded)).map(sizesOf);
  const count = (sizes: string) => all.filter((other) => other === sizes).length;
  const commonest = [...new Set(all)].sort((a, b) => count(b) - count(a)).slice(0, 2);
  const isCommon = (batch: TaskBatch): boolean => commonest.includes(sizesOf(batch));

  const trainOnXla = () => train(rounded, new XlaEngine({ threads: 1, executables }), isCommon);
  const files = async () =>
    Promise.all(
      (await readdir(executables)).map(async (name) => [
        name,
        (await stat(path.join(executables, name))).ino,
      ]),
    );

  it('compiles one program for each combination, the next run none, and has the losses of onnxruntime', async () => {
    const expected = await train(rounded, onnxruntime, isCommon);
    expect(expected.length).toBeGreaterThan(4);
    const losses = await trainOnXla();
    losses.forEach((loss, i) => {
      expect(Math.abs(loss - expected[i]!), `step ${i + 1}`).toBeLessThan(1e-5);
    });
    const compiled = await files();
    expect(compiled.length).toBe(2);
    expect(await trainOnXla()).toEqual(losses);
    // A file that was written again would be another one of the same name.
    expect(await files()).toEqual(compiled);
  }, 180_000);
});
