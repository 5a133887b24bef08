import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { Engine, HostTensorMap } from '../../src/engine/types.ts';
import { cacheVariable } from '../../src/engine/xla/executables-folder.ts';
import { findResumable } from '../../train/checkpoint-folders.ts';
import type { Interrupt, InterruptSignal } from '../../train/interrupts.ts';
import type { StepRecord } from '../../train/logger.ts';
import { train } from '../../train/loop.ts';
import type { Schedule } from '../../train/schedule.ts';
import type { RunOptions, TrainingTask, TrainOptions, TrainOutcome } from '../../train/task.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import { hasOpenvino } from '../support/openvino.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { hasTensorflow } from '../support/tensorflow.ts';
import { hasXla } from '../support/xla.ts';
import { tinyAdapter, tinyDecoderTask, tinyLineTask } from './tiny-tasks.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ type: 'onnxruntime', threads: 1 });
});

const schedule: Schedule = {
  type: 'warmup-cosine',
  lr: 0.02,
  warmupSteps: 3,
  warmupLr: 0.001,
  minLr: 0.002,
  steps: 20,
};

const runIn = (folder: string, options: Partial<RunOptions> = {}): RunOptions => ({
  folder,
  resume: 'auto',
  checkpoint: { every: 4, keep: 2 },
  adapter: tinyAdapter,
  ...options,
});

interface Trained {
  readonly records: StepRecord[];
  readonly outcome: TrainOutcome;
}

async function trained(task: TrainingTask, options: Partial<TrainOptions>): Promise<Trained> {
  const records: StepRecord[] = [];
  const outcome = await train(task, {
    ...{ engine, steps: 20, batchSize: 2, accumulation: 1, seed: 11, schedule, run: null },
    ...options,
    onStep: async (record) => {
      records.push(record);
      await options.onStep?.(record);
    },
  });
  return { records, outcome };
}

/** An interrupt that comes during a step. */
function interruptAt(step: number, signal: InterruptSignal) {
  let requested: InterruptSignal | undefined;
  const interrupt: Interrupt = {
    get requested() {
      return requested;
    },
  };
  const onStep = (record: StepRecord) => {
    if (record.step === step) requested = signal;
  };
  return { interrupt, onStep };
}

const bits = (tensors: HostTensorMap) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [name, Buffer.from(data.slice().buffer)]),
  );

/** What may not differ between runs: everything but the time. */
const numbers = (records: readonly StepRecord[]) =>
  records.map(({ seconds: _, totals, ...record }) => ({
    ...record,
    tokensSeen: totals.tokens,
    samplesSeen: totals.samples,
  }));

describe('a run that is stopped and resumed', () => {
  const engines = [
    ...(['onnxruntime', 'wasm'] as const),
    ...(hasXla ? (['xla'] as const) : []),
    ...(hasOpenvino ? (['openvino'] as const) : []),
    ...(hasTensorflow ? (['tensorflow'] as const) : []),
  ];
  const cases = engines.flatMap((type) => [1, 2].map((accumulation) => ({ type, accumulation })));

  afterEach(() => void vi.unstubAllEnvs());

  it.each(cases)(
    'equals the uninterrupted one bit for bit on $type, accumulation $accumulation',
    async ({ type, accumulation }) => {
      vi.stubEnv(cacheVariable, await temporaryFolder());
      const engine = await createEngine({ type, threads: 1 });
      // 7 samples: epochs end within and at the end of a step, before and after the stop. XLA compiles for each size of a
      // batch: there it is one.
      const task = type === 'xla' ? tinyDecoderTask(8, 1e-8, true) : tinyDecoderTask(7);
      const whole = await trained(task, { engine, accumulation });
      expect(whole.records).toHaveLength(20);
      expect(new Set(whole.records.map(({ epoch }) => epoch)).size).toBeGreaterThan(4);

      const folder = await temporaryFolder();
      const { interrupt, onStep } = interruptAt(10, 'SIGTERM');
      const first = await trained(task, { engine, accumulation, run: runIn(folder), interrupt, onStep });
      expect(first.outcome).toMatchObject({
        status: 'interrupted',
        signal: 'SIGTERM',
        exitCode: 143,
        step: 10,
      });
      expect((await findResumable(folder))?.step).toBe(10);
      const second = await trained(task, { engine, accumulation, run: runIn(folder) });
      expect(second.outcome).toMatchObject({ status: 'done', signal: null, exitCode: 0, step: 20 });
      expect(second.records[0]!.step).toBe(11);

      expect(numbers([...first.records, ...second.records])).toEqual(numbers(whole.records));
      expect(bits(second.outcome.parameters)).toEqual(bits(whole.outcome.parameters));
      expect(bits(first.outcome.parameters)).not.toEqual(bits(whole.outcome.parameters));
      const lines = (await readFile(join(folder, 'metrics.jsonl'), 'utf8')).trim().split('\n');
      expect(lines.map((line) => JSON.parse(line).loss)).toEqual(whole.records.map(({ loss }) => loss));
    },
    180_000,
  );

  it('goes back to the last checkpoint after a crash and does the lost steps again', async () => {
    const task = tinyLineTask(5);
    const whole = await trained(task, {});
    const folder = await temporaryFolder();
    const crash = (record: StepRecord) => {
      if (record.step === 7) throw new Error('power cut');
    };
    await expect(trained(task, { run: runIn(folder), onStep: crash })).rejects.toThrow('power cut');
    // Steps 5 to 7 are in the metrics, and the last line is torn.
    const metrics = join(folder, 'metrics.jsonl');
    await writeFile(metrics, '{"step":8,"lo', { flag: 'a' });
    const { records, outcome } = await trained(task, { run: runIn(folder) });
    expect(numbers(records)).toEqual(numbers(whole.records.slice(4)));
    expect(bits(outcome.parameters)).toEqual(bits(whole.outcome.parameters));
    const lines = (await readFile(metrics, 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).step)).toEqual(whole.records.map(({ step }) => step));
    expect((await readdir(folder)).filter((name) => name.startsWith('events.'))).toHaveLength(1);
  });

  it('may be given more steps, and says when none remain', async () => {
    const task = tinyLineTask(5);
    const constant: Schedule = { type: 'constant', lr: 0.01 };
    const folder = await temporaryFolder();
    await trained(task, { run: runIn(folder), steps: 6, schedule: constant });
    await expect(trained(task, { run: runIn(folder), steps: 6, schedule: constant })).rejects.toEqual(
      expect.objectContaining({ code: 'RUN_COMPLETE', message: expect.stringContaining('step 6 of 6') }),
    );
    const longer = await trained(task, { run: runIn(folder), steps: 9, schedule: constant });
    const whole = await trained(task, { steps: 9, schedule: constant });
    expect(bits(longer.outcome.parameters)).toEqual(bits(whole.outcome.parameters));
  });

  it('is refused under other settings, another seed or other data, with old and new values', async () => {
    const folder = await temporaryFolder();
    const run = runIn(folder, { identity: { 'lora.rank': 16, 'model.llm': 'a' } });
    await trained(tinyLineTask(5), { run, steps: 4 });
    const refusal = async (task: TrainingTask, options: Partial<TrainOptions>, code: string, text: string) =>
      expect(trained(task, { run, ...options })).rejects.toEqual(
        expect.objectContaining({ code, exitCode: 2, message: expect.stringContaining(text) }),
      );
    await refusal(
      tinyLineTask(5),
      { run: { ...run, identity: { 'lora.rank': 8, 'model.llm': 'a', 'train.seed': 1 } } },
      'RESUME_CONFIG_CHANGED',
      'lora.rank was 16 and is now 8; train.seed was absent and is now 1',
    );
    await refusal(tinyLineTask(5), { seed: 12 }, 'RESUME_SEED_CHANGED', 'was 11 and is now 12');
    await refusal(tinyLineTask(6), {}, 'RESUME_DATA_CHANGED', 'there were 5 samples and are now 6');
    const renamed = { ...tinyLineTask(5), names: ['a', 'b', 'c', 'd', 'e'] };
    await refusal(renamed, {}, 'RESUME_DATA_CHANGED', '5 samples as before, but their names');
    await refusal(tinyDecoderTask(5), {}, 'CHECKPOINT_MISMATCH', 'unexpected: weight');
    await refusal(tinyLineTask(5), { run: { ...run, resume: 'never' } }, 'RUN_EXISTS', 'step-000004');
  });
});

describe('equal samples in a step', () => {
  it('give equal losses and weights however they are divided, with dropout and unequal token counts', async () => {
    // 10 samples: every third step has 2 of them instead of 4. A larger eps keeps AdamW from magnifying rounding.
    const task = tinyDecoderTask(10, 1e-4);
    const divided = async (batchSize: number, accumulation: number) =>
      trained(task, { batchSize, accumulation, steps: 6 });
    const [reference, ...others] = [await divided(4, 1), await divided(2, 2), await divided(1, 4)];
    const supervised = reference!.records.map(({ supervisedTokens }) => supervisedTokens);
    expect(new Set(supervised).size).toBeGreaterThan(3);
    for (const { records, outcome } of others) {
      expect(records.map(({ names }) => names)).toEqual(reference!.records.map(({ names }) => names));
      expect(
        maxAbsDifference(
          records.map(({ loss }) => loss),
          reference!.records.map(({ loss }) => loss),
        ),
      ).toBeLessThan(1e-6);
      for (const [name, { data }] of Object.entries(outcome.parameters)) {
        const expected = reference!.outcome.parameters[name]!.data;
        expect(maxAbsDifference(data, expected), name).toBeLessThan(1e-6);
      }
    }
  });
});

describe('train', () => {
  it('keeps everything in memory without a run folder', async () => {
    const { outcome, records } = await trained(tinyLineTask(4), { steps: 3 });
    expect(outcome).toMatchObject({ status: 'done', checkpoint: null, totals: { samples: 6, tokens: 12 } });
    expect(records.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(records[0]!.lr).toBe(0.001);
    expect(outcome.parameters.weight!.data.every((value) => value !== 0)).toBe(true);
  });

  it('learns', async () => {
    // As many points as weights: an exact fit.
    const constant: Schedule = { type: 'constant', lr: 0.1 };
    const { records } = await trained(tinyLineTask(3), { batchSize: 3, steps: 300, schedule: constant });
    expect(records.at(-1)!.loss).toBeLessThan(0.05 * records[0]!.loss);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGUSR2', 75],
  ] as const)('stops on %s after the running step, saves and exits with %i', async (signal, exitCode) => {
    const folder = await temporaryFolder();
    const { interrupt, onStep } = interruptAt(6, signal);
    const { outcome, records } = await trained(tinyLineTask(5), { run: runIn(folder), interrupt, onStep });
    expect(records).toHaveLength(6);
    expect(outcome).toMatchObject({ status: 'interrupted', signal, exitCode, step: 6 });
    expect(outcome.checkpoint).toBe(join(folder, 'checkpoints', 'step-000006'));
    expect(await readFile(join(folder, 'log.txt'), 'utf8')).toContain(`Stopped by ${signal} after step 6.`);
  });

  it('saves once where an interrupt meets a checkpoint that is due', async () => {
    const folder = await temporaryFolder();
    const { interrupt, onStep } = interruptAt(4, 'SIGINT');
    const { outcome } = await trained(tinyLineTask(5), { run: runIn(folder), interrupt, onStep });
    expect(outcome).toMatchObject({ status: 'interrupted', step: 4 });
    const log = await readFile(join(folder, 'log.txt'), 'utf8');
    expect(log.match(/Saved /g)).toHaveLength(1);
  });

  it('asks for each batch with its epoch and step', async () => {
    const task = tinyLineTask(3);
    const asked: unknown[] = [];
    const asking: TrainingTask = {
      ...task,
      loadBatch: (names, at) => {
        asked.push([at.step, at.epoch, names.length]);
        return task.loadBatch(names, at);
      },
    };
    await trained(asking, { steps: 3 });
    expect(asked).toEqual([
      [1, 1, 2],
      [2, 1, 1],
      [3, 2, 2],
    ]);
  });

  it('compiles no further graph for the short step at the end of an epoch', async () => {
    const compiled: string[] = [];
    const counting: Engine = {
      name: 'counting',
      createState: (values) => engine.createState(values),
      compile: (fn, options) => {
        compiled.push(options.name);
        return engine.compile(fn, options);
      },
    };
    await trained(tinyLineTask(5), { engine: counting, accumulation: 2, steps: 4 });
    expect(compiled).toEqual(['line.accumulate', 'line.apply']);
  });

  it('is done when an interrupt comes during the last step', async () => {
    const { interrupt, onStep } = interruptAt(3, 'SIGINT');
    const { outcome } = await trained(tinyLineTask(5), { steps: 3, interrupt, onStep });
    expect(outcome).toMatchObject({ status: 'done', exitCode: 0 });
  });

  it('saves every so many steps and at the end, and keeps the newest', async () => {
    const folder = await temporaryFolder();
    await trained(tinyLineTask(5), { run: runIn(folder), steps: 10 });
    expect((await readdir(join(folder, 'checkpoints'))).sort()).toEqual([
      'latest',
      'step-000008',
      'step-000010',
    ]);
  });

  it('stops at a loss that is no number, naming step and samples, before anything is saved', async () => {
    const folder = await temporaryFolder();
    const task = tinyLineTask(9, 'point-3');
    const step = trained(task, { run: runIn(folder, { checkpoint: { every: 1, keep: 9 } }) });
    const error = await step.catch((reason) => reason);
    expect(error).toEqual(expect.objectContaining({ code: 'LOSS_NOT_FINITE', exitCode: 3 }));
    const failedStep = Number(/^Step (\d+): the loss is NaN\..*point-3/.exec(error.message)?.[1]);
    expect((await findResumable(folder))?.step ?? 0).toBe(failedStep - 1);
    expect(await readFile(join(folder, 'log.txt'), 'utf8')).toContain('the loss is NaN');
  });

  it('stops at gradients that overflow though the loss does not', async () => {
    const task = tinyLineTask(2);
    const huge: TrainingTask = {
      ...task,
      loadBatch: async (names, at) => {
        const batch = await task.loadBatch(names, at);
        const data = batch.inputs.y!.data.map(() => 1e19) as Float32Array;
        return { ...batch, inputs: { ...batch.inputs, y: { ...batch.inputs.y!, data } } };
      },
    };
    await expect(trained(huge, {})).rejects.toEqual(
      expect.objectContaining({ code: 'GRADIENT_NOT_FINITE', message: expect.stringContaining('point-1') }),
    );
  });

  it('refuses a step without supervised tokens, and passes over such a micro-batch', async () => {
    const task = tinyLineTask(2);
    const without = (silent: readonly string[]): TrainingTask => ({
      ...task,
      loadBatch: async (names, at) => {
        const batch = await task.loadBatch(names, at);
        return silent.includes(names[0]!) ? { ...batch, inputs: {}, supervisedTokens: 0 } : batch;
      },
    });
    const options = { batchSize: 1, accumulation: 2, steps: 1 };
    await expect(trained(without(task.names), options)).rejects.toEqual(
      expect.objectContaining({ code: 'SUPERVISED_TOKENS_NONE', exitCode: 2 }),
    );
    const { records } = await trained(without(['point-0']), options);
    expect(records[0]).toMatchObject({
      supervisedTokens: 1,
      tokens: 4,
      names: expect.arrayContaining(['point-0']),
    });
  });

  it('loads the next batch while a step runs, and reports its error only when its turn comes', async () => {
    const task = tinyLineTask(6);
    const asked: number[] = [];
    const failing: TrainingTask = {
      ...task,
      loadBatch: async (names, at) => {
        asked.push(at.step);
        if (at.step === 3) throw new Error('damaged file');
        return task.loadBatch(names, at);
      },
    };
    const askedAtStep: number[][] = [];
    const done: number[] = [];
    const onStep = ({ step }: StepRecord) => {
      done.push(step);
      askedAtStep.push([...asked]);
    };
    await expect(trained(failing, { onStep })).rejects.toThrow('damaged file');
    expect(done).toEqual([1, 2]);
    expect(askedAtStep).toEqual([
      [1, 2],
      [1, 2, 3],
    ]);
    const { outcome } = await trained(failing, { steps: 2 });
    expect(outcome.status).toBe('done');
  });

  it('names all options that are impossible', async () => {
    const wrong = trained(tinyLineTask(2), { steps: 0, batchSize: 1.5, log: { every: 0, stream: null } });
    await expect(wrong).rejects.toThrow(/steps is 0, batchSize is 1.5, log.every is 0/);
  });
});
