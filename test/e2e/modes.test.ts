import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { RandomGenerator } from '../../src/engine/random.ts';
import { writeNpy } from '../../src/io/npy.ts';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { makeWorkspace, readLines, readMetrics, set, succeed } from './workspace.ts';

const { path, config, manifest, rows, writeManifest } = await makeWorkspace();

/** Trains a step (or more) in a run folder of that name, and asks the model about all clips of the manifest. */
async function trainAndAsk(name: string, settings: Record<string, unknown>, data = manifest) {
  const output = path(name);
  const all = { output, 'train.steps': 1, 'data.manifest': data, ...settings };
  const { err } = await succeed('train', '--config', config, ...set(all));
  const metrics = await readMetrics(output);
  for (const { loss, gradNorm } of metrics) {
    expect(loss).toBeGreaterThan(0);
    expect(gradNorm).toBeGreaterThan(0);
  }
  const predictions = path(`${name}.jsonl`);
  const { err: said } = await succeed(
    ...['predict', '--checkpoint', output, '--data', data, '--output', predictions, '--max-new-tokens', '4'],
  );
  const answers = await readLines(predictions);
  expect(answers.map((answer) => answer.name)).toEqual(rows.map((row) => row.name));
  const [checkpoint] = (await readdir(path(name, 'checkpoints'))).filter((entry) =>
    entry.startsWith('step-'),
  );
  const files = await readdir(path(name, 'checkpoints', checkpoint!));
  const other = await openSafetensors(path(name, 'checkpoints', checkpoint!, 'affectgpt.safetensors'));
  return { err, said, metrics, files, tensors: [...other.entries.keys()] };
}

describe('inputs', () => {
  it('textonly reads no media', async () => {
    const withoutMedia = rows.map(({ video: _, ...row }) => row);
    const data = await writeManifest('text.jsonl', withoutMedia);
    const { err, tensors } = await trainAndAsk('text', { 'model.inputs': 'textonly' }, data);
    expect(err).not.toContain('Features:');
    expect(tensors).not.toContain('model.embed_tokens.weight');
  });

  it('audioonly needs no pictures', async () => {
    const onlySound = rows.map(({ video, ...row }) => ({ ...row, audio: video }));
    const data = await writeManifest('sound.jsonl', onlySound);
    const { err } = await trainAndAsk('sound', { 'model.inputs': 'audioonly', 'fusion.audio': 'mean' }, data);
    expect(err).toContain('Features: 5 computed');
  });

  it('frameonly needs no sound, and no audio encoder', async () => {
    const { err } = await trainAndAsk('frames', {
      'model.inputs': 'frameonly',
      'model.audioEncoder.model': path('nowhere'),
    });
    expect(err).toContain('Features: 5 computed');
  });

  it('multiface_audio_face_text takes face crops', async () => {
    const random = new RandomGenerator(1);
    const withFaces = rows.map((row, i) => ({ ...row, face: `face-${i}.npy` }));
    for (const { face } of withFaces) {
      const pixels = Uint8Array.from({ length: 5 * 20 * 16 * 3 }, () => random.integer(256));
      await writeNpy(path('clips', face), { dtype: 'uint8', shape: [5, 20, 16, 3], data: pixels });
    }
    const data = await writeManifest('faces.jsonl', withFaces);
    const settings = { 'model.inputs': 'multiface_audio_face_text', 'fusion.queryTokens.audio': 2 };
    const { err, said } = await trainAndAsk('faces', { ...settings, compat: 'reference' }, data);
    expect(err).toContain('Features: 10 computed');
    expect(err + said).not.toContain('stand in for faces');
  });
});

describe('Q-Formers for pre-fusion, frames and sound', () => {
  it('train', async () => {
    const { metrics, tensors } = await trainAndAsk('qformer', {
      'fusion.multi': 'qformer',
      'fusion.video': 'qformer',
      'fusion.audio': 'qformer',
      'fusion.queryTokens': { multi: 3, video: 2, audio: 2 },
      'train.steps': 2,
    });
    expect(metrics).toHaveLength(2);
    for (const name of ['multi', 'video', 'audio']) {
      expect(tensors.filter((tensor) => tensor.startsWith(`${name}_Qformer`)).length, name).toBeGreaterThan(
        50,
      );
    }
  });
});

describe('parts', () => {
  it('train the whole decoder', async () => {
    const { files, tensors } = await trainAndAsk('full', { 'train.parts.decoder': 'full' });
    expect(files).not.toContain('adapter_model.safetensors');
    expect(tensors).toEqual(expect.arrayContaining(['model.embed_tokens.weight', 'lm_head.weight']));
  });

  it('leave the decoder alone, or all but the decoder', async () => {
    const frozen = await trainAndAsk('frozen', { 'train.parts.decoder': 'frozen' });
    expect(frozen.files).not.toContain('adapter_model.safetensors');
    expect(frozen.tensors).toEqual(expect.arrayContaining(['affectgpt_proj.weight', 'fc_att.weight']));
    const decoder = await trainAndAsk('decoder', {
      'train.parts.fusion': 'frozen',
      'train.parts.projectors': 'frozen',
    });
    expect(decoder.files).toContain('adapter_model.safetensors');
    expect(decoder.tensors).toEqual([]);
  });
});

describe('accumulation', () => {
  it('gives the steps of one large batch', async () => {
    const losses = async (name: string) =>
      (await readMetrics(path(name))).map(({ loss, gradNorm }) => [loss, gradNorm] as [number, number]);
    const settings = { 'train.steps': 4, 'train.clipNorm': 1 };
    await trainAndAsk('large', { ...settings, 'train.batchSize': 2 });
    await trainAndAsk('small', { ...settings, 'train.batchSize': 1, 'train.accumulation': 2 });
    const [large, small] = [await losses('large'), await losses('small')];
    expect(small).toHaveLength(4);
    small.flat().forEach((value, i) => {
      expect(Math.abs(value / large.flat()[i]! - 1)).toBeLessThan(1e-3);
    });
    expect(Math.abs(small[0]![0] / large[0]![0] - 1)).toBeLessThan(1e-6);
  });
});

describe('engines', () => {
  it('agree on a step', async () => {
    const settings = { 'model.inputs': 'audio_text', 'lora.dropout': 0.3 };
    await trainAndAsk('onnxruntime', { ...settings, 'engine.type': 'onnxruntime' });
    await trainAndAsk('wasm', { ...settings, 'engine.type': 'wasm' });
    const [[compiled], [eager]] = [await readMetrics(path('onnxruntime')), await readMetrics(path('wasm'))];
    for (const key of ['loss', 'gradNorm']) {
      expect(Math.abs((eager![key] as number) / (compiled![key] as number) - 1), key).toBeLessThan(1e-5);
    }
  });
});
