import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Frames, WaveformPolicy } from '../../encoders/encoder.ts';
import { createEngine } from '../../src/engine/engines.ts';
import type { OnnxGraph, OnnxNode, OnnxType } from '../../src/engine/onnxruntime/model-file.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { encoderSource } from '../../src/runtime/encoders/encoder-source.ts';
import type { EncoderInputs, Modality, OpenEncoder } from '../../src/runtime/encoders/open-encoder.ts';
import { wantedFiles } from '../../src/runtime/model-folder.ts';
import { place, writeOnnx } from './onnx-encoders.ts';

export const policy: WaveformPolicy = { meanRemoval: true, normalisation: 'sample', clipsPerSample: 8 };

const engine = await createEngine({ type: 'onnxruntime', threads: 1 });

/** Opens an encoder as a configuration names it; models of the hub are none. */
export async function openOwn<M extends Modality>(
  modality: M,
  type: string,
  model: string,
): Promise<OpenEncoder<EncoderInputs[M]>> {
  const source = await encoderSource(modality, { type, model });
  return source.open(source.model === undefined ? undefined : wantedFiles(source.model).name);
}

export const start = <Input>(opened: OpenEncoder<Input>, how: WaveformPolicy = policy) =>
  opened.start({ engine, threads: 1, policy: how });

/** Features of one input, and what is told of the encoder. */
export async function encode<M extends Modality>(
  modality: M,
  type: string,
  model: string,
  input: EncoderInputs[M],
  how: WaveformPolicy = policy,
): Promise<{ opened: OpenEncoder<EncoderInputs[M]>; identity: unknown; features: HostTensor }> {
  const opened = await openOwn(modality, type, model);
  const running = start(opened, how);
  try {
    return { opened, identity: running.identity, features: await running.encode(input) };
  } finally {
    await running.dispose();
  }
}

/** Images of 4 x 4 pixels as they are, 0 to 255: features that can be told by hand. */
export const asTheyAre = {
  size: 4,
  rescale_factor: 1,
  image_mean: [0, 0, 0],
  image_std: [1, 1, 1],
};
export const tiny: Frames = {
  data: Uint8Array.from({ length: 10 * 48 }, (_, i) => (i * 7) % 256),
  ...{ count: 10, height: 4, width: 4 },
};
/** Bytes of a frame in the order `[3, 4, 4]`. */
export const planes = (frame: number): number[] =>
  Array.from({ length: 48 }, (_, i) => tiny.data[frame * 48 + (i % 16) * 3 + Math.floor(i / 16)]!);

interface TinyModel {
  readonly batch?: number | string;
  readonly type?: OnnxType;
  readonly input?: readonly (number | string)[];
  readonly output?: readonly (number | string)[];
  readonly nodes?: readonly OnnxNode[];
  readonly initializers?: OnnxGraph['initializers'];
  readonly more?: OnnxGraph['inputs'];
}

/** A model that gives the numbers of an image back as one vector, unless told otherwise. */
export const tinyModel = ({ batch = 'n', type = 'float32', ...parts }: TinyModel = {}): OnnxGraph => ({
  name: 'tiny',
  nodes: parts.nodes ?? [{ op: 'Flatten', inputs: ['pixels'], outputs: ['vector'], attributes: { axis: 1 } }],
  initializers: parts.initializers ?? [],
  inputs: [{ name: 'pixels', type, shape: parts.input ?? [batch, 3, 4, 4] }, ...(parts.more ?? [])],
  outputs: [{ name: 'vector', type, shape: parts.output ?? [batch, 48] }],
});

export const int64 = (name: string, values: number[]) => ({
  ...{ name, type: 'int64' as const, shape: [values.length] },
  data: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
});
/** `[n, 3, 4, 4]` as three tokens of 16 numbers. */
export const tokens = {
  nodes: [{ op: 'Reshape', inputs: ['pixels', 'shape'], outputs: ['vector'] }],
  initializers: [int64('shape', [0, 3, 16])],
  output: ['n', 3, 16],
};

const description = {
  modality: 'visual',
  file: 'tiny.onnx',
  input: { name: 'pixels' },
  preprocessing: asTheyAre,
  output: { name: 'vector', pooling: 'none' },
};

/** Writes a model and its description into a new folder below `folder`. */
export async function describeModel(folder: string, model: OnnxGraph, changes: object = {}): Promise<string> {
  const own = await mkdtemp(join(folder, 'model-'));
  await writeOnnx(join(own, 'tiny.onnx'), model);
  return place(join(own, 'encoder.yaml'), stringify({ ...description, ...changes }));
}
