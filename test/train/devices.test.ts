import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { loadCheckpoint } from '../../train/checkpoint.ts';
import type { StepRecord } from '../../train/logger.ts';
import { train } from '../../train/loop.ts';
import { besideEach, replicaRounds } from '../../train/replicas.ts';
import { createTrainState, expAvgName, expAvgSqName, TrainStep } from '../../train/step.ts';
import type { RunOptions, TaskBatch, TrainOptions } from '../../train/task.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import { watchSizes } from '../support/sizes-asked.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { makeTinyTraining, openTinyTraining } from '../support/tiny-training.ts';
import { hasXla } from '../support/xla.ts';
import { tinyLineTask } from './tiny-tasks.ts';

const sized = (...sizes: number[]): HostTensorMap[] =>
  sizes.map((size) => ({ x: { dtype: 'float32', shape: [size], data: new Float32Array(size) } }));

describe('rounds of several devices', () => {
  const plan = (devices: number, ...sizes: number[]) =>
    replicaRounds(sized(...sizes), devices).map((turns) =>
      turns.map(({ index, isFiller }) => (isFiller ? `(${index})` : String(index))).join(' '),
    );

  it('take micro-batches of the same sizes together, and fill up with what does not count', () => {
    expect(plan(2, 5, 5, 5, 5)).toEqual(['0 1', '2 3']);
    expect(plan(2, 5, 6, 5)).toEqual(['0 2', '1 (1)']);
    expect(plan(4, 5, 5, 5, 5, 5)).toEqual(['0 1 2 3', '4 (4) (4) (4)']);
  });

  it('are one for each micro-batch on one device, in their order', () => {
    expect(plan(1, 5, 6, 5)).toEqual(['0', '1', '2']);
  });
});

const config = parseDecoderConfig({
  model_type: 'qwen2',
  tie_word_embeddings: true,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 20,
});
const [batch, tokens, supervised] = [2, 6, 5];

/** Random texts, all of one length. */
function texts(step: number, microBatch: number): HostTensorMap {
  const random = new RandomGenerator(step).split(`micro-batch ${microBatch}`);
  const host = (value: () => number): HostTensor => ({
    dtype: 'int32',
    shape: [batch, tokens],
    data: Int32Array.from({ length: batch * tokens }, value),
  });
  const ids = host(() => random.integer(config.vocabSize));
  return languageModelBatch(
    config,
    ids,
    host(() => 1),
    ids,
  );
}

/** All of the decoder is trained, but for its norms. */
function decoderTraining(devices: number) {
  const engine = new XlaEngine({ threads: 2, devices });
  const parameters = initDecoderWeights(config, 1);
  const frozen = Object.entries(parameters).filter(([name]) => name.includes('norm'));
  const trained = Object.fromEntries(Object.entries(parameters).filter(([name]) => !name.includes('norm')));
  const shapes = decoderTensorShapes(config);
  const step = new TrainStep(engine, {
    name: 'devices',
    lossSum: (tensors) => languageModelLossSum(config, tensors),
    inputs: languageModelInputs(config),
    trainable: Object.fromEntries(Object.keys(trained).map((name) => [name, shapes[name]!])),
    weights: Object.fromEntries(frozen),
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 },
    clipNorm: 1,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, trained, { accumulation: 4 });
  const names = Object.keys(trained).flatMap((name) => [name, expAvgName(name), expAvgSqName(name)]);
  return { engine, step, state, names };
}

/** Twenty steps, then gradients of one more: what they give, and what is left on the devices. */
async function twentySteps(devices: number) {
  const { engine, step, state, names } = decoderTraining(devices);
  const steps: { loss: number; gradNorm: number; live: number }[] = [];
  for (let index = 1; index <= 20; index++) {
    // Every third step has an odd number of them, as the last one of an epoch may.
    const microBatches = Array.from({ length: index % 3 === 0 ? 3 : 4 }, (_, i) => texts(index, i));
    const supervisedTokens = microBatches.length * batch * supervised;
    const at = { supervisedTokens, learningRate: 1e-3, step: index };
    const { loss, gradNorm } = await step.run(state, microBatches, at);
    steps.push({ loss, gradNorm, live: engine.client.live });
  }
  await state.checkReplicas!(names);
  const values = await state.read(names);
  const { gradients } = await step.gradients(
    state,
    [1, 2, 3].map((i) => texts(21, i)),
    3 * batch * supervised,
  );
  state.dispose();
  await expect(state.read()).rejects.toThrow();
  await step.dispose();
  return { steps, values, gradients, live: engine.client.live };
}

describe.skipIf(!hasXla)('a training step on several devices', () => {
  it('is that of one, also with micro-batches missing; replicas agree bit for bit', async () => {
    const alone = await twentySteps(1);
    const { steps, values, gradients, live } = await twentySteps(2);
    for (const [i, { loss, gradNorm, live: held }] of steps.entries()) {
      const expected = alone.steps[i]!;
      expect(Math.abs(loss / expected.loss - 1), `loss of step ${i + 1}`).toBeLessThan(1e-6);
      expect(Math.abs(gradNorm / expected.gradNorm - 1), `norm of step ${i + 1}`).toBeLessThan(1e-5);
      expect(held).toBe(steps[0]!.live);
    }
    expect(live).toBe(alone.live);
    expect(live).toBeLessThan(steps[0]!.live);
    for (const [name, { data }] of Object.entries(alone.values)) {
      expect(maxAbsDifference(values[name]!.data, data), name).toBeLessThan(2e-5);
    }
    for (const [name, { data }] of Object.entries(alone.gradients)) {
      expect(maxAbsDifference(gradients[name]!.data, data), `gradient of ${name}`).toBeLessThan(1e-6);
    }
  }, 60_000);

  it('updates nothing on any device where a loss is not finite, and goes on from there', async () => {
    const { stepOptions, initialParameters, names, loadBatch } = tinyLineTask(3, 'point-2');
    const engine = new XlaEngine({ threads: 1, devices: 2 });
    const step = new TrainStep(engine, stepOptions);
    const state = createTrainState(engine, initialParameters, { accumulation: 2 });
    const load = async (name: string) => (await loadBatch([name], { epoch: 1, step: 1 })).inputs;
    const [good, other, bad] = await Promise.all(names.map(load));
    const at = { supervisedTokens: 2, learningRate: 1e-3, step: 1 };
    const tensors = ['weight', expAvgName('weight'), expAvgSqName('weight')];
    const before = await state.read(tensors);
    expect((await step.run(state, [good!, bad!], at)).fault).toBeDefined();
    expect(await state.read(tensors)).toEqual(before);
    await state.checkReplicas!(tensors);
    // A single micro-batch works as well.
    for (const microBatches of [[good!, other!], [other!]]) {
      expect((await step.run(state, microBatches, at)).fault).toBeUndefined();
    }
    await state.checkReplicas!(tensors);
    state.dispose();
    await step.dispose();
  });
});

describe.skipIf(!hasXla)('a run on several devices', () => {
  /** The last step of an epoch has three micro-batches instead of four, one of them short. */
  const trained = async (devices: number, options: Partial<TrainOptions> = {}) => {
    const records: StepRecord[] = [];
    const engine = await createEngine({ type: 'xla', threads: 1, devices });
    const outcome = await train(tinyLineTask(21), {
      ...{ engine, steps: 10, batchSize: 2, accumulation: 4, seed: 7, run: null },
      schedule: { type: 'constant', lr: 0.02 },
      ...options,
      onStep: (record) => void records.push(record),
    });
    return { records, outcome };
  };
  const runIn = (folder: string): RunOptions => ({
    folder,
    resume: 'auto',
    checkpoint: { every: 5, keep: 9 },
  });
  const filesOf = async (folder: string) => (await readdir(folder, { recursive: true })).sort();

  it('has the losses of one device over epochs, and goes on bit for bit, on other numbers of devices too', async () => {
    const expected = await trained(1);
    const folders = {
      whole: await temporaryFolder(),
      cut: await temporaryFolder(),
      one: await temporaryFolder(),
    };
    const whole = await trained(2, { run: runIn(folders.whole) });
    expect(whole.records.at(-1)!.epoch).toBeGreaterThan(2);
    whole.records.forEach(({ loss }, i) => {
      expect(Math.abs(loss / expected.records[i]!.loss - 1), `step ${i + 1}`).toBeLessThan(1e-6);
    });
    const values = ({ outcome }: typeof whole) => outcome.parameters.weight!.data;
    expect(maxAbsDifference(values(whole), values(expected))).toBeLessThan(1e-6);

    await trained(2, { run: runIn(folders.cut), steps: 5 });
    const resumed = await trained(2, { run: runIn(folders.cut) });
    expect(resumed.records.map(({ loss }) => loss)).toEqual(whole.records.slice(5).map(({ loss }) => loss));
    expect(values(resumed)).toEqual(values(whole));

    await trained(1, { run: runIn(folders.one), steps: 5 });
    const onFour = await trained(4, { run: runIn(folders.one) });
    expect(maxAbsDifference(values(onFour), values(expected))).toBeLessThan(1e-6);
    const checkpoints = (folder: string) => join(folder, 'checkpoints');
    expect(await filesOf(checkpoints(folders.one))).toEqual(await filesOf(checkpoints(folders.whole)));
    const shapes = tinyLineTask(1).stepOptions.trainable;
    const [newest] = (await readdir(checkpoints(folders.whole)))
      .filter((name) => name.startsWith('step'))
      .sort()
      .reverse();
    const load = (folder: string) => loadCheckpoint(join(checkpoints(folder), newest!), shapes);
    const [a, b] = [await load(folders.whole), await load(folders.one)];
    expect(Object.keys(a.moments)).toEqual(Object.keys(b.moments));
    expect(a.state.step).toBe(b.state.step);
  });
});

describe('micro-batches of samples', async () => {
  const training = await makeTinyTraining(8);
  const onnxruntime = await createEngine({ type: 'onnxruntime', threads: 1 });
  const { task } = await openTinyTraining(training.config(), watchSizes(onnxruntime, true).engine);
  const sizesOf = ({ inputs }: TaskBatch) =>
    JSON.stringify(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));

  it('that go together have the same sizes, and losses and counts of their own', async () => {
    const at = { epoch: 1, step: 1 };
    const ofSizes = new Map<string, string>();
    for (const name of task.names) ofSizes.set(sizesOf(await task.loadBatch([name], at)), name);
    const groups = [...ofSizes.values()].slice(0, 2).map((name) => [name]);
    expect(groups).toHaveLength(2);
    const alone = await Promise.all(groups.map((names) => task.loadBatch(names, at)));
    const together = await Promise.all(
      groups.map((names, i) => task.loadBatch(names, { ...at, ...besideEach(groups, 2)[i] })),
    );
    expect(new Set(together.map(sizesOf)).size).toBe(1);
    expect(besideEach(groups, 1)).toEqual([{}, {}]);
    const step = new TrainStep(onnxruntime, task.stepOptions);
    const state = createTrainState(onnxruntime, task.initialParameters, { accumulation: 2 });
    for (const [i, { inputs, ...counts }] of together.entries()) {
      const { inputs: own, ...expected } = alone[i]!;
      expect(counts).toEqual(expected);
      const { loss } = await step.gradients(state, [own], counts.supervisedTokens);
      const filled = await step.gradients(state, [inputs], counts.supervisedTokens);
      expect(Math.abs(filled.loss / loss - 1)).toBeLessThan(1e-6);
    }
    await step.dispose();
  });
});

describe('devices that an engine does not have', () => {
  it('are an error', async () => {
    const refusal = { code: 'ENGINE_DEVICES', message: expect.stringContaining('Set engine.type to xla') };
    for (const type of ['onnxruntime', 'cpu', 'wasm'] as const) {
      await expect(createEngine({ type, devices: 2 })).rejects.toMatchObject(refusal);
    }
  });
});
