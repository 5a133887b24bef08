import { existsSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { sha256 } from '../../src/io/checksum.ts';
import { checkpointFormatVersion, loadCheckpoint } from '../../train/checkpoint.ts';
import { train } from '../../train/loop.ts';
import type { RunOptions, TrainingTask } from '../../train/task.ts';

// The run behind the checkpoints in test/fixtures/checkpoint-format-*. Old checkpoints are continued with it, so nothing of it
// may change. For a new format: tsx test/train/frozen-run.ts test/fixtures/checkpoint-format-N

/** Trainable tensors: two adapters, which are saved in PEFT's layout, and others. */
export const frozenShapes = {
  'model.layers.0.self_attn.q_proj.lora_A.weight': [4, 8],
  'model.layers.0.self_attn.q_proj.lora_B.weight': [8, 4],
  'affectgpt_proj.weight': [8, 8],
  'affectgpt_proj.bias': [8],
} as const;

/** Steps done when the checkpoint was saved, and steps of the whole run. */
export const frozenSteps = { saved: 6, whole: 10 } as const;

function drawn(name: string, shape: readonly number[]): HostTensor {
  const size = shape.reduce((product, edge) => product * edge, 1);
  const data = new RandomGenerator(20).split(name).normalFloat32(size, 0, 0.5);
  return { dtype: 'float32', shape, data };
}

/** Fits `(x W + b) A' B'` to numbers: a loss that reaches every tensor. */
const frozenTask: TrainingTask = {
  stepOptions: {
    name: 'frozen',
    lossSum: ({ inputs, parameters }) => {
      const [down, up, weight, bias] = Object.keys(frozenShapes).map((name) => parameters[name]!) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      const projected = tf.add(tf.matMul(inputs.x!, weight, false, true), bias);
      const adapted = tf.matMul(tf.matMul(projected, down, false, true), up, false, true);
      return tf.sum(tf.square(tf.sub(tf.add(projected, adapted), inputs.y!))) as tf.Scalar;
    },
    inputs: {
      x: { dtype: 'float32', shape: ['batch', 8] },
      y: { dtype: 'float32', shape: ['batch', 8] },
    },
    trainable: frozenShapes,
    weights: {},
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 },
    clipNorm: 5,
    decayUnusedParameters: false,
  },
  initialParameters: Object.fromEntries(
    Object.entries(frozenShapes).map(([name, shape]) => [name, drawn(name, shape)]),
  ),
  names: ['ann', 'bea', 'cem', 'dan', 'eva', 'fay', 'gus'],
  loadBatch: async (names) => {
    const rows = (part: string): HostTensor => ({
      dtype: 'float32',
      shape: [names.length, 8],
      data: Float32Array.from(names.flatMap((name) => [...drawn(`${name} ${part}`, [8]).data])),
    });
    return { inputs: { x: rows('x'), y: rows('y') }, supervisedTokens: names.length, tokens: names.length };
  },
};

const runOptions = (folder: string): RunOptions => ({
  folder,
  resume: 'auto',
  checkpoint: { every: 6, keep: 9 },
  adapter: {
    settings: { rank: 4, alpha: 8, dropout: 0, targets: ['q_proj'] },
    baseModel: 'Qwen/Qwen2.5-7B-Instruct',
  },
  identity: { 'train.optimizer.lr': 0.01, 'lora.targets': ['q_proj'], 'data.template': null },
  data: new Map(frozenTask.names.map((name) => [name, sha256(name).slice(0, 16)])),
});

export interface FrozenStep {
  readonly step: number;
  readonly names: readonly string[];
  readonly loss: number;
  readonly gradNorm: number;
}

/** Runs, or goes on with, the training in a folder up to a step. @returns the steps that it did */
export async function trainFrozen(folder: string, steps: number): Promise<FrozenStep[]> {
  const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
  const done: FrozenStep[] = [];
  await train(frozenTask, {
    ...{ engine, steps, batchSize: 2, accumulation: 1, seed: 5 },
    schedule: { type: 'constant', lr: 0.01 },
    run: runOptions(folder),
    onStep: ({ step, names, loss, gradNorm }) => void done.push({ step, names, loss, gradNorm }),
  });
  return done;
}

/** SHA-256 of the values of each tensor, little-endian float32. */
export const digests = (tensors: HostTensorMap): Record<string, string> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [
      name,
      sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    ]),
  );

/** What `expected.json` of a fixture says. */
export interface FrozenExpectation {
  readonly formatVersion: number;
  /** Of parameters and moments, by name. */
  readonly sha256: Readonly<Record<string, string>>;
  /** The steps after the checkpoint, as the run did them that made it. */
  readonly steps: readonly FrozenStep[];
}

export const frozenCheckpoint = (run: string): string => join(run, 'checkpoints', 'step-000006');

async function writeFixture(folder: string): Promise<void> {
  if (existsSync(folder))
    throw new Error(`${folder} is there already; a frozen checkpoint is never made again.`);
  const run = `${folder}.run`;
  const steps = await trainFrozen(run, frozenSteps.whole);
  const { parameters, moments } = await loadCheckpoint(frozenCheckpoint(run), frozenShapes);
  const expected: FrozenExpectation = {
    formatVersion: checkpointFormatVersion,
    sha256: digests({ ...parameters, ...moments }),
    steps: steps.filter(({ step }) => step > frozenSteps.saved),
  };
  await mkdir(folder, { recursive: true });
  await cp(frozenCheckpoint(run), frozenCheckpoint(folder), { recursive: true });
  await writeFile(join(folder, 'checkpoints', 'latest'), 'step-000006\n');
  await writeFile(join(folder, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`);
  await rm(run, { recursive: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await writeFixture(process.argv[2]!);
