/**
 * Trains, or answers, step after step, and prints what the process holds from time to time:
 * `node --expose-gc --import tsx leak-process.ts '<LeakRun as JSON>'`. The last line of its output is a list of `LeakSample`.
 */
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { queryObjects } from 'node:v8';
import * as tf from '@tensorflow/tfjs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { loadConfig } from '../../src/config/load.ts';
import { createEngine } from '../../src/engine/engines.ts';
import type { OpenvinoEngine } from '../../src/engine/openvino/engine.ts';
import { loadTensorflow } from '../../src/engine/tensorflow/load.ts';
import type { XlaEngine } from '../../src/engine/xla/engine.ts';
import { Predictor } from '../../src/predict/predictor.ts';
import { initialParameters } from '../../src/runtime/affectgpt.ts';
import { type OpenSamples, openSamples } from '../../src/runtime/samples.ts';
import { affectGptTask } from '../../train/affectgpt.ts';
import { train } from '../../train/loop.ts';
import { openModelAndRecords } from '../../train/model-and-records.ts';
import type { LeakRun, LeakSample } from './leaks.ts';

const run = JSON.parse(process.argv[2]!) as LeakRun;
const silent = (): void => {};
const { config } = loadConfig({ config: run.config, set: [] });
const engine = await createEngine({ type: run.engine, threads: 1 });
const { model, train: records } = await openModelAndRecords(config, async () => {});
const open = (forTraining: boolean): Promise<OpenSamples> =>
  openSamples({ config, model, engine, records, forTraining, notify: silent });

const samples: LeakSample[] = [];
/** What a leak on purpose holds on to. */
const kept: unknown[] = [];

/** What the engine itself says it holds outside JavaScript. */
const engineHolds: () => number =
  run.engine === 'xla'
    ? () => (engine as XlaEngine).client.live
    : run.engine === 'tensorflow'
      ? () => loadTensorflow().backend.binding.getNumOfTensors()
      : run.engine === 'openvino'
        ? () => (engine as OpenvinoEngine).runtime.live
        : () => 0;

function measure(step: number): void {
  globalThis.gc!();
  globalThis.gc!();
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  // Without the pages of program files, which come in whenever a part of a program runs for the first time.
  const resident = 1024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
  samples.push({
    step,
    tensors: tf.memory().numTensors,
    engineTensors: queryObjects(Tensor, { format: 'count' }) + engineHolds(),
    engineSessions: queryObjects(InferenceSession as unknown as typeof Tensor, { format: 'count' }),
    heap: heapUsed,
    buffers: external,
    native: resident - heapTotal - external,
    files: readdirSync('/proc/self/fd').length,
  });
}

/** Leaks one of everything, in an engine's function, and then measures where it is time to. */
async function afterStep(step: number): Promise<void> {
  if (run.leaky) {
    const compiled = await engine.compile(
      ({ inputs, state }) => ({ outputs: { y: tf.neg(inputs.x!) }, state: { sum: tf.add(state.sum!, 1) } }),
      {
        name: 'forgotten',
        inputs: { x: { dtype: 'float32', shape: ['n'] } },
        state: { sum: { dtype: 'float32', shape: [4] } },
      },
    );
    const x = { dtype: 'float32', shape: [4], data: new Float32Array(4) } as const;
    const state = engine.createState({ sum: x });
    kept.push(compiled, state, await compiled.run({ x }, state), new Tensor(x.data, [4]), tf.scalar(step));
    kept.push(openSync('/dev/null', 'r'));
    kept.push(Array.from({ length: 3000 }, (_, i) => ({ i })));
  }
  if (step % run.every === 0) measure(step);
}

async function trainSteps(): Promise<void> {
  const first = await open(true);
  await first.source.prepare();
  await first.releaseEncoders();
  const task = await affectGptTask(config, model, first);
  await train(
    {
      ...task,
      // One to three samples, so that all sizes vary; with features from the disk as well as from memory.
      loadBatch: async (names, given) => {
        // The question, and so the length, is another one in each epoch.
        const at = run.fewSizes ? { ...given, epoch: 1 } : given;
        const some = (run.fewSizes ? task.names : names).slice(0, 1 + (at.step % 3));
        await (await open(true)).source.loadBatch(some, at);
        const batch = await task.loadBatch(some, at);
        if (run.leaky) kept.push(batch);
        return batch;
      },
    },
    {
      engine,
      steps: run.steps,
      batchSize: 3,
      accumulation: run.accumulation,
      seed: 1,
      schedule: { type: 'constant', lr: 1e-3 },
      run: null,
      onStep: ({ step }) => afterStep(step),
    },
  );
}

async function generate(): Promise<void> {
  const opened = await open(false);
  await opened.source.prepare();
  await opened.releaseEncoders();
  const predictor = new Predictor({ config, model, engine, notify: silent });
  const state = predictor.createState(await initialParameters(config, model));
  const { names } = opened.source;
  for (let step = 1; step <= run.steps; step++) {
    const question = 'What does the person feel, and why? '.repeat(run.fewSizes ? 1 : 1 + (step % 4));
    const asked = names.slice(0, 1 + (step % 3));
    for await (const answer of predictor.predict(state, opened, question, config.generation, asked)) {
      if (run.leaky) kept.push(answer);
    }
    await afterStep(step);
  }
}

await (run.work === 'train' ? trainSteps() : generate());
process.stdout.write(`\n${JSON.stringify(samples)}\n`);
