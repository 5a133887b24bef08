import { existsSync } from 'node:fs';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { readExportManifest } from '../../src/export/manifest.ts';
import { ExportedModel } from '../../src/export/run-folder.ts';
import { sha256File } from '../../src/io/checksum.ts';
import { openSafetensors, readFloat32, writeSafetensors } from '../../src/io/safetensors.ts';
import { makeWorkspace, type Row, readLines, run, set, succeed } from './workspace.ts';

const { path, config, manifest, rows, writeManifest } = await makeWorkspace();

const train = (name: string, settings: Record<string, unknown>) =>
  succeed('train', '--config', config, ...set({ output: path(name), 'train.log.every': 100, ...settings }));
const exportRun = (trained: string, output: string, ...more: string[]) =>
  run('export', 'onnx', '--checkpoint', path(trained), '--output', path(output), ...more);
const succeedExport = async (trained: string, output: string, samples: number, ...more: string[]) => {
  const { exitCode, out, err } = await exportRun(trained, output, '--parity-samples', `${samples}`, ...more);
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
  return { out, manifest: await readExportManifest(path(output)) };
};

const question = 'Please recognize all possible emotional states of the character.';
/** What another program would hand to the exported graphs. */
const promptOf = async ({ name, subtitle }: Row) => {
  const video = path('clips', 'videos', `${name}.mp4`);
  return {
    subtitle: subtitle as string,
    question,
    frame: await decodeFrames(video, 8),
    audio: await decodeAudio(video),
  };
};

await train('run', { 'train.steps': 12 });

describe('export onnx', () => {
  it('writes a folder that answers as predict does, token for token', async () => {
    const { out, manifest: described } = await succeedExport('run', 'exported', 6);
    expect(out).toMatch(/^\S+exported: 14 files, \d+ bytes, fp32\n/);
    expect(out).toMatch(/differ by at most \S+ \(bound 1e-4\).* 6 of 6 greedy answers are the same/);
    expect(described.parity.samples[0]).toBe(rows.find(({ split }) => split === 'test')!.name);
    expect(described.parity.maxAbsLogitDifference).toBeGreaterThan(0);
    expect(described.parity.maxAbsLogitDifference).toBeLessThan(1e-4);

    const files = await readdir(path('exported'));
    expect(files.sort()).toEqual([...Object.keys(described.files), 'manifest.json'].sort());
    for (const [name, { sha256 }] of Object.entries(described.files)) {
      expect(await sha256File(path('exported', name)), name).toBe(sha256);
    }

    await succeed('predict', '--checkpoint', path('run'), '--data', manifest, '--output', path('a.jsonl'));
    const expected = (await readLines(path('a.jsonl'))).map(({ text, tokens }) => ({ text, tokens }));
    expect(new Set(expected.map(({ text }) => text)).size).toBeGreaterThan(2);
    const exported = await ExportedModel.open(path('exported'), { threads: 1 });
    const answers = [];
    for (const row of rows) {
      const { text, tokens } = await exported.answer(await promptOf(row));
      answers.push({ text, tokens: tokens.length });
    }
    await exported.dispose();
    expect(answers).toEqual(expected);
  });

  it('runs a batch of prompts of different lengths, padded on the left, and no tokens at all before', async () => {
    const exported = await ExportedModel.open(path('exported'), { threads: 1 });
    const { decoder, prompt } = exported.manifest;
    const wanted: { ids: readonly number[]; vectors: ort.Tensor; logits: Float32Array }[] = [];
    for (const row of [rows[0]!, rows[3]!]) {
      const media = await promptOf(row);
      const vectors = await exported.vectors(await exported.features(media));
      const reading = exported.startWith(media, vectors);
      wanted.push({ ids: reading.promptIds, vectors, logits: await reading.read(reading.promptIds, 2) });
    }
    await exported.dispose();
    const tokens = Math.max(...wanted.map(({ ids }) => ids.length));
    const padding = wanted.map(({ ids }) => tokens - ids.length);
    expect(Math.max(...padding)).toBeGreaterThan(5);
    expect(Math.min(...padding)).toBe(0);
    const perToken = (valueAt: (row: number, at: number) => number): ort.Tensor => {
      const data = Array.from({ length: 2 * tokens }, (_, i) => {
        const at = (i % tokens) - padding[Math.floor(i / tokens)]!;
        return at < 0 ? 0 : valueAt(Math.floor(i / tokens), at);
      });
      return new ort.Tensor('int64', BigInt64Array.from(data, BigInt), [2, tokens]);
    };
    const empty = new ort.Tensor('float32', new Float32Array(0), [
      2,
      decoder.keyValueHeads,
      0,
      decoder.headDim,
    ]);
    const vectors = wanted.flatMap((one) => [...(one.vectors.data as Float32Array)]);
    const session = await ort.InferenceSession.create(path('exported', 'decoder.onnx'));
    const { logits } = await session.run({
      input_ids: perToken((row, at) => wanted[row]!.ids[at]!),
      attention_mask: perToken(() => 1),
      position_ids: perToken((_, at) => at),
      num_logits_to_keep: new ort.Tensor('int64', BigInt64Array.of(2n), []),
      vectors: new ort.Tensor('float32', Float32Array.from(vectors), [
        vectors.length / decoder.hiddenSize,
        decoder.hiddenSize,
      ]),
      ...Object.fromEntries(
        session.inputNames.filter((name) => name.startsWith('past')).map((name) => [name, empty]),
      ),
    });
    await session.release();
    expect(logits!.dims).toEqual([2, 2, decoder.vocabSize]);
    const alone = wanted.flatMap((one) => [...one.logits]);
    (logits!.data as Float32Array).forEach((value, i) => {
      expect(Math.abs(value - alone[i]!)).toBeLessThan(1e-4);
    });
    expect(prompt.segments.some((segment) => 'slot' in segment)).toBe(true);
  });

  it('keeps the adapter as inputs under the names of PEFT, so that another one can take its place', async () => {
    const { manifest: kept } = await succeedExport('run', 'kept', 2, '--keep-adapter');
    const name = 'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight';
    expect(kept.graphs.decoder.inputs).toContainEqual({ name, dtype: 'float32', shape: [32, 4] });
    expect(kept.adapter).toEqual({ file: 'adapter_model.safetensors', config: 'adapter_config.json' });

    const media = await promptOf(rows[1]!);
    const scores = async (folder: string, adapter?: string) => {
      const exported = await ExportedModel.open(path(folder), { threads: 1, ...(adapter && { adapter }) });
      const reading = await exported.start(media);
      const logits = await reading.read(reading.promptIds, 1);
      await exported.dispose();
      return logits;
    };
    const { entries } = await openSafetensors(path('kept', 'adapter_model.safetensors'));
    const other: Record<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }> = {};
    for (const [tensor, entry] of entries) {
      const data = (await readFloat32(entry)).map((value) => value * 1.5);
      other[tensor] = { dtype: 'F32', shape: entry.shape, data };
    }
    await writeSafetensors(path('other.safetensors'), other);
    const difference = (a: Float32Array, b: Float32Array) =>
      Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
    const [merged, same, changed] = [
      await scores('exported'),
      await scores('kept'),
      await scores('kept', path('other.safetensors')),
    ];
    expect(difference(merged, same)).toBeLessThan(1e-4);
    expect(difference(merged, changed)).toBeGreaterThan(0.1);
  });

  it.each([
    ['fp16', 0.52, 0.2],
    ['int8', 0.42, 2],
  ])('stores %s, and says what that changes', async (precision, share, bound) => {
    const { out, manifest: smaller } = await succeedExport('run', precision, 3, '--precision', precision);
    expect(out).toMatch(/(fp16|int8)\n.*\(not bounded\)/);
    const full = await readExportManifest(path('exported'));
    const sizes = [smaller, full].map(({ files }) => files['decoder.onnx.data']!.bytes);
    expect(sizes[0]! / sizes[1]!).toBeLessThan(share);
    const { maxAbsLogitDifference, logitBound } = smaller.parity;
    expect(logitBound).toBeNull();
    expect(maxAbsLogitDifference).toBeGreaterThan(full.parity.maxAbsLogitDifference);
    expect(maxAbsLogitDifference).toBeLessThan(bound);
    expect(smaller.operatorSets).toEqual({ 'ai.onnx': precision === 'fp16' ? 20 : 21 });
  });

  it('refuses four bits where they change the answers, as those of a model that has learnt nothing', async () => {
    const { exitCode, out, err } = await exportRun('run', 'four', '--precision', 'int4');
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    expect(err).toMatch(
      /^error\[EXPORT_PARITY\]: [^\n]* % of the generated tokens agree \(at least 75 % have to\)/,
    );
    expect(existsSync(path('four'))).toBe(false);
    const bounded = ['--parity-samples', '1', '--set', 'generation.maxNewTokens=1'];
    const { exitCode: one } = await exportRun('run', 'four', '--precision', 'int4', ...bounded);
    expect(one).toBe(0);
    const { operatorSets } = await readExportManifest(path('four'));
    expect(operatorSets).toEqual({ 'ai.onnx': 21, 'com.microsoft': 1 });
  });
});

describe('export onnx of other models', () => {
  it('takes Q-Formers, tied embeddings, a fully trained decoder and the published quirks', async () => {
    await cp(path('models', 'llm'), path('models', 'tied'), { recursive: true });
    const file = path('models', 'tied', 'config.json');
    const json = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...json, tie_word_embeddings: true }));
    await train('qformer', {
      'train.steps': 1,
      'model.llm': path('models', 'tied'),
      'fusion.multi': 'qformer',
      'fusion.video': 'mean',
      'train.parts.fusion': 'frozen',
      'train.parts.decoder': 'full',
      compat: 'reference',
      'generation.maxNewTokens': 4,
    });
    const { manifest: described } = await succeedExport('qformer', 'qformer-exported', 2);
    expect(described.prompt.startToken).toBeNull();
    expect(described.parity.equalAnswers).toBe(2);
    const { exitCode, err } = await exportRun('qformer', 'nothing', '--keep-adapter');
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[EXPORT_NO_ADAPTER\]: [^\n]*"full"[^\n]*\n$/);
  });

  it('leaves out what the inputs do not need', async () => {
    const data = await writeManifest(
      'text.jsonl',
      rows.map(({ video: _, ...row }) => row),
    );
    await train('text', { 'train.steps': 1, 'data.manifest': data, 'model.inputs': 'textonly' });
    const { manifest: text } = await succeedExport('text', 'text-exported', 2);
    expect(Object.keys(text.graphs)).toEqual(['decoder']);
    expect(text.graphs.decoder.inputs.map(({ name }) => name)).not.toContain('vectors');
    expect(text.parity.maxAbsFeatureDifference).toBeNull();

    const template = {
      prompt: 'Look: <FrameHere>\nHeard: {subtitle}\nLabel:',
      answer: ' {label}',
      begin: false,
      end: 'eos',
    };
    await train('own', {
      'train.steps': 1,
      'model.inputs': 'frameonly',
      'data.template': template,
      'data.labelType': 'ovlabel',
    });
    const { manifest: own } = await succeedExport('own', 'own-exported', 2);
    expect(Object.keys(own.graphs)).toEqual(['vision', 'fusion', 'decoder']);
    expect(own.prompt.segments).toEqual([
      { text: 'Look: ' },
      { slot: 'frame', placeholder: '<FrameHere>', tokens: 1, id: expect.any(Number) },
      { text: '\nHeard: ' },
      { field: 'subtitle' },
      { text: '\nLabel:' },
    ]);
    expect(own.prompt).toMatchObject({ startToken: null, question: '' });
  });
});

describe('export onnx refuses', () => {
  it.each([
    ['a folder that is no run', 'clips', 'x', [], /^error\[RUN_NOT_FOUND\]: /],
    ['to overwrite', 'run', 'exported', [], /^error\[FOLDER_EXISTS\]: /],
    ['an unknown precision', 'run', 'x', ['--precision', 'fp8'], /^error\[USAGE\]: [^\n]*fp16/],
    ['no samples', 'run', 'x', ['--parity-samples', '0'], /^error\[USAGE\]: --parity-samples is 0/],
    [
      'features that depend on neighbours',
      'run',
      'x',
      ['--set', 'compat.audioNormalisation=batch', '--set', 'data.featureCache=null'],
      /^error\[EXPORT_AUDIO_BATCH\]: /,
    ],
    [
      'encoders of the user',
      'run',
      'x',
      ['--set', 'model.visualEncoder.type=transformers'],
      /^error\[EXPORT_ENCODER_OWN\]: model\.visualEncoder /,
    ],
    [
      'samples that are not there',
      'run',
      'x',
      ['--parity-data', 'nowhere.jsonl'],
      /^error\[FILE_NOT_FOUND\]: [^\n]*nowhere\.jsonl/,
    ],
  ])('%s', async (_, trained, output, more, message) => {
    const before = await readdir(path());
    const { exitCode, out, err } = await exportRun(trained, output, ...more);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(message);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect(await readdir(path())).toEqual(before);
    expect(existsSync(join(path('x')))).toBe(false);
  });
});
