import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Encoder,
  type Frames,
  selectEncoderTensors,
  type WaveformPolicy,
} from '../../encoders/encoder.ts';
import { createEncoder } from '../../encoders/registry.ts';
import { audioClips, meanOfChannels } from '../../src/data/media/audio.ts';
import { frameIndices } from '../../src/data/media/frames.ts';
import { resizeBilinear } from '../../src/data/media/resize.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { CompiledFunction, HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import {
  below,
  expectReference,
  readReferenceFacts,
  readReferenceTensors,
} from '../support/affectgpt-reference.ts';
import { toTensor } from '../support/fixture.ts';

let raw: HostTensorMap;
let clip: { encoder: Encoder; compiled: CompiledFunction };
let hubert: { encoder: Encoder; compiled: CompiledFunction };

/** The processor of the published CLIP ViT-L/14. */
const clipPreprocessor = {
  size: 224,
  crop_size: 224,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};
/** What the published inference does. */
const published: WaveformPolicy = { meanRemoval: true, normalisation: 'sample', clipsPerSample: 8 };

async function load(type: string, config: object, preprocessor: object) {
  const encoder = createEncoder(type, { config, preprocessor });
  const weights = selectEncoderTensors(encoder, new Map(Object.entries(below(raw, `${type}/`))));
  const engine = await createEngine({ type: 'onnxruntime' });
  const compiled = await engine.compile(
    (tensors) => ({
      outputs: { features: encoder.forward(new Parameters(tensors.weights), tensors.inputs).features },
    }),
    { name: type, inputs: encoder.inputs, weights },
  );
  return { encoder, compiled };
}

beforeAll(async () => {
  const facts = await readReferenceFacts();
  raw = await readReferenceTensors('raw.safetensors');
  const { clip_vision: vision, hubert: hubertConfig } = facts.tiny_model_configs;
  clip = await load('clip', vision, clipPreprocessor);
  hubert = await load('hubert', hubertConfig, { do_normalize: true, sampling_rate: 16_000 });
});

afterAll(async () => {
  await clip.compiled.dispose();
  await hubert.compiled.dispose();
});

async function encodeFrames(frames: Frames): Promise<HostTensor> {
  if (clip.encoder.modality !== 'visual') throw new Error('CLIP sees');
  return (await clip.compiled.run(clip.encoder.preprocess(frames))).features!;
}

/** The clips of stored 16-bit waves, one sample after the other. */
function clipsOf(waves: readonly number[]): Float32Array {
  return Float32Array.from(
    waves.flatMap((wave) => {
      const { data, shape } = raw[`wave_int16_${wave}`] as HostTensor;
      const [channels, samples] = shape as [number, number];
      const interleaved = Float32Array.from({ length: channels * samples }, (_, i) => {
        return data[(i % channels) * samples + Math.floor(i / channels)]! / 32_768;
      });
      return Array.from(audioClips(meanOfChannels(interleaved, channels), 'div8'));
    }),
  );
}

async function encodeWaves(waves: readonly number[], policy: WaveformPolicy): Promise<HostTensor> {
  if (hubert.encoder.modality !== 'audio') throw new Error('HuBERT hears');
  const waveforms = { data: clipsOf(waves), count: waves.length * 8, samples: 32_000 };
  return (await hubert.compiled.run(hubert.encoder.preprocess(waveforms, policy))).features!;
}

const expectFeatures = (name: string, features: HostTensor): void =>
  expectReference(name, toTensor(features), raw[`out/${name}`]!);

describe('features of raw media, compiled, agree with the published code', () => {
  it('frames', async () => {
    const { data, shape } = raw.frames_uint8 as HostTensor;
    const frames = { data: data as Uint8Array, count: shape[0]!, height: 224, width: 224 };
    expectFeatures('clip_frames', await encodeFrames(frames));
  });

  it.each([0, 1])('face crops %i, in the colour order of the file', async (file) => {
    const { data, shape } = raw[`face_npy_${file}`] as HostTensor;
    const [count, height, width] = shape as [number, number, number, number];
    const size = height * width * 3;
    const chosen = frameIndices(count, 8).flatMap((i) => Array.from(data.subarray(i * size, (i + 1) * size)));
    const crops = { data: Uint8Array.from(chosen), count: 8, height, width };
    expectFeatures(`clip_face_${file}`, await encodeFrames(resizeBilinear(crops, 224, 224)));
  });

  it.each(['hubert_0', 'hubert_1', 'hubert_2_stereo'])('the wave %s', async (name) => {
    const wave = Number(name.split('_')[1]);
    expectFeatures(name, await encodeWaves([wave], published));
  });

  it('waves normalised together, as the published training does', async () => {
    const policy = { ...published, normalisation: 'batch' } as const;
    expectFeatures('hubert_batch01', await encodeWaves([0, 1], policy));
    expectFeatures('hubert_batch210', await encodeWaves([2, 1, 0], policy));
    const apart = await encodeWaves([0, 1], published);
    expect(() => expectFeatures('hubert_batch01', apart)).toThrow();
  });
});
