import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMPAT_PRESETS } from '../../src/config/compat.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { folderWith, inputError } from './files.ts';

const MINIMAL = 'data: {manifest: clips.jsonl}\noutput: runs/x\n';

const load = (files: Record<string, string>, set: string[] = [], config = 'main.yaml') =>
  loadConfig({ config, set, folder: folderWith(files) });
const messageOf = (files: Record<string, string>, set: string[] = []) => {
  const error = inputError(() => load(files, set));
  expect(error.code).toBe('CONFIG_INVALID');
  expect(error.exitCode).toBe(2);
  return error.message;
};

describe('loading', () => {
  it('fills in the published defaults', () => {
    const { config } = load({ 'main.yaml': MINIMAL });
    expect(config.model.llm).toBe('Qwen/Qwen2.5-7B-Instruct');
    expect(config.lora).toMatchObject({ rank: 16, alpha: 32, dropout: 0.05 });
    expect(config.lora.targets).toHaveLength(7);
    expect(config.train.optimizer).toEqual({
      type: 'adamw',
      lr: 1e-5,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.05,
    });
    expect(config.compat.audioNormalisation).toBe('sample');
    expect(config.data).toMatchObject({ dataset: null, manifest: 'clips.jsonl', labelType: 'hybird' });
  });

  it('merges maps and replaces lists along extends, then applies --set in order', () => {
    const { config } = load(
      {
        'main.yaml': 'extends: middle\ntrain: {steps: 7}\nlora: {targets: [k_proj]}\n',
        'middle.yaml': 'extends: base.yaml\ntrain: {batchSize: 5}\n',
        'base.yaml': `${MINIMAL}train: {steps: 1, batchSize: 2, seed: 9}\nlora: {targets: [q_proj, v_proj]}\n`,
      },
      ['train.optimizer.betas=[0.8, 0.9]', 'train.accumulation=2', 'train.accumulation=4', 'engine.threads='],
    );
    expect(config.train).toMatchObject({ steps: 7, batchSize: 5, seed: 9, accumulation: 4 });
    expect(config.lora.targets).toEqual(['k_proj']);
    expect(config.train.optimizer.betas).toEqual([0.8, 0.9]);
    expect(config.engine.threads).toBeNull();
  });

  it('finds what an own file extends in the package, and lets a manifest replace the inherited data set', () => {
    const { config } = load({ 'main.yaml': `extends: prefusion-attn\n${MINIMAL}` });
    expect(config.data).toMatchObject({ dataset: null, manifest: 'clips.jsonl', root: './dataset' });
  });

  it('knows what the user gave and where', () => {
    const { sources } = load({ 'main.yaml': `extends: prefusion-attn.yaml\n${MINIMAL}` }, [
      'compat=fixed',
      'lora.rank=8',
    ]);
    expect(Object.fromEntries(sources)).toEqual({
      'data.manifest': 'main.yaml:2',
      output: 'main.yaml:3',
      compat: '--set compat=fixed',
      'lora.rank': '--set lora.rank=8',
    });
  });

  it('resolves compat: a preset, a map over fixed, and a map over an inherited preset', () => {
    expect(load({ 'main.yaml': `${MINIMAL}compat: fixed` }).config.compat).toMatchObject({
      bosAtInference: true,
      faceColorOrder: 'rgb',
      audioTail: 'div7',
    });
    expect(load({ 'main.yaml': `${MINIMAL}compat: {audioTail: div8}` }).config.compat).toMatchObject({
      bosAtInference: true,
      audioTail: 'div8',
    });
    expect(load({ 'main.yaml': MINIMAL }).config.compat).toEqual(COMPAT_PRESETS.fixed);
    const over = load({ 'main.yaml': `${MINIMAL}compat: fixed` }, ['compat.bosAtInference=false']).config
      .compat;
    expect(over).toMatchObject({ bosAtInference: false, faceColorOrder: 'rgb', wheelTable: 'corrected' });
  });

  it('drops the keys of an inherited schedule when its type changes', () => {
    const files = {
      'main.yaml': 'extends: base.yaml\ntrain: {schedule: {type: constant}}',
      'base.yaml': `${MINIMAL}train: {schedule: {type: warmup-cosine, warmupSteps: 5}}`,
    };
    expect(load(files).config.train.schedule).toEqual({ type: 'constant' });
    expect(load(files, [], 'base').config.train.schedule).toEqual({
      type: 'warmup-cosine',
      warmupSteps: 5,
      warmupRatio: null,
      minLr: 0,
      warmupLr: 0,
    });
  });

  it('reads anchors and merge keys', () => {
    const { config } = load({ 'main.yaml': `${MINIMAL}train:\n  <<: {steps: 3, seed: 1}\n  seed: 2\n` });
    expect(config.train).toMatchObject({ steps: 3, seed: 2 });
  });
});

describe('errors', () => {
  it('come all at once, with file, line and what was meant, rules between keys included', () => {
    const message = messageOf(
      {
        'main.yaml': [
          'extends: base.yaml',
          'model: {frames: many}',
          'train:',
          '  batchsize: 3',
          '  steps: 10',
          '  schedule: {type: warmup-cosine, warmupSteps: 20}',
          'lr: 3',
          'lora: {rank: 1.5, targets: [qproj]}',
          'compat: {bosAtInferenc: true}',
          '',
        ].join('\n'),
        'base.yaml': 'output: x\nfusion: {multi: none}\n',
      },
      ['train.seed=-1'],
    );
    expect(message).toContain('10 errors');
    expect(message).toContain(
      'main.yaml:2  model.frames: expected whole number, at least 1, at most 256; found "many"',
    );
    expect(message).toContain('main.yaml:4  train.batchsize: unknown key; did you mean "batchSize"?');
    expect(message).toContain('main.yaml:6  train.schedule.warmupSteps: 20 steps of warm-up in a run of 10');
    expect(message).toContain('main.yaml:7  lr: unknown key; did you mean "train.optimizer.lr"?');
    expect(message).toContain('main.yaml:8  lora.rank: expected whole number, at least 1; found 1.5');
    expect(message).toMatch(/main.yaml:8 {2}lora.targets.0: .*found "qproj", did you mean "q_proj"\?/);
    expect(message).toContain(
      'main.yaml:9  compat.bosAtInferenc: unknown key; did you mean "bosAtInference"?',
    );
    expect(message).toContain('base.yaml:2  fusion.multi: "none", but model.inputs');
    expect(message).toContain('--set train.seed=-1  train.seed: expected whole number, at least 0');
    expect(message).toContain('data: neither "dataset" (a registry key) nor "manifest"');
  });

  it('say where a map in braces lacks a space', () => {
    const message = messageOf({ 'main.yaml': MINIMAL }, [
      'data.dataset=mmla',
      'data.labelType=own',
      'data.mmla.weights={MUStARD:2}',
    ]);
    expect(message).toContain(
      'data.mmla.weights.MUStARD:2: unknown key; a value stands behind a colon and a space: {key: value}',
    );
  });

  it('name every place looked at when there is no such file', () => {
    const folder = folderWith({});
    const error = inputError(() => loadConfig({ config: 'nothing', folder }));
    expect(error.code).toBe('CONFIG_NOT_FOUND');
    expect(error.message).toContain(path.join(folder, 'nothing.yaml'));
    expect(error.message).toContain(path.join('configs', 'nothing.yaml'));
  });

  it('refuse circles, missing parents and __proto__', () => {
    expect(messageOf({ 'main.yaml': 'extends: b.yaml', 'b.yaml': '\nextends: main.yaml' })).toContain(
      'b.yaml:2  extends: the files extend each other in a circle: main.yaml -> b.yaml -> main.yaml',
    );
    expect(messageOf({ 'main.yaml': 'extends: gone.yaml' })).toContain('there is no "gone.yaml"; looked at');
    expect(messageOf({ 'main.yaml': 'model:\n  __proto__: {llm: x}' })).toContain(
      'main.yaml:2  the key "__proto__"',
    );
    expect(messageOf({ 'main.yaml': MINIMAL }, ['__proto__.llm=x'])).toContain(
      'the key "__proto__" is not allowed',
    );
    expect(({} as Record<string, unknown>).llm).toBeUndefined();
  });

  it('refuse broken YAML, alias bombs and values that are no map', () => {
    expect(messageOf({ 'main.yaml': 'a: 1\nb: [' })).toMatch(/main.yaml:2 {2}not valid YAML/);
    expect(messageOf({ 'main.yaml': '- 1' })).toContain('expected a map of keys, found a list of 1');
    const nine = (name: string) => `[${Array(9).fill(name).join(',')}]`;
    const bomb = `a: &a ${nine('x')}\nb: &b ${nine('*a')}\nc: &c ${nine('*b')}\nd: ${nine('*c')}`;
    expect(messageOf({ 'main.yaml': bomb })).toContain('Excessive alias count');
    expect(messageOf({ 'main.yaml': MINIMAL }, ['train'])).toContain('expected KEY=VALUE');
    expect(messageOf({ 'main.yaml': `${MINIMAL}train: null` })).toContain(
      'train: expected map of keys; found null',
    );
    expect(messageOf({ 'main.yaml': `${MINIMAL}compat: refrence` })).toContain('did you mean "reference"?');
  });
});

describe('rules between keys', () => {
  const given = { data: { manifest: 'a.jsonl' }, output: 'runs/x' };
  const fault = (values: Record<string, unknown>) =>
    inputError(() => parseConfig({ ...given, ...values })).message;

  it('hold', () => {
    expect(parseConfig(given).output).toBe('runs/x');
    expect(fault({ data: { manifest: 'a', dataset: 'b' } })).toContain('both "dataset" and "manifest"');
    expect(fault({ fusion: { video: 'qformer' }, model: { frames: 33 } })).toContain(
      'positions for 32 frames',
    );
    expect(fault({ train: { schedule: { type: 'warmup-cosine', minLr: 1 } } })).toContain(
      'above train.optimizer.lr',
    );
    expect(fault({ train: { schedule: { type: 'warmup-cosine', warmupLr: 1 } } })).toContain(
      'schedule.warmupLr',
    );
    expect(fault({ train: { schedule: { type: 'constant', warmupSteps: 1 } } })).toContain('unknown key');
    expect(fault({ engine: { type: 'xla', devices: 4 }, train: { accumulation: 6 } })).toContain(
      'engine.devices: 4 devices cannot share the 6 batches of a step (train.accumulation) evenly; set train.accumulation to a multiple of 4, such as 8',
    );
    expect(
      fault({ train: { parts: { decoder: 'frozen', fusion: 'frozen', projectors: 'frozen' } } }),
    ).toContain('nothing would be trained');
    expect(fault({ model: { inputs: 'textonly' }, train: { parts: { decoder: 'frozen' } } })).toContain(
      'textonly',
    );
    expect(fault({ lora: { targets: ['q_proj', 'q_proj'] } })).toContain('named twice');
  });

  it('refuse batch normalisation of sound with the feature cache only', () => {
    const compat = { audioNormalisation: 'batch' };
    expect(fault({ compat })).toContain('set data.featureCache to null');
    const data = { ...given.data, featureCache: null };
    expect(parseConfig({ ...given, data, compat }).compat.audioNormalisation).toBe('batch');
  });
});
