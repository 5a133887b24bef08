import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { Engine, HostTensorMap } from '../../src/engine/types.ts';
import { readDump } from '../../train/dump.ts';
import type { StepRecord } from '../../train/logger.ts';
import { train } from '../../train/loop.ts';
import { formatReplay, inspectTensor, replayStep } from '../../train/replay.ts';
import type { TrainingTask, TrainOptions } from '../../train/task.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyAdapter, tinyDecoderTask, tinyLineTask } from './tiny-tasks.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ type: 'onnxruntime', threads: 1 });
});

async function trained(task: TrainingTask, options: Partial<TrainOptions>) {
  const records: StepRecord[] = [];
  const outcome = await train(task, {
    ...{ engine, steps: 8, batchSize: 2, accumulation: 1, seed: 11, run: null },
    schedule: { type: 'constant', lr: 0.02 },
    ...options,
    onStep: (record) => void records.push(record),
  });
  return { records, outcome };
}

const runIn = (folder: string, every = 1): NonNullable<TrainOptions['run']> => ({
  folder,
  resume: 'auto',
  checkpoint: { every, keep: 99 },
});

const bits = (tensors: HostTensorMap) =>
  Object.entries(tensors).map(([name, { data }]) => [name, Buffer.from(data.slice().buffer)]);

/** Two tensors; the loss reaches `second` through a root, whose gradient at zero is infinite while the loss is finite. */
function rootTask(badSample: string, samples = 5): TrainingTask {
  const line = tinyLineTask(samples);
  return {
    ...line,
    stepOptions: {
      ...line.stepOptions,
      lossSum: ({ inputs, parameters }) =>
        tf.add(
          line.stepOptions.lossSum({ inputs, parameters }),
          tf.sum(tf.sqrt(tf.mul(tf.square(parameters.second!), tf.sum(tf.square(inputs.y!))))),
        ) as tf.Scalar,
      trainable: { weight: [3], second: [2] },
    },
    initialParameters: {
      ...line.initialParameters,
      second: { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) },
    },
    loadBatch: async (names, at) => {
      const batch = await line.loadBatch(names, at);
      const y = batch.inputs.y!;
      const data = names.includes(badSample) ? y.data.map(() => 0) : y.data;
      return { ...batch, inputs: { ...batch.inputs, y: { ...y, data } as typeof y } };
    },
  };
}

const skip = (limit: number) => ({ action: 'skip', limit }) as const;

describe('a step whose gradient is not finite though its loss is', () => {
  it.each([1, 2])(
    'names the first tensor and leaves all state alone, accumulation %i',
    async (accumulation) => {
      const folder = await temporaryFolder();
      const failing = trained(rootTask('point-3'), { run: runIn(folder), accumulation, batchSize: 1 });
      const error = await failing.catch((reason) => reason);
      expect(error).toMatchObject({ code: 'GRADIENT_NOT_FINITE', exitCode: 3 });
      expect(error.message).toMatch(/^Step \d+: the gradient of second holds (NaN|infinity)/);
      expect(error.message).toMatch(/Epoch 1, samples of this step: .*point-3/);
      expect(error.message).toContain(`affectgpt train --replay ${join(folder, 'dumps')}`);
      const [name] = await readdir(join(folder, 'dumps'));
      const dump = await readDump(join(folder, 'dumps', name!));
      const before = await trained(rootTask('none'), {
        ...{ accumulation, batchSize: 1, steps: dump.step.step - 1 || 1 },
      });
      if (dump.step.step > 1) expect(bits(dump.parameters)).toEqual(bits(before.outcome.parameters));
      expect(dump.step.lastCheckpoint ?? 'step-000000').toContain(
        `step-${String(dump.step.step - 1).padStart(6, '0')}`,
      );
    },
  );
});

describe('skipping', () => {
  it.each([1, 2])('updates nothing and goes on, accumulation %i', async (accumulation) => {
    const options = { accumulation, batchSize: 1, onBadNumbers: skip(9), steps: 8 };
    const task = rootTask('point-3');
    const { records, outcome } = await trained(task, options);
    const bad = 8 - records.length;
    expect(bad).toBeGreaterThan(0);
    expect(outcome).toMatchObject({ status: 'done', step: 8, skippedSteps: bad });
    expect(Object.values(outcome.parameters).every(({ data }) => [...data].every(Number.isFinite))).toBe(
      true,
    );
    // The same as if those steps had never been: moments and their corrections count updates.
    const kept = records.map(({ names, epoch }) => ({ names, epoch }));
    const stepped: TrainingTask = {
      ...task,
      loadBatch: (_, { step }) => {
        const one = kept[step - 1]!;
        return task.loadBatch(one.names, { epoch: one.epoch, step });
      },
    };
    const without = await trained(stepped, {
      steps: records.length,
      batchSize: 1,
      accumulation: 1,
    });
    if (accumulation === 1) expect(bits(without.outcome.parameters)).toEqual(bits(outcome.parameters));
  });

  it('stops past the limit, counted over resumptions', async () => {
    const folder = await temporaryFolder();
    const options = { batchSize: 1, run: runIn(folder), steps: 60 };
    const stopped = await trained(rootTask('point-3'), { ...options, onBadNumbers: skip(2) }).catch(
      (reason) => reason,
    );
    expect(stopped).toMatchObject({ code: 'GRADIENT_NOT_FINITE' });
    expect(stopped.message).toContain(
      '2 steps were skipped before, as many as train.onBadNumbers.limit allows',
    );
    const log = await readFile(join(folder, 'log.txt'), 'utf8');
    expect(log).toMatch(/Skipped \(1 of at most 2\)[\s\S]*Skipped \(2 of at most 2\)/);
    expect(await readdir(join(folder, 'dumps'))).toHaveLength(3);
    const again = await trained(rootTask('point-3'), { ...options, onBadNumbers: skip(2) }).catch(
      (reason) => reason,
    );
    expect(again.message).toContain('2 steps were skipped before');
  });

  it('equals the uninterrupted run after a resumption, bit for bit', async () => {
    const task = rootTask('point-3');
    const options = { batchSize: 1, onBadNumbers: skip(9) };
    const whole = await trained(task, { ...options, steps: 14 });
    const folder = await temporaryFolder();
    const first = await trained(task, { ...options, steps: 7, run: runIn(folder, 7) });
    expect(first.outcome.skippedSteps).toBeGreaterThan(0);
    const second = await trained(task, { ...options, steps: 14, run: runIn(folder, 7) });
    expect(second.outcome.skippedSteps).toBe(whole.outcome.skippedSteps);
    expect(bits(second.outcome.parameters)).toEqual(bits(whole.outcome.parameters));
    const losses = [...first.records, ...second.records].map(({ loss }) => loss);
    expect(losses).toEqual(whole.records.map(({ loss }) => loss));
  });

  it('leaves weights and moments alone on an eager engine too', async () => {
    const cpu = await createEngine({ type: 'cpu', threads: null });
    const options = { engine: cpu, batchSize: 1, onBadNumbers: skip(9), steps: 6 };
    const { outcome } = await trained(rootTask('point-3'), options);
    expect(outcome.skippedSteps).toBeGreaterThan(0);
    expect(Object.values(outcome.parameters).every(({ data }) => [...data].every(Number.isFinite))).toBe(
      true,
    );
  });

  it('does not go on from weights that are not finite', async () => {
    const options = { onBadNumbers: skip(9), schedule: { type: 'constant', lr: 1e39 } } as const;
    await expect(trained(tinyLineTask(5), options)).rejects.toMatchObject({
      code: 'LOSS_NOT_FINITE',
      message: expect.stringContaining('Before the step weight was not finite already.'),
    });
  });
});

describe('a replayed dump', () => {
  it('gives the same loss bit for bit, and counts by tensor', async () => {
    const folder = await temporaryFolder();
    const task = rootTask('point-3');
    await trained(task, { run: runIn(folder), batchSize: 1 }).catch(() => undefined);
    const [name] = await readdir(join(folder, 'dumps'));
    const replayed = await replayStep(join(folder, 'dumps', name!), task.stepOptions, engine);
    expect(Number.isFinite(replayed.result.loss)).toBe(true);
    expect(replayed.result).toEqual({
      loss: replayed.dump.step.loss,
      gradNorm: replayed.dump.step.gradNorm,
      fault: replayed.dump.step.fault,
    });
    expect(replayed.gradients).toMatchObject([
      { name: 'weight', nan: 0, infinite: 0, first: null },
      { name: 'second', elements: 2, first: 0 },
    ]);
    const text = formatReplay(replayed);
    expect(text).toContain('the same bits');
    expect(text).toMatch(/Gradients: 1 of 2 tensors are not finite.*\n {2}second: /);
    expect(text).toContain('point-3');
    const other = await replayStep(
      join(folder, 'dumps', name!),
      task.stepOptions,
      await createEngine({ type: 'cpu', threads: null }),
    );
    expect(other.result.loss).toBeCloseTo(replayed.result.loss, 5);
  });

  it.each([1, 2])('recomputes a decoder step with its dropout, accumulation %i', async (accumulation) => {
    const folder = await temporaryFolder();
    const task = tinyDecoderTask(5);
    const losses: number[] = [];
    // A step of which only the norm overflows: its loss is finite, large, and needs the same dropout masks.
    const steep: TrainingTask = {
      ...task,
      stepOptions: {
        ...task.stepOptions,
        lossSum: (tensors) => tf.mul(task.stepOptions.lossSum(tensors), 1e25) as tf.Scalar,
      },
    };
    const run = { ...runIn(folder), adapter: tinyAdapter };
    const error = await trained(steep, { run, accumulation }).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'GRADIENT_NOT_FINITE' });
    const dump = join(folder, 'dumps', 'step-000001');
    const replayed = await replayStep(dump, steep.stepOptions, engine);
    losses.push(replayed.dump.step.loss, replayed.result.loss);
    expect(losses[0]).toBeGreaterThan(1e24);
    expect(losses[1]).toBe(losses[0]);
    expect(replayed.dump.microBatches).toHaveLength(accumulation);
  });

  it('is refused where it does not fit the model', async () => {
    const folder = await temporaryFolder();
    await trained(rootTask('point-3'), { run: runIn(folder), batchSize: 1 }).catch(() => undefined);
    const [name] = await readdir(join(folder, 'dumps'));
    await expect(
      replayStep(join(folder, 'dumps', name!), tinyLineTask(5).stepOptions, engine),
    ).rejects.toMatchObject({ code: 'DUMP_MISMATCH', message: expect.stringContaining('second is [2]') });
  });

  it('counts NaN and infinity', () => {
    const data = Float32Array.of(1, Number.NEGATIVE_INFINITY, Number.NaN, -3, Number.NaN);
    expect(inspectTensor('x', { dtype: 'float32', shape: [5], data })).toEqual({
      ...{ name: 'x', elements: 5, nan: 2, infinite: 1, first: 1, largest: 3 },
    });
  });
});
