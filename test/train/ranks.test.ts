import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Collective, isEveryRanks } from '../../src/collective/collective.ts';
import { createEngine } from '../../src/engine/engines.ts';
import type { Engine, HostTensorMap } from '../../src/engine/types.ts';
import { findResumable } from '../../train/checkpoint-folders.ts';
import { readDump } from '../../train/dump.ts';
import type { InterruptSignal } from '../../train/interrupts.ts';
import type { StepRecord } from '../../train/logger.ts';
import { train } from '../../train/loop.ts';
import { shareOf } from '../../train/ranks.ts';
import { EpochSampler, firstPosition } from '../../train/sampler.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import type { RunOptions, TrainingTask, TrainOptions } from '../../train/task.ts';
import type { Validator } from '../../train/validation/validator.ts';
import { localRanks } from '../support/local-ranks.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { relativeLength } from './relative-length.ts';
import { tinyAdapter, tinyDecoderTask, tinyLineTask } from './tiny-tasks.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ type: 'onnxruntime', threads: 1 });
});

const options = { steps: 8, batchSize: 2, accumulation: 1, seed: 11 } as const;
const schedule = { type: 'constant', lr: 0.02 } as const;

async function trained(task: TrainingTask, changes: Partial<TrainOptions>) {
  const records: StepRecord[] = [];
  const outcome = await train(task, {
    ...{ engine, ...options, schedule, run: null },
    ...changes,
    onStep: (record) => {
      records.push(record);
      return changes.onStep?.(record);
    },
  });
  return { records, outcome };
}

/** The same training on so many ranks. */
const together = (
  size: number,
  task: TrainingTask | ((rank: number) => TrainingTask),
  changes: (collective: Collective) => Partial<TrainOptions> = () => ({}),
) =>
  Promise.all(
    localRanks(size).map((collective) =>
      trained(typeof task === 'function' ? task(collective.rank) : task, {
        collective,
        ...changes(collective),
      }),
    ),
  );

const runIn = (folder: string, changes: Partial<RunOptions> = {}): RunOptions => ({
  folder,
  resume: 'auto',
  checkpoint: { every: 4, keep: 9 },
  adapter: tinyAdapter,
  ...changes,
});

const bits = (tensors: HostTensorMap) =>
  Object.entries(tensors).map(([name, { data }]) => [name, Buffer.from(data.slice().buffer)]);

/** Loss by loss, to 1e-6. */
function expectSameLosses(actual: readonly StepRecord[], expected: readonly StepRecord[]): void {
  expect(actual.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
  for (const [i, { loss, step }] of expected.entries()) {
    expect(Math.abs(actual[i]!.loss / loss - 1), `step ${step}`).toBeLessThan(1e-6);
  }
}

// Eleven samples, four in a step of two ranks: the third step of each epoch has three, and none is left for a third rank.
describe('ranks that train together', () => {
  it.each([
    [2, 1],
    [3, 1],
    [2, 2],
  ])(
    '%i ranks of accumulation %i equal one process with so many times the batch',
    async (size, accumulation) => {
      const task = tinyDecoderTask(11, 1e-3);
      const alone = await trained(task, { batchSize: 2 * size, accumulation });
      const ranks = await together(size, task, () => ({ accumulation }));
      const [first, ...others] = ranks as [(typeof ranks)[0], ...typeof ranks];
      expectSameLosses(first.records, alone.records);
      expect(new Set(first.records.map(({ names }) => names.length)).size).toBe(2);
      for (const [i, record] of alone.records.entries()) {
        const { names, tokens, supervisedTokens, epoch, gradNorm } = first.records[i]!;
        expect({ names, tokens, supervisedTokens, epoch }).toEqual({
          names: record.names,
          tokens: record.tokens,
          supervisedTokens: record.supervisedTokens,
          epoch: record.epoch,
        });
        // Later ones are of parameters that differ by rounding.
        expect(Math.abs(gradNorm / record.gradNorm - 1)).toBeLessThan(i === 0 ? 1e-6 : 1e-3);
      }
      // AdamW makes whole steps of small gradients, rounding and all, and does so eight times.
      expect(relativeLength(first.outcome.parameters, alone.outcome.parameters)).toBeLessThan(3e-6);
      for (const other of others)
        expect(bits(other.outcome.parameters)).toEqual(bits(first.outcome.parameters));
      expect(first.outcome.totals).toMatchObject({
        tokens: alone.outcome.totals.tokens,
        samples: alone.outcome.totals.samples,
      });
    },
  );

  it('have the gradients of the whole step, also a rank that has no sample of it', async () => {
    const task = tinyDecoderTask(11);
    const sampler = new EpochSampler({ names: task.names, seed: 1, batchSize: 2, accumulation: 2 });
    const { microBatches } = sampler.draw({ ...firstPosition, index: 1 });
    const load = (names: readonly string[]) => task.loadBatch(names, { epoch: 1, step: 1 });
    const batches = await Promise.all(microBatches.map(load));
    const total = batches.reduce((sum, batch) => sum + batch.supervisedTokens, 0);
    const parameters = task.initialParameters;
    const gradients = async (inputs: HostTensorMap[], collective?: Collective) => {
      const step = new TrainStep(engine, task.stepOptions, collective);
      const state = createTrainState(engine, parameters, { accumulation: 2 });
      const result = await step.gradients(state, inputs, total);
      await step.dispose();
      return result;
    };
    const whole = await gradients(batches.map(({ inputs }) => inputs));
    const ranks = await Promise.all(
      localRanks(3).map((collective) =>
        gradients(
          shareOf(collective, batches).map(({ inputs }) => inputs),
          collective,
        ),
      ),
    );
    for (const { loss, gradients: actual } of ranks) {
      expect(Math.abs(loss / whole.loss - 1)).toBeLessThan(1e-6);
      expect(relativeLength(actual, whole.gradients)).toBeLessThan(1e-6);
      expect(bits(actual)).toEqual(bits(ranks[0]!.gradients));
    }
  });

  it('begin with the parameters of rank 0', async () => {
    const line = tinyLineTask(5);
    const [first, second] = await together(2, (rank) => ({
      ...line,
      initialParameters: { weight: { dtype: 'float32', shape: [3], data: new Float32Array(3).fill(rank) } },
    }));
    const alone = await trained(line, { batchSize: 4 });
    expect(bits(second!.outcome.parameters)).toEqual(bits(first!.outcome.parameters));
    expectSameLosses(first!.records, alone.records);
  });

  it('stop after the same step for a signal to any of them, and resume with any number of ranks', async () => {
    const task = tinyDecoderTask(11, 1e-3);
    const whole = await trained(task, { batchSize: 6 });
    const folder = await temporaryFolder();
    const identity = (batchSize: number) => ({ 'train.batchSize x train.accumulation': batchSize });
    let requested: InterruptSignal | undefined;
    const stopped = await together(2, task, ({ rank }) => ({
      batchSize: 3,
      run: runIn(folder, { identity: identity(3) }),
      ...(rank === 1 && {
        interrupt: {
          get requested() {
            return requested;
          },
        },
        onStep: ({ step }) => {
          if (step === 3) requested = 'SIGUSR2';
        },
      }),
    }));
    for (const { outcome } of stopped) {
      expect(outcome).toMatchObject({ status: 'interrupted', signal: 'SIGUSR2', exitCode: 75, step: 3 });
    }
    expect((await findResumable(folder))?.step).toBe(3);
    // As many samples in a step, by three ranks and then by one process.
    const three = await together(3, task, () => ({
      steps: 5,
      run: runIn(folder, { identity: identity(2) }),
    }));
    const one = await trained(task, { batchSize: 6, run: runIn(folder, { identity: identity(6) }) });
    expectSameLosses([...stopped[0]!.records, ...three[0]!.records, ...one.records], whole.records);
    expect(relativeLength(one.outcome.parameters, whole.outcome.parameters)).toBeLessThan(1e-6);
    expect(bits(three[2]!.outcome.parameters)).toEqual(bits(three[0]!.outcome.parameters));
  });

  it('are validated by rank 0, and stop early with it', async () => {
    const folder = await temporaryFolder();
    let loss = 1;
    const asked: number[] = [];
    const validator = (rank: number): Validator => ({
      set: 'a',
      validate: async () => {
        asked.push(rank);
        return { loss: loss++, samples: 1, supervisedTokens: 1, metrics: {}, answers: [] };
      },
    });
    const ranks = await together(2, tinyLineTask(5), ({ rank }) => ({
      run: runIn(folder),
      validation: { every: 2, metric: 'loss', patience: 2, minDelta: 0, validator: validator(rank) },
    }));
    for (const { outcome } of ranks) expect(outcome).toMatchObject({ step: 6, isStoppedEarly: true });
    expect(asked).toEqual([0, 0, 0]);
    expect(ranks[0]!.outcome.best).toMatchObject({ step: 2, value: 1 });
    expect(await readdir(join(folder, 'checkpoints'))).toContain('step-000002');
  });

  it('leave the run folder to rank 0', async () => {
    const folders = [await temporaryFolder(), await temporaryFolder()];
    const other = join(folders[1]!, 'run');
    await together(2, tinyLineTask(5), ({ rank }) => ({ run: runIn(rank === 0 ? folders[0]! : other) }));
    expect(await readdir(folders[0]!)).toContain('metrics.jsonl');
    expect(existsSync(other)).toBe(false);
    // A run folder that only rank 0 can reach is enough to go on.
    const on = await together(2, tinyLineTask(5), ({ rank }) => ({
      steps: 10,
      run: runIn(rank === 0 ? folders[0]! : other),
    }));
    expect(on[1]!.records.map(({ step }) => step)).toEqual([9, 10]);
  });
});

describe('ranks that do not fit together', () => {
  const failures = async (ranks: Promise<unknown>[]) =>
    (await Promise.allSettled(ranks)).map((result) =>
      result.status === 'rejected' ? result.reason : undefined,
    );

  it('are refused with RANKS_DIFFER, by their names', async () => {
    const errors = await failures(
      localRanks(3).map((collective) =>
        trained(tinyLineTask(collective.rank === 2 ? 6 : 5), {
          collective,
          steps: collective.rank === 1 ? 9 : 8,
        }),
      ),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'RANKS_DIFFER' });
      expect(error.message).toContain(
        'the samples of rank 2 of a test; the numbers of steps of rank 1 of a test',
      );
      expect(isEveryRanks(error)).toBe(true);
    }
  });

  it('are told apart with RANKS_DRIFTED where their parameters differ after a step', async () => {
    // One rank takes larger steps than the others.
    const errors = await failures(
      localRanks(2).map((collective) =>
        trained(tinyLineTask(5), {
          collective,
          schedule: { type: 'constant', lr: collective.rank === 1 ? 0.02 * (1 + 1e-6) : 0.02 },
        }),
      ),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'RANKS_DRIFTED' });
      expect(error.message).toContain(
        'After step 1 the parameters of rank 1 of a test are not those of rank 0',
      );
    }
  });

  it('stop together on NaN in the samples of one of them, and rank 0 dumps the whole step', async () => {
    const folder = await temporaryFolder();
    const task = tinyLineTask(5, 'point-3');
    const alone = await failures([trained(task, { batchSize: 4 })]);
    const errors = await failures(
      localRanks(2).map((collective) => trained(task, { collective, run: runIn(folder) })),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'LOSS_NOT_FINITE' });
      expect(isEveryRanks(error)).toBe(true);
    }
    const [step] = /Step \d+/.exec(alone[0]!.message)!;
    expect(errors[0].message).toContain(`${step}: the loss is NaN`);
    const [dump] = await readdir(join(folder, 'dumps'));
    const { microBatches, step: dumped } = await readDump(join(folder, 'dumps', dump!));
    expect(dumped.samples.flat()).toContain('point-3');
    expect(microBatches).toHaveLength(dumped.samples.length);
    // Or pass over it, all of them.
    const skipping = await together(2, task, () => ({ onBadNumbers: { action: 'skip', limit: 9 } }));
    expect(skipping[1]!.outcome.skippedSteps).toBeGreaterThan(0);
    expect(bits(skipping[1]!.outcome.parameters)).toEqual(bits(skipping[0]!.outcome.parameters));
  });
});
