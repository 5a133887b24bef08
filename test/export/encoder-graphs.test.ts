import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { audioClips } from '../../src/data/media/audio.ts';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import { readOnnxOutline } from '../../src/engine/onnxruntime/model-outline.ts';
import { audioGraph } from '../../src/export/graphs/audio.ts';
import type { ExportGraph } from '../../src/export/graphs/model-graph.ts';
import { visionGraph } from '../../src/export/graphs/vision.ts';
import { precisionRules } from '../../src/export/precision.ts';
import { exportWeights } from '../../src/export/weights.ts';
import { writeGraph } from '../../src/export/write-graph.ts';
import { Random } from '../../src/quickstart/random.ts';
import { encoderFunction } from '../../src/runtime/encoders/built-in.ts';
import { openEncoder, type PretrainedEncoder } from '../../src/runtime/pretrained.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const random = new Random(1, 'encoder graphs');
const engine = new OnnxruntimeEngine({ threads: 1 });

const folder = folderForFile();

async function written(
  graph: ExportGraph,
): Promise<(feeds: Record<string, ort.Tensor>) => Promise<ort.Tensor>> {
  await writeGraph(folder, graph, precisionRules.int8.opset);
  const file = join(folder, `${graph.name}.onnx`);
  expect(readOnnxOutline(file).dataFiles).toEqual([`${file}.data`]);
  const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  return async (feeds) => (await session.run(feeds)).features!;
}

async function engineFeatures(pretrained: PretrainedEncoder, inputs: object): Promise<Float32Array> {
  const { fn, options } = encoderFunction(pretrained);
  const compiled = await engine.compile(fn, options);
  const { features } = await compiled.run(inputs as Parameters<typeof compiled.run>[0]);
  await compiled.dispose();
  return features!.data as Float32Array;
}

const difference = (a: ort.Tensor, b: Float32Array): number => {
  expect(a.data).toHaveLength(b.length);
  return Math.max(...(a.data as Float32Array).map((value, i) => Math.abs(value - b[i]!)));
};

describe('exported encoders', () => {
  it.each([
    ['clip', 'clip_vision'],
    ['siglip', 'siglip_vision'],
    ['dinov2', 'dinov2'],
  ])('%s sees frames as in training', async (type, name) => {
    const pretrained = await openEncoder(type, fixture(name), 'visual');
    const data = Uint8Array.from({ length: 3 * 70 * 60 * 3 }, () => Math.floor(random.uniform() * 256));
    const frames = { data, count: 3, height: 70, width: 60 };
    const expected = await engineFeatures(pretrained, pretrained.encoder.preprocess(frames));
    const weights = exportWeights(pretrained.weights);
    const feeds = { frames: new ort.Tensor('uint8', data, [3, 70, 60, 3]) };
    const run = await written(visionGraph(pretrained, weights));
    expect(difference(await run(feeds), expected)).toBeLessThan(1e-5);
    const small = await written(precisionRules.int8.pass(visionGraph(pretrained, weights)));
    const change = difference(await small(feeds), expected);
    expect(change).toBeGreaterThan(1e-5);
    expect(change).toBeLessThan(0.1 * Math.max(...expected.map(Math.abs)));
  });

  it.each([
    ['hubert', 'hubert'],
    ['wavlm', 'wavlm'],
    ['data2vec', 'data2vec_audio'],
  ])('%s hears samples as in training', async (type, name) => {
    const pretrained = await openEncoder(type, fixture(name), 'audio');
    const samples = Float32Array.from(
      { length: 50_001 },
      (_, i) => 0.3 * Math.sin(i / 20) + random.normal(0, 0.05),
    );
    const policy = { meanRemoval: true, normalisation: 'sample', clipsPerSample: 8 } as const;
    const clips = { data: audioClips(samples, 'div7'), count: 8, samples: 32_000 };
    const expected = await engineFeatures(pretrained, pretrained.encoder.preprocess(clips, policy));
    const graph = audioGraph(pretrained, exportWeights(pretrained.weights), { tail: 'div7', policy });
    const run = await written(graph);
    const feeds = { samples: new ort.Tensor('float32', samples, [samples.length]) };
    expect(difference(await run(feeds), expected)).toBeLessThan(1e-5);
  });

  it('keep their weights beside the graph, each at a multiple of 64 bytes', async () => {
    const pretrained = await openEncoder('clip', fixture('clip_vision'), 'visual');
    const graph = visionGraph(pretrained, exportWeights(pretrained.weights));
    expect(await writeGraph(folder, graph, 20)).toEqual(['vision.onnx', 'vision.onnx.data']);
    const weights = graph.initializers.filter(({ data }) => !(data instanceof Uint8Array));
    const { size } = await stat(join(folder, 'vision.onnx.data'));
    const bytes = weights.map(({ shape }) => 4 * shape.reduce((a, b) => a * b, 1));
    const padded = bytes.map((length) => Math.ceil(length / 64) * 64).reduce((a, b) => a + b);
    expect(size).toBeGreaterThanOrEqual(padded - 63);
    expect(graph.nodes.every(({ domain }) => domain === undefined)).toBe(true);
  });
});
