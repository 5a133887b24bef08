import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { FeatureStore } from '../../src/data/feature-store.ts';
import { SampleSource } from '../../src/data/source.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { TrainStep } from '../../train/step.ts';
import { type Fault, ordersVariable, type TraceLine, type WatchOrders } from './fault.ts';
import { formatOperation, operationName, watchOperations } from './operations.ts';

// Loaded into the program by `node --import`: watches what it writes and computes, and kills it where it is told to.

const { folder, trace, operations, fault } = JSON.parse(process.env[ordersVariable]!) as WatchOrders;
const traceFile = openSync(trace, 'a');
const operationsFile = operations === undefined ? undefined : openSync(operations, 'a');
const tell = (line: TraceLine): void => void writeSync(traceFile, `${JSON.stringify(line)}\n`);

function die(): never {
  tell({ event: 'killed', by: 'itself' });
  process.kill(process.pid, 'SIGKILL');
  // The signal ends the process before this is over.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  throw new Error('SIGKILL did not end the process.');
}

/** Kills from a thread of its own, whatever the program is busy with. */
class Timer {
  readonly #armed = new Int32Array(new SharedArrayBuffer(8));

  constructor(file: number) {
    const worker = new Worker(
      `const { workerData: { armed, file } } = require('node:worker_threads');
      Atomics.wait(armed, 0, 0);
      Atomics.wait(armed, 1, 0, armed[0] / 1000);
      require('node:fs').writeSync(file, '{"event":"killed","by":"the timer"}\\n');
      process.kill(process.pid, 'SIGKILL');`,
      { eval: true, workerData: { armed: this.#armed, file }, execArgv: [], env: {} },
    );
    worker.unref();
  }

  arm(milliseconds: number): void {
    Atomics.store(this.#armed, 0, Math.max(1, Math.round(milliseconds * 1000)));
    Atomics.notify(this.#armed, 0);
  }
}

const timed = fault !== undefined && fault.at !== 'operation' ? fault : undefined;
const timer = timed === undefined ? undefined : new Timer(traceFile);
/** Arms the timer where the fault is one of this moment. */
function moment(matches: (timed: Exclude<Fault, { at: 'operation' }>) => boolean): void {
  if (timed !== undefined && matches(timed)) timer!.arm(timed.milliseconds);
}

const counts = new Map<string, number>();
const isFatal = (name: string, phase: string): boolean =>
  fault?.at === 'operation' &&
  fault.name === name &&
  fault.phase === phase &&
  fault.occurrence === counts.get(name);

await watchOperations({
  folder,
  before(operation) {
    const name = operationName(folder, operation);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (isFatal(name, 'before')) die();
    return isFatal(name, 'half') ? 'half' : 'whole';
  },
  after(operation) {
    if (operationsFile !== undefined) writeSync(operationsFile, `${formatOperation(operation)}\n`);
    if (isFatal(operationName(folder, operation), 'after')) die();
  },
  die,
});

/** Stands for names, shapes and bytes of tensors. */
function hashTensors(tensors: HostTensorMap): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(tensors).sort()) {
    const { dtype, shape, data } = tensors[name]!;
    hash.update(`${name} ${dtype} ${shape.join()}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 16);
}

const { loadBatch } = SampleSource.prototype;
SampleSource.prototype.loadBatch = async function (names, place) {
  const batch = await loadBatch.call(this, names, place);
  const { epoch, step } = place;
  // Without a step it is none of training.
  if (step !== undefined)
    tell({ event: 'batch', step, epoch, names: [...names], hash: hashTensors(batch.inputs) });
  return batch;
};

const { run } = TrainStep.prototype;
TrainStep.prototype.run = async function (state, microBatches, settings) {
  const { step } = settings;
  tell({ event: 'begin', step, milliseconds: performance.now() });
  current = { step, microBatch: 0 };
  moment((wanted) => wanted.at === 'step' && wanted.step === step && wanted.moment === 'begin');
  const result = await run.call(this, state, microBatches, settings);
  tell({ event: 'end', step, milliseconds: performance.now() });
  moment((wanted) => wanted.at === 'step' && wanted.step === step && wanted.moment === 'end');
  return result;
};

/** The step that is computed, and its micro-batch. */
let current = { step: 0, microBatch: 0 };
const { compile } = OnnxruntimeEngine.prototype;
OnnxruntimeEngine.prototype.compile = async function (fn, options) {
  const compiled = await compile.call(this, fn, options);
  if (options.name !== 'affectgpt.accumulate') return compiled;
  const runCompiled = compiled.run.bind(compiled);
  compiled.run = (...args) => {
    const { step, microBatch } = current;
    current = { step, microBatch: microBatch + 1 };
    tell({ event: 'micro-batch', index: microBatch });
    moment(
      (wanted) =>
        wanted.at === 'step' &&
        wanted.step === step &&
        wanted.moment === 'second micro-batch' &&
        microBatch === 1,
    );
    return runCompiled(...args);
  };
  return compiled;
};

let asked = 0;
const { get } = FeatureStore.prototype;
FeatureStore.prototype.get = function (key, compute) {
  const count = ++asked;
  tell({ event: 'features', count });
  moment((wanted) => wanted.at === 'features' && wanted.count === count);
  return get.call(this, key, compute);
};
