import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { publishedQformer } from '../../fusion/qformer.ts';
import { type AffectGptLossInputs, affectGptLoss } from '../../model/affectgpt.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { Engine, HostTensorMap } from '../../src/engine/types.ts';
import { type AffectGpt, openAffectGpt, trainableShapes } from '../../src/runtime/affectgpt.ts';
import { type OpenSamples, openSamples } from '../../src/runtime/samples.ts';
import { affectGptTask } from '../../train/affectgpt.ts';
import type { TrainingTask } from '../../train/task.ts';
import { jsonLines } from './json-lines.ts';
import { writeLosslessClips } from './lossless-clips.ts';
import { folderForFile } from './temporary-folder.ts';
import { writeTinyModels } from './tiny-models.ts';

/** Tiny models and clips on disk, and configurations of them. */
export interface TinyTraining {
  readonly folder: string;
  /** A configuration, with settings by dotted key. */
  config(settings?: Readonly<Record<string, unknown>>): Config;
}

/** Makes models and clips that are gone after the tests of the file. */
export async function makeTinyTraining(samples: number): Promise<TinyTraining> {
  const folder = folderForFile();
  const models = await writeTinyModels(join(folder, 'models'));
  await mkdir(join(folder, 'clips'));
  const rows = await writeLosslessClips(join(folder, 'clips'), samples);
  const manifest = join(folder, 'clips', 'manifest.jsonl');
  await writeFile(manifest, jsonLines(rows));
  const file = join(folder, 'config.yaml');
  await writeFile(
    file,
    `
model:
  llm: ${models.llm}
  visualEncoder: { type: clip, model: ${models.visual} }
  audioEncoder: { type: hubert, model: ${models.audio} }
  inputs: multiface_audio_face_text
lora: { rank: 4, alpha: 8, dropout: 0.1 }
data: { manifest: ${manifest}, featureCache: ${join(folder, 'features')} }
train: { optimizer: { lr: 0.001 } }
engine: { threads: 1 }
output: ${join(folder, 'run')}
`,
  );
  return {
    folder,
    config: (settings = {}) => {
      const set = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return loadConfig({ config: file, set }).config;
    },
  };
}

/** A Q-Former small enough for a test; the published one alone is larger than all else here. */
function withSmallQformer(config: Config, model: AffectGpt): AffectGpt {
  const qformer = { ...publishedQformer, hiddenSize: 12, numAttentionHeads: 3, intermediateSize: 20 };
  const small = { ...model.config, fusion: { ...model.config.fusion, qformer } };
  return { ...model, config: small, trainable: trainableShapes(config, small) };
}

/** Adapters and attention weights begin at zero, which leaves gradients at zero; from here none is. */
function disturbed(parameters: HostTensorMap): HostTensorMap {
  const random = new RandomGenerator(11);
  return Object.fromEntries(
    Object.entries(parameters).map(([name, { dtype, shape, data }]) => {
      const noise = random.split(name).normalFloat32(data.length, 0, 0.1);
      return [name, { dtype, shape, data: noise.map((value, i) => value + data[i]!) }];
    }),
  );
}

export interface OpenTraining {
  readonly model: AffectGpt;
  readonly samples: OpenSamples;
  readonly task: TrainingTask;
}

/** A training as the command line makes it, with a small Q-Former and parameters that all matter from the first step. */
export async function openTinyTraining(config: Config, engine: Engine): Promise<OpenTraining> {
  const model = withSmallQformer(config, await openAffectGpt(config));
  const records = await readManifest(config.data.manifest!);
  const notify = () => {};
  const samples = await openSamples({ config, model, engine, records, forTraining: true, notify });
  const task = await affectGptTask(config, model, samples);
  return { model, samples, task: { ...task, initialParameters: disturbed(task.initialParameters) } };
}

/** The mean loss over the supervised tokens of each sample of a batch, at the parameters where training begins. */
export async function sampleLosses({ model, task }: OpenTraining, engine: Engine) {
  const specs = Object.entries(task.stepOptions.trainable).map(
    ([name, shape]) => [name, { dtype: 'float32', shape }] as const,
  );
  const compiled = await engine.compile(
    ({ inputs, state, weights }) => {
      const parameters = new Parameters({ ...weights, ...state });
      const { tokenLoss } = affectGptLoss(model.config, parameters, inputs as unknown as AffectGptLossInputs);
      return { outputs: { tokenLoss } };
    },
    {
      name: 'sample losses',
      inputs: task.stepOptions.inputs,
      state: Object.fromEntries(specs),
      weights: model.weights,
    },
  );
  const state = engine.createState(task.initialParameters);
  return async (
    names: readonly string[],
    at: { readonly epoch: number; readonly step: number },
  ): Promise<ReadonlyMap<string, number>> => {
    const { inputs } = await task.loadBatch(names, at);
    const { tokenLoss } = await compiled.run(inputs, state);
    const tokens = inputs.inputIds!.shape[1]!;
    const rows = Array.from(inputs.positions!.data, (position) => Math.floor(position / tokens));
    return new Map(
      names.map((name, row) => {
        const own = Array.from(tokenLoss!.data).filter((_, i) => rows[i] === row);
        return [name, own.reduce((sum, loss) => sum + loss, 0) / own.length];
      }),
    );
  };
}
