import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { preprocessWaveforms } from '../../encoders/waveform-preprocessing.ts';
import { COMPAT_PRESETS } from '../../src/config/compat.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { audioClips, clipCount, clipSamples, decodeAudio } from '../../src/data/media/audio.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { sha256 } from '../../src/io/checksum.ts';
import { writeNpy } from '../../src/io/npy.ts';
import { writeSafetensors } from '../../src/io/safetensors.ts';
import { Predictor } from '../../src/predict/predictor.ts';
import { initialParameters, openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { openSamples } from '../../src/runtime/samples.ts';
import { affectGptTask } from '../../train/affectgpt.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { maxAbsDifference, readTensors } from '../support/fixture.ts';
import { makeWorkspace, set } from './workspace.ts';

// Every switch of `compat`, set in a configuration and looked for in what the program then does. `wheelTable` concerns
// scores, not the model.

const workspace = await makeWorkspace();
const engine = await createEngine({ type: 'cpu' });
const presets = ['reference', 'fixed'] as const;
type Switch = keyof (typeof COMPAT_PRESETS)['reference'];

let records: SampleRecord[];
beforeAll(async () => {
  records = (await readManifest(workspace.manifest)).slice(0, 3);
});

const common = { 'data.featureCache': null, 'data.labelType': 'ovlabel', 'lora.dropout': 0 };

/** A configuration of a preset with some switches set to another value. */
function configOf(
  preset: (typeof presets)[number],
  switches: Partial<Record<Switch, unknown>> = {},
  settings: Readonly<Record<string, unknown>> = {},
): Config {
  const own = Object.entries(switches).map(([name, value]) => [`compat.${name}`, value]);
  const all = { compat: preset, ...common, ...settings, ...Object.fromEntries(own) };
  const assignments = set(all).filter((argument) => argument !== '--set');
  return loadConfig({ config: workspace.config, set: assignments }).config;
}

/** Opens model and samples of a configuration. */
async function open(config: Config, forTraining: boolean, given: readonly SampleRecord[] = records) {
  const model = await openAffectGpt(config);
  const notify = () => {};
  return {
    model,
    samples: await openSamples({ config, model, engine, records: given, forTraining, notify }),
  };
}

const textonly = { 'model.inputs': 'textonly' };

/** A switch with two values under both presets, and what it makes of each. */
function itFollows<Value>(
  name: Switch,
  values: readonly [reference: Value, fixed: Value],
  observe: (config: Config) => Promise<unknown>,
  expected: (value: Value) => unknown,
): void {
  it.each(presets)('%s', async (preset) => {
    const other = values[preset === 'reference' ? 1 : 0];
    const own = values[preset === 'reference' ? 0 : 1];
    expect(COMPAT_PRESETS[preset][name]).toEqual(own);
    expect(await observe(configOf(preset, {}, textonly))).toEqual(expected(own));
    expect(await observe(configOf(preset, { [name]: other }, textonly))).toEqual(expected(other));
  });
}

describe('bosAtInference: whether the start token stands before a prompt that is to be answered', () => {
  const observe = async (config: Config): Promise<unknown> => {
    const { model, samples } = await open(config, true);
    const { inputs } = await samples.source.loadPrompts([records[0]!.name], 'How?');
    const batch = await samples.source.loadBatch([records[0]!.name], { epoch: 0 });
    const { bosId } = model.tokenizer;
    return {
      asked: inputs.inputIds!.data[0] === bosId,
      trained: batch.inputs.inputIds!.data[0] === bosId,
    };
  };
  itFollows('bosAtInference', [false, true], observe, (value) => ({ asked: value, trained: true }));
});

describe('attendFinalEos: whether attention sees the end token of a training sequence', () => {
  const observe = async (config: Config): Promise<unknown> => {
    const { samples } = await open(config, true);
    const { inputs } = await samples.source.loadBatch([records[0]!.name], { epoch: 0 });
    const { data, shape } = inputs.attentionBias!;
    const tokens = shape[3]!;
    const last = data.subarray((tokens - 1) * tokens, tokens * tokens);
    return { beforeIt: last.at(-2) === 0, itself: last.at(-1) === 0 };
  };
  itFollows('attendFinalEos', [false, true], observe, (value) => ({ beforeIt: true, itself: value }));
});

describe('faceColorOrder: the colours in which faces reach the encoder', () => {
  const faces = async (config: Config, face: string): Promise<HostTensor> => {
    const { video: _, audio: __, ...record } = records[0]!;
    const { samples } = await open(config, false, [{ ...record, face }]);
    return (await samples.source.loadPrompts([record.name], 'How?')).inputs.face!;
  };

  it.each(presets)('%s', async (preset) => {
    const random = new RandomGenerator(1);
    const stored = Uint8Array.from({ length: 3 * 8 * 8 * 3 }, () => random.integer(256));
    const swapped = stored.map((_, i) => stored[i - (i % 3) + 2 - (i % 3)]!);
    const [bgr, rgb] = [workspace.path(`${preset}-bgr.npy`), workspace.path(`${preset}-rgb.npy`)];
    await writeNpy(bgr, { dtype: 'uint8', shape: [3, 8, 8, 3], data: stored });
    await writeNpy(rgb, { dtype: 'uint8', shape: [3, 8, 8, 3], data: swapped });
    const order = COMPAT_PRESETS[preset].faceColorOrder;
    const faceonly = { 'model.inputs': 'faceonly' };
    const plain = await faces(configOf(preset, {}, faceonly), bgr);
    const other = { faceColorOrder: order === 'bgr' ? 'rgb' : 'bgr' };
    const changed = await faces(configOf(preset, other, faceonly), bgr);
    expect(changed).not.toEqual(plain);
    // The file with exchanged colours is read as what it was under the other order.
    expect(await faces(configOf(preset, other, faceonly), rgb)).toEqual(plain);
    expect(await faces(configOf(preset, {}, faceonly), rgb)).toEqual(changed);
    const unswapped = await faces(configOf(preset, { faceColorOrder: 'bgr' }, faceonly), bgr);
    expect(order === 'bgr' ? plain : changed).toEqual(unswapped);
  });
});

describe('audioTail, audioMeanRemoval and audioNormalisation: how sound reaches the encoder', () => {
  const audioonly = { 'model.inputs': 'audioonly' };
  const names = () => records.slice(0, 2).map(({ name }) => name);

  /** Features of two samples from an encoder that gives back the sound as prepared for it. */
  const heard = async (config: Config): Promise<HostTensor> => {
    const model = await openAffectGpt(config);
    const audio: NonNullable<typeof model.audio> = {
      ...model.audio!,
      start: ({ policy }) => ({
        identity: 'echo',
        encode: async (clips) => preprocessWaveforms(clips, policy, true),
        dispose: async () => {},
      }),
    };
    const echo = { ...model, audio };
    const { source } = await openSamples({
      ...{ config, model: echo, engine, records, forTraining: false },
      notify: () => {},
    });
    return (await source.loadPrompts(names(), 'How?')).inputs.audio!;
  };

  /** What the switches promise, computed from the decoded files. */
  const promised = async (compat: Config['compat']): Promise<HostTensor['data']> => {
    const { audioTail, audioMeanRemoval, audioNormalisation } = compat;
    const clips = await Promise.all(
      names().map(async (name) => {
        const { audio, video } = records.find((record) => record.name === name)!;
        return audioClips(await decodeAudio((audio ?? video)!), audioTail);
      }),
    );
    const groups = { clip: 1, sample: clipCount, batch: names().length * clipCount };
    const sound = clips.flatMap((sample) =>
      Array.from({ length: clipCount }, (_, i) => sample.subarray(i * clipSamples, (i + 1) * clipSamples)),
    );
    const mean = (values: ArrayLike<number>): number => {
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += values[i]!;
      return sum / values.length;
    };
    const centred = sound.map((clip) => {
      const removed = audioMeanRemoval ? mean(clip) : 0;
      return Float32Array.from(clip, (value) => value - removed);
    });
    const together = groups[audioNormalisation];
    const result = new Float32Array(sound.length * clipSamples);
    for (let from = 0; from < centred.length; from += together) {
      const group = Float32Array.from(centred.slice(from, from + together).flatMap((clip) => [...clip]));
      const average = mean(group);
      const spread = Math.sqrt(mean(group.map((value) => (value - average) ** 2)));
      result.set(
        group.map((value) => (value - average) / spread),
        from * clipSamples,
      );
    }
    return result;
  };

  const others = [
    {},
    { audioTail: ['div7', 'div8'] },
    { audioMeanRemoval: [false, true] },
    { audioNormalisation: ['clip', 'clip'] },
    { audioNormalisation: ['batch', 'batch'] },
  ] as const;

  it.each(presets)('%s', async (preset) => {
    const distinct = new Set<string>();
    for (const change of others) {
      const switches = Object.fromEntries(
        Object.entries(change).map(([name, values]) => [name, values[presets.indexOf(preset)]]),
      );
      const config = configOf(preset, switches, audioonly);
      const { shape, data } = await heard(config);
      expect(shape).toEqual([2, clipCount, clipSamples]);
      const expected = await promised(config.compat);
      const furthest = maxAbsDifference(data, expected);
      expect(furthest, JSON.stringify(switches)).toBeLessThan(1e-3);
      distinct.add(sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
    }
    expect(distinct.size).toBe(others.length);
  });
});

describe('decayUnusedParameters: whether weight decay shrinks what the inputs do not use', () => {
  const observe = async (config: Config): Promise<unknown> => {
    const { model, samples } = await open(config, true);
    const task = await affectGptTask(config, model, samples);
    const step = new TrainStep(engine, task.stepOptions);
    const state = createTrainState(engine, task.initialParameters);
    const { inputs, supervisedTokens } = await task.loadBatch([records[0]!.name], { epoch: 0, step: 1 });
    await step.run(state, [inputs], { supervisedTokens, learningRate: 0.1, step: 1 });
    const after = await state.read();
    const ratio = (name: string): number =>
      after[name]!.data[0]! / (task.initialParameters[name]!.data[0] as number);
    state.dispose();
    await step.dispose();
    return {
      weight: Number(ratio('image_llama_proj.weight').toFixed(4)),
      bias: ratio('image_llama_proj.bias'),
    };
  };

  it.each(presets)('%s', async (preset) => {
    const settings = { 'model.inputs': 'frameonly', 'train.optimizer.weightDecay': 0.5 };
    const kept = { weight: 1, bias: 1 };
    expect(await observe(configOf(preset, {}, settings))).toEqual(kept);
    // 1 - learning rate x decay; biases do not decay.
    const decayed = { weight: 0.95, bias: 1 };
    expect(await observe(configOf(preset, { decayUnusedParameters: true }, settings))).toEqual(decayed);
  });
});

describe('stopSequences: which spellings of ### end an answer', () => {
  /** A language model that says one token for ever, whatever it is asked. */
  async function writeMonotonous(folder: string, token: number): Promise<void> {
    await cp(workspace.path('models', 'llm'), folder, { recursive: true });
    const tensors = await readTensors(join(folder, 'model.safetensors'));
    const stored = Object.entries(tensors).map(([name, { shape, data }]) => {
      const values = Float32Array.from(data);
      if (/(o_proj|down_proj|lm_head|embed_tokens)\.weight$/.test(name)) values.fill(0);
      // Every token embeds as the first unit vector, which nothing changes on its way to the last layer.
      const width = shape.at(-1)!;
      if (name.endsWith('embed_tokens.weight')) {
        for (let i = 0; i < values.length; i += width) values[i] = 1;
      }
      if (name.endsWith('lm_head.weight')) values[token * width] = 1;
      return [name, { dtype: 'F32', shape, data: values }] as const;
    });
    await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(stored));
  }

  const answer = async (config: Config) => {
    const { model, samples } = await open(config, false, records.slice(0, 1));
    const predictor = new Predictor({ config, model, engine, notify: () => {} });
    const state = predictor.createState(await initialParameters(config, model));
    const answers = [];
    for await (const prediction of predictor.predict(state, samples, 'How?')) answers.push(prediction);
    state.dispose();
    await predictor.dispose();
    return answers[0]!;
  };

  it.each(presets)('%s', async (preset) => {
    const { model } = await open(configOf(preset, {}, textonly), false);
    const { tokenizer } = model;
    // "##" said again and again: together they hold "###", which the published rule does not see.
    const [double, ...others] = tokenizer.encode('##');
    expect(others).toEqual([]);
    const llm = workspace.path(`monotonous-${preset}`);
    await writeMonotonous(llm, double!);
    const settings = { ...textonly, 'model.llm': llm, 'generation.maxNewTokens': 3 };
    const ends = {
      published: { tokens: 3, finish: 'length', text: '###' },
      text: { tokens: 2, finish: 'stop', text: '' },
    } as const;
    const own = COMPAT_PRESETS[preset].stopSequences;
    const other = own === 'text' ? 'published' : 'text';
    expect(await answer(configOf(preset, {}, settings))).toMatchObject(ends[own]);
    expect(await answer(configOf(preset, { stopSequences: other }, settings))).toMatchObject(ends[other]);
  });
});
