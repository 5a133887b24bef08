import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { inputModes } from '../../model/modes.ts';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { createEngine } from '../../src/engine/engines.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { readExportManifest } from '../../src/export/manifest.ts';
import { maxAbsDifference } from '../../src/export/parity.ts';
import { ExportedModel, type ExportedPrompt } from '../../src/export/run-folder.ts';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { openRun } from '../../src/predict/open-run.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { formatOf } from '../../src/runtime/samples.ts';
import { loadWeights } from '../../train/checkpoint.ts';
import { makeWorkspace, type Row, readLines, set, succeed, type Workspace } from '../e2e/workspace.ts';
import { type Interpreter, pythonWith } from '../support/python.ts';

const script = (name: string): string => fileURLToPath(new URL(`../crosscheck/${name}`, import.meta.url));
const environment = { env: { PYTHONDONTWRITEBYTECODE: '1', HF_HUB_OFFLINE: '1' } };

const huggingFace = pythonWith('torch', 'transformers', 'peft', 'safetensors', 'numpy');
const onnx = pythonWith('onnx', 'onnxruntime', 'tokenizers', 'numpy');
for (const [what, interpreter] of Object.entries({ 'export hf': huggingFace, 'export onnx': onnx })) {
  if ('missing' in interpreter) {
    console.warn(`Skipped, ${what} read by other programs: ${interpreter.missing}.`);
  }
}

const isNeeded = !('missing' in huggingFace && 'missing' in onnx);
const workspace: Workspace | undefined = isNeeded ? await makeWorkspace() : undefined;
const path = (...names: string[]): string => workspace!.path(...names);
if (isNeeded) await train('run', { 'train.steps': 12 });

async function train(name: string, settings: Record<string, unknown>): Promise<void> {
  const all = { output: path(name), 'train.log.every': 100, ...settings };
  await succeed('train', '--config', workspace!.config, ...set(all));
}

/** What a script prints. */
async function python<Result>(interpreter: Interpreter, name: string, ...argv: string[]): Promise<Result> {
  const program = 'missing' in interpreter ? '' : interpreter.python;
  const { stdout } = await execa(program, [script(name), ...argv], environment);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Result;
}

const readFloats = async (file: string): Promise<Float32Array> => {
  const bytes = await readFile(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

/** Scores after every token of each sequence, adapter apart, by the engine that trains. */
async function engineScores(trained: string, sequences: readonly number[][]): Promise<Float32Array> {
  const { config, checkpoint } = await openRun(path(trained));
  const model = await openAffectGpt(config);
  const engine = await createEngine(config.engine);
  const { parameters } = await loadWeights(checkpoint, model.trainable);
  const textOnly = { ...model, config: { ...model.config, mode: inputModes.textonly } };
  const generator = new Generator(engine, textOnly);
  const state = engine.createState(parameters);
  const scores: number[] = [];
  for (const ids of sequences) {
    const int32 = (data: Int32Array): HostTensor => ({ dtype: 'int32', shape: [1, ids.length], data });
    const prompt = {
      inputs: { inputIds: int32(Int32Array.from(ids)) },
      attentionMask: int32(new Int32Array(ids.length).fill(1)),
      positions: Int32Array.from(ids.keys()),
    };
    await generator.answer(state, prompt, {
      maxNewTokens: 1,
      stop: [],
      sampling: { method: 'greedy' },
      padToken: 0,
      observe: async ({ logits }) => void scores.push(...logits),
    });
  }
  state.dispose();
  await generator.dispose();
  return Float32Array.from(scores);
}

describe.skipIf('missing' in huggingFace)('export hf', () => {
  const texts = ['She wrote about the house at noon.', 'No.', 'Brows raised, a trembling voice: surprised.'];

  interface Loaded {
    readonly dtype: string;
    readonly tied: boolean;
    readonly ids: number[][];
    /** Of the prompt with nothing said and nothing asked. */
    readonly prompt: number[];
    readonly fusion: Record<string, number[]>;
  }

  async function load(trained: string, base: string, dtype = 'float32') {
    const [output, request, out] = [
      path(`${trained}-${dtype}`),
      path('request.json'),
      path('scores.f32'),
    ] as const;
    await succeed('export', 'hf', '--checkpoint', path(trained), '--output', output, '--dtype', dtype);
    const tokenizer = await loadTokenizer(base);
    const sequences = texts.map((text) => tokenizer.encode(text));
    await writeFile(request, JSON.stringify({ base, sequences, texts }));
    const loaded = await python<Loaded>(
      huggingFace,
      'huggingface_logits.py',
      ...[output, '--request', request, '--out', out],
    );
    expect(loaded.ids).toEqual(sequences);
    const { config } = await openRun(path(trained));
    expect(loaded.prompt).toEqual(tokenizer.encode(formatOf(config).prompt('', '')));
    expect(loaded.prompt).toContain(tokenizer.placeholderIds.multi);
    const { entries } = await openSafetensors(`${output}/affectgpt.safetensors`);
    const shapes = Object.fromEntries([...entries].map(([name, { shape }]) => [name, shape]));
    expect(loaded.fusion).toEqual(shapes);
    return { loaded, expected: await engineScores(trained, sequences), scores: await readFloats(out) };
  }

  it('is loaded by transformers and by peft, and gives the scores of the engine', async () => {
    const { loaded, expected, scores } = await load('run', path('models', 'llm'));
    expect(loaded).toMatchObject({ dtype: 'torch.float32', tied: false });
    const [merged, adapter, byItself] = [0, 1, 2].map((i) =>
      scores.slice(i * expected.length, (i + 1) * expected.length),
    );
    console.info(
      `largest difference of a score: merged ${maxAbsDifference(merged!, expected)}, adapter ${maxAbsDifference(adapter!, expected)}`,
    );
    expect(scores).toHaveLength(3 * expected.length);
    expect(maxAbsDifference(merged!, expected)).toBeLessThanOrEqual(1e-4);
    expect(maxAbsDifference(adapter!, expected)).toBeLessThanOrEqual(1e-4);
    expect(byItself).toEqual(adapter);
    expect(Math.max(...expected)).toBeGreaterThan(1);
  });

  it('is loaded in bfloat16, and with a tied decoder that was trained as a whole', async () => {
    const rounded = await load('run', path('models', 'llm'), 'bfloat16');
    expect(rounded.loaded.dtype).toBe('torch.bfloat16');
    const merged = rounded.scores.slice(0, rounded.expected.length);
    expect(maxAbsDifference(merged, rounded.expected)).toBeGreaterThan(1e-3);

    const base = path('models', 'llm');
    const config = JSON.parse(await readFile(`${base}/config.json`, 'utf8')) as object;
    await writeFile(`${base}/config.json`, JSON.stringify({ ...config, tie_word_embeddings: true }));
    await train('full', { 'train.steps': 3, 'train.parts.decoder': 'full' });
    const { loaded, expected, scores } = await load('full', base);
    await writeFile(`${base}/config.json`, JSON.stringify(config));
    expect(loaded.tied).toBe(true);
    expect(scores).toHaveLength(expected.length);
    expect(maxAbsDifference(scores, expected)).toBeLessThanOrEqual(1e-4);
  });
});

describe.skipIf('missing' in onnx)('export onnx', () => {
  const exportRun = async (output: string, ...more: string[]): Promise<string> => {
    await succeed(
      'export',
      'onnx',
      ...['--checkpoint', path('run'), '--output', path(output), '--parity-samples', '1', ...more],
    );
    return path(output);
  };
  const question = 'Please recognize all possible emotional states of the character.';

  it('is valid in the eyes of the checker of ONNX, in every precision', async () => {
    const short = ['--set', 'generation.maxNewTokens=1'];
    const folders = [
      await exportRun('exported'),
      await exportRun('kept', '--keep-adapter'),
      await exportRun('halves', '--precision', 'fp16', ...short),
      await exportRun('eight', '--precision', 'int8', ...short),
      await exportRun('four', '--precision', 'int4', ...short),
    ];
    const graphs: string[] = [];
    for (const folder of folders) {
      const manifest = await readExportManifest(folder);
      const { vision, audio, fusion, decoder } = manifest.graphs;
      graphs.push(...[vision, audio, fusion, decoder].map((graph) => `${folder}/${graph!.file}`));
    }
    expect(graphs).toHaveLength(20);
    expect(await python(onnx, 'check_onnx.py', ...graphs)).toEqual({});
  });

  it('is run by onnxruntime in Python, with the same scores and the answers of predict', async () => {
    const { rows, manifest } = workspace!;
    const answers = path('answers.jsonl');
    await succeed('predict', '--checkpoint', path('run'), '--data', manifest, '--output', answers);
    const predicted = await readLines(answers);
    const exported = await ExportedModel.open(path('exported'), { threads: 1 });
    const prompts = await Promise.all(rows.map((row) => promptOf(row)));
    const samples = await Promise.all(
      rows.map(async (row, i) => ({
        subtitle: prompts[i]!.subtitle,
        question,
        media: await writeMedia(row.name, prompts[i]!),
        out: path(`${row.name}.f32`),
      })),
    );
    await writeFile(path('request.json'), JSON.stringify(samples));
    const found = await python<{ promptIds: number[]; tokens: number[]; text: string }[]>(
      onnx,
      'run_onnx_export.py',
      ...[path('exported'), '--request', path('request.json')],
    );
    expect(found.map(({ text }) => text)).toEqual(predicted.map(({ text }) => text));
    expect(found.map(({ tokens }) => tokens.length)).toEqual(predicted.map(({ tokens }) => tokens));
    let largest = 0;
    for (const [i, prompt] of prompts.entries()) {
      const reading = await exported.start(prompt);
      const { promptIds, tokens } = found[i]!;
      expect(promptIds).toEqual(reading.promptIds);
      const scores = [...(await reading.read(reading.promptIds, 0))];
      for (const token of tokens.slice(0, -1)) scores.push(...(await reading.read([token], 0)));
      largest = Math.max(largest, maxAbsDifference(scores, await readFloats(samples[i]!.out)));
    }
    await exported.dispose();
    console.info(`largest difference of a score between onnxruntime in Python and in Node: ${largest}`);
    expect(largest).toBeLessThanOrEqual(1e-5);
  });

  async function promptOf({ name, subtitle }: Row): Promise<ExportedPrompt> {
    const video = path('clips', 'videos', `${name}.mp4`);
    const [frame, audio] = [await decodeFrames(video, 8), await decodeAudio(video)];
    return { subtitle: subtitle as string, question, frame, audio };
  }

  /** Pictures and sound as files that numpy reads. */
  async function writeMedia(name: string, { frame, audio }: ExportedPrompt) {
    const { data, count, height, width } = frame!;
    await writeFile(path(`${name}.u8`), data);
    await writeFile(
      path(`${name}.samples`),
      new Uint8Array(audio!.buffer, audio!.byteOffset, audio!.byteLength),
    );
    return {
      frame: { file: path(`${name}.u8`), dtype: 'uint8', shape: [count, height, width, 3] },
      audio: { file: path(`${name}.samples`), dtype: '<f4', shape: [audio!.length] },
    };
  }
});
