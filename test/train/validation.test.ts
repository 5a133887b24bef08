import { createHash } from 'node:crypto';
import { appendFile, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { Engine } from '../../src/engine/types.ts';
import { readEventFile } from '../../src/io/tensorboard.ts';
import type { InterruptSignal } from '../../train/interrupts.ts';
import { train } from '../../train/loop.ts';
import type { TrainOptions } from '../../train/task.ts';
import type { ValidationPolicy, Validator } from '../../train/validation/validator.ts';
import { readLines } from '../support/json-lines.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyLineTask } from './tiny-tasks.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ type: 'onnxruntime', threads: 1 });
});

const task = tinyLineTask(7);

/** A number from 0 to 1 that looks like chance, and depends on the weights but not on their last bits. */
const chance = (weights: readonly number[]): number => {
  const rounded = weights.map((weight) => Math.round(1000 * weight));
  return createHash('sha256').update(`salt 13 ${rounded}`).digest().readUInt32LE() / 2 ** 32;
};

/** @param onValidate called at the beginning of each validation */
const digestValidator = (onValidate: () => unknown = () => {}, set = 'a'): Validator => ({
  set,
  async validate(state, isStopped) {
    await onValidate();
    if (isStopped()) return undefined;
    const weights = [...(await state.read(['weight'])).weight!.data];
    const value = chance(weights);
    const answer = {
      name: 'x',
      question: 'why?',
      text: `${weights}`,
      finish: 'stop',
      expected: 'so',
    } as const;
    const metrics = { exactMatch: value };
    return { loss: value, samples: 1, supervisedTokens: 3, metrics, answers: [answer] };
  },
});

interface Options extends Partial<Omit<TrainOptions, 'validation'>> {
  readonly folder: string;
  readonly validator?: Validator;
  readonly policy?: Partial<ValidationPolicy>;
  readonly keepEvery?: number;
}

const trained = ({ folder, validator = digestValidator(), policy, keepEvery, ...options }: Options) =>
  train(task, {
    ...{ engine, steps: 18, batchSize: 2, accumulation: 1, seed: 11 },
    schedule: { type: 'constant', lr: 0.05 },
    run: { folder, resume: 'auto', checkpoint: { every: 5, keep: 1, keepEvery: keepEvery ?? null } },
    validation: { every: 3, metric: 'loss', patience: null, minDelta: 0, ...policy, validator },
    ...options,
  });

const validations = (folder: string) => readLines(join(folder, 'validation.jsonl'));

/** All of a run that may not depend on interruptions. */
async function remains(folder: string) {
  const lines = (await validations(folder)).map(({ seconds: _, ...line }) => line);
  const names = (await readdir(join(folder, 'checkpoints'))).sort();
  const steps = names.filter((name) => name.startsWith('step-'));
  const best = (await readFile(join(folder, 'checkpoints', 'best'), 'utf8')).trim();
  const weights = await readFile(join(folder, 'checkpoints', steps.at(-1)!, 'affectgpt.safetensors'), 'hex');
  return { lines, names, best, weights };
}

const numberOf = (name: string): number => Number(name.slice('step-'.length));

describe('validation in a training', () => {
  it('measures every so many steps, and keeps the best checkpoint beside the newest', async () => {
    const folder = await temporaryFolder();
    const outcome = await trained({ folder });
    const { lines, names, best } = await remains(folder);
    expect(lines.map(({ step }) => step)).toEqual([3, 6, 9, 12, 15, 18]);
    expect(Object.keys((await validations(folder))[0]!)).toEqual(
      'step loss samples supervisedTokens metrics answers seconds set'.split(' '),
    );
    const lowest = lines.reduce((low, line) => ((line.loss as number) < (low.loss as number) ? line : low));
    expect(numberOf(best)).toBe(lowest.step);
    // Neither the newest nor one that is due.
    expect(lowest.step).toBe(9);
    expect(names).toEqual(['best', 'latest', best, 'step-000018']);
    expect(outcome.best).toEqual({
      ...{ step: lowest.step, metric: 'loss', value: lowest.loss },
      checkpoint: join(folder, 'checkpoints', best),
    });
    expect(outcome.isStoppedEarly).toBe(false);
    const log = await readFile(join(folder, 'log.txt'), 'utf8');
    expect(log).toMatch(/Validation after step 3: loss 0\.\d{4}, exactMatch [\d.]+ %.*best so far by loss/);
    const [events] = (await readdir(folder)).filter((name) => name.startsWith('events.'));
    const scalars = (await readEventFile(join(folder, events!))).flatMap(({ step, scalars: found }) =>
      found.filter(({ tag }) => tag.startsWith('validation/')).map(({ tag }) => `${tag} ${step}`),
    );
    expect(scalars).toEqual(
      [3, 6, 9, 12, 15, 18].flatMap((step) => [`validation/loss ${step}`, `validation/exactMatch ${step}`]),
    );
  });

  it('changes nothing of the training', async () => {
    const runs = [];
    for (const run of [null, { folder: await temporaryFolder() }]) {
      const losses: number[] = [];
      const onStep = ({ loss }: { loss: number }) => void losses.push(loss);
      const folder = run?.folder ?? (await temporaryFolder());
      const options = run === null ? { folder, policy: { every: 1000 } } : { folder };
      const { parameters } = await trained({ ...options, onStep });
      runs.push({ losses, weight: Buffer.from(parameters.weight!.data.slice().buffer).toString('hex') });
    }
    expect(runs[1]).toEqual(runs[0]);
  });

  it('works without a run folder', async () => {
    const outcome = await trained({ folder: '', run: null });
    expect(outcome.best).toMatchObject({ metric: 'loss', checkpoint: null });
  });

  it('keeps every Nth checkpoint', async () => {
    const folder = await temporaryFolder();
    await trained({ folder, keepEvery: 10 });
    const { names, best } = await remains(folder);
    expect(names).toEqual(['best', 'latest', ...new Set([best, 'step-000010', 'step-000018'].sort())]);
  });
});

/** A copy of a run folder as a kill at some moment leaves it. */
interface Moment {
  readonly name: string;
  readonly folder: string;
}

/** Trains, and copies the folder at the beginning of every validation and after every checkpoint. */
async function withMoments(policy: Partial<ValidationPolicy>, steps = 18) {
  const folder = await temporaryFolder();
  const moments: Moment[] = [];
  let step = 0;
  const keepMoment = async (what: string): Promise<void> => {
    const copy = join(await temporaryFolder(), 'run');
    await cp(folder, copy, { recursive: true });
    moments.push({ name: `${what} ${step}`, folder: copy });
  };
  const outcome = await trained({
    ...{ folder, policy, steps },
    validator: digestValidator(() => keepMoment('validation')),
    onStep: (record) => {
      step = record.step;
    },
    // Of a best one: its line is written, and `best` still names another.
    onSave: () => keepMoment('checkpoint'),
  });
  const whole = await remains(folder);
  const texts = (await readFile(join(folder, 'validation.jsonl'), 'utf8')).trimEnd().split('\n');
  // Between the line of a validation and what follows from it; or within the line.
  for (const { name, folder: before } of moments.filter((moment) => moment.name.startsWith('validation'))) {
    const text = texts.find((line) => line.startsWith(`{"step":${name.split(' ')[1]},`))!;
    for (const [what, end] of [
      ['line', `${text}\n`],
      ['torn line', text.slice(0, 40)],
    ] as const) {
      const copy = join(await temporaryFolder(), 'run');
      await cp(before, copy, { recursive: true });
      await appendFile(join(copy, 'validation.jsonl'), end);
      moments.push({ name: name.replace('validation', what), folder: copy });
    }
  }
  return { whole, moments, outcome };
}

describe('a run that is killed and resumed', () => {
  it('has the validations, the best checkpoint and the weights of one that was not', async () => {
    const { whole, moments } = await withMoments({});
    expect(numberOf(whole.best)).toBe(9);
    // At the best, and at the end.
    const some = moments.filter(({ name }) => / (9|18)$/.test(name));
    expect(some).toHaveLength(8);
    for (const { name, folder } of some) {
      if (name === 'line 18')
        await expect(trained({ folder })).rejects.toMatchObject({ code: 'RUN_COMPLETE' });
      else await trained({ folder });
      expect({ name, ...(await remains(folder)) }).toEqual({ name, ...whole });
    }
  });

  it('marks the last checkpoint as the best though no step remains', async () => {
    const policy = { metric: 'exactMatch' } as const;
    const { whole, moments } = await withMoments(policy, 15);
    expect(whole.best).toBe('step-000015');
    const late = moments.filter(({ name }) => name.endsWith(' 15'));
    expect(late.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['checkpoint 15', 'validation 15', 'line 15', 'torn line 15']),
    );
    for (const { name, folder } of late) {
      await trained({ folder, policy, steps: 15 });
      expect({ name, ...(await remains(folder)) }).toEqual({ name, ...whole });
      await expect(trained({ folder, policy, steps: 15 })).rejects.toMatchObject({ code: 'RUN_COMPLETE' });
    }
  });

  it('stops early where the other did', async () => {
    const { whole, moments, outcome } = await withMoments({ patience: 2 });
    expect(outcome).toMatchObject({ status: 'done', isStoppedEarly: true, exitCode: 0, step: 15 });
    expect(outcome.checkpoint).toMatch(/step-000015$/);
    for (const { name, folder } of moments.filter((moment) => moment.name.endsWith(' 15'))) {
      const resumed = trained({ folder, policy: { patience: 2 } });
      if (name === 'line 15') await expect(resumed).rejects.toMatchObject({ code: 'RUN_COMPLETE' });
      else expect((await resumed).step).toBe(15);
      expect({ name, ...(await remains(folder)) }).toEqual({ name, ...whole });
    }
  });

  it('marks a best one that came too late to go on', async () => {
    // After the first nothing is better by so much; after step 15 something is better all the same.
    const policy = { metric: 'exactMatch', patience: 4, minDelta: 0.5 } as const;
    const { whole, moments, outcome } = await withMoments(policy);
    expect(outcome).toMatchObject({ step: 15, isStoppedEarly: true, best: { step: 15 } });
    for (const { name, folder } of moments.filter((moment) => moment.name.endsWith('line 15'))) {
      expect(await trained({ folder, policy })).toMatchObject({ step: 15, isStoppedEarly: true });
      expect({ name, ...(await remains(folder)) }).toEqual({ name, ...whole });
    }
  });

  it('says that nothing remains once it stopped early, and goes on with more patience', async () => {
    const folder = await temporaryFolder();
    const { step, best } = await trained({ folder, policy: { patience: 2 } });
    const before = await remains(folder);
    await expect(trained({ folder, policy: { patience: 2 }, steps: 30 })).rejects.toMatchObject({
      code: 'RUN_COMPLETE',
      exitCode: 2,
      message: expect.stringMatching(
        new RegExp(
          `stopped early at step ${step} .*loss has not improved in 2 validations.*after step ${best!.step}`,
        ),
      ),
    });
    expect(await remains(folder)).toEqual(before);
    await trained({ folder });
    const uninterrupted = await temporaryFolder();
    await trained({ folder: uninterrupted });
    expect(await remains(folder)).toEqual(await remains(uninterrupted));
  });
});

describe('a signal during a validation', () => {
  it.each([9, 10, 18])('gives it up after step %i, and the run makes up for it', async (at) => {
    const whole = await temporaryFolder();
    const every = at === 10 ? 5 : 3;
    await trained({ folder: whole, policy: { every } });
    const folder = await temporaryFolder();
    let step = 0;
    let requested: InterruptSignal | undefined;
    const outcome = await trained({
      folder,
      policy: { every },
      validator: digestValidator(() => {
        if (step === at) requested = 'SIGTERM';
      }),
      interrupt: {
        get requested() {
          return requested;
        },
      },
      onStep: (record) => {
        step = record.step;
      },
    });
    expect(outcome).toMatchObject({ status: 'interrupted', exitCode: 143, step: at });
    expect((await validations(folder)).at(-1)!.step).toBe(at - every);
    await trained({ folder, policy: { every } });
    expect(await remains(folder)).toEqual(await remains(whole));
    await expect(trained({ folder, policy: { every } })).rejects.toMatchObject({ code: 'RUN_COMPLETE' });
  });
});

describe('a run that goes on otherwise', () => {
  it('compares validations of the same samples alone', async () => {
    const folder = await temporaryFolder();
    await trained({ folder, steps: 9 });
    const former = await remains(folder);
    const other = { folder, validator: digestValidator(() => {}, 'b'), policy: { patience: 3 } };
    const { best } = await trained({ ...other, steps: 12 });
    expect(best!.step).toBe(12);
    const { lines, names } = await remains(folder);
    expect(lines.slice(0, 3)).toEqual(former.lines);
    expect(lines.map(({ set }) => set)).toEqual(['a', 'a', 'a', 'b']);
    expect(names).toEqual(['best', 'latest', 'step-000012']);
  });

  it('cuts validations that come after the checkpoint, with validation and without', async () => {
    for (const validates of [true, false]) {
      const folder = await temporaryFolder();
      await trained({ folder, keepEvery: 5 });
      await writeFile(join(folder, 'checkpoints', 'latest'), 'step-000010\n');
      const { validation: _, ...none } = { validation: undefined };
      const steps = 11;
      const outcome = await (validates
        ? trained({ folder, keepEvery: 5, steps })
        : train(task, {
            ...{ engine, steps, batchSize: 2, accumulation: 1, seed: 11, ...none },
            schedule: { type: 'constant', lr: 0.05 },
            run: { folder, resume: 'auto', checkpoint: { every: 5, keep: 1, keepEvery: 5 } },
          }));
      expect((await validations(folder)).map(({ step }) => step)).toEqual([3, 6, 9]);
      if (validates) expect(outcome.best!.step).toBeLessThan(10);
    }
  });

  it('lets go of a best checkpoint that is of later steps, and finds it again', async () => {
    const whole = await temporaryFolder();
    await trained({ folder: whole, keepEvery: 5 });
    const { best } = await remains(whole);
    const folder = await temporaryFolder();
    await cp(whole, folder, { recursive: true });
    expect(numberOf(best)).toBeGreaterThan(5);
    await writeFile(join(folder, 'checkpoints', 'latest'), 'step-000005\n');
    const { best: early } = await trained({ folder, keepEvery: 5, steps: 6 });
    // The best of the first steps made way for a better one long ago, unless the sixth is better.
    expect(early!.checkpoint === null || early!.step === 6).toBe(true);
    await trained({ folder, keepEvery: 5 });
    expect((await remains(folder)).best).toBe(best);
  });

  it('names the row of a file that is not one of validations', async () => {
    const folder = await temporaryFolder();
    await trained({ folder, steps: 9 });
    await appendFile(join(folder, 'validation.jsonl'), '{"step":"x"}\n');
    await expect(trained({ folder })).rejects.toMatchObject({
      code: 'VALIDATION_FILE_INVALID',
      message: expect.stringMatching(/validation\.jsonl, row 4 .*step/),
    });
  });
});
