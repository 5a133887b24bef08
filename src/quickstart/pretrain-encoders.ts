import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { AudioEncoder, Encoder, VisualEncoder } from '../../encoders/encoder.ts';
import { hubertForward } from '../../encoders/hubert.ts';
import { parseHubertConfig } from '../../encoders/hubert-config.ts';
import { createEncoder } from '../../encoders/registry.ts';
import { clipSamples } from '../../encoders/waveform-preprocessing.ts';
import { linear } from '../../lora/linear.ts';
import { Parameters } from '../engine/parameters.ts';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine, HostTensor, HostTensorMap } from '../engine/types.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { type SafetensorsTensor, writeSafetensors } from '../io/safetensors.ts';
import { startVisualTower } from './encoder-start.ts';
import { FACE_ACTIONS } from './face.ts';
import { drawFaceExamples, drawVoiceExample, type FaceExample, VOICE_TARGETS } from './pretext.ts';
import { pretrain } from './pretrain.ts';
import { Random } from './random.ts';
import { SAMPLE_RATE, type VoiceTracks } from './voice.ts';

/** A CLIP image tower small enough for two cores. */
export const visualFiles = {
  config: {
    model_type: 'clip_vision_model',
    hidden_size: 96,
    intermediate_size: 384,
    projection_dim: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_channels: 3,
    image_size: 112,
    patch_size: 28,
    hidden_act: 'quick_gelu',
    layer_norm_eps: 1e-5,
  },
  preprocessor: {
    do_resize: true,
    size: 112,
    do_center_crop: true,
    crop_size: 112,
    do_normalize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  },
};

/** A HuBERT of the large kind (norms before the blocks, normed convolutions), likewise. */
export const audioFiles = {
  config: {
    model_type: 'hubert',
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-5,
    feat_extract_norm: 'layer',
    feat_extract_activation: 'gelu',
    feat_proj_layer_norm: true,
    conv_dim: [48, 48, 48],
    conv_kernel: [40, 8, 8],
    conv_stride: [20, 4, 4],
    conv_bias: true,
    num_conv_pos_embeddings: 16,
    num_conv_pos_embedding_groups: 4,
    do_stable_layer_norm: true,
  },
  preprocessor: {
    do_normalize: true,
    feature_size: 1,
    sampling_rate: 16000,
    padding_value: 0,
    return_attention_mask: true,
  },
};

/** Writes an encoder in Hugging Face layout. */
async function writeEncoder(
  folder: string,
  files: object,
  encoder: Encoder,
  tensors: HostTensorMap,
): Promise<void> {
  const { config, preprocessor } = files as { config: unknown; preprocessor: unknown };
  const stored = Object.fromEntries(
    Object.keys(encoder.tensorShapes).map((name): [string, SafetensorsTensor] => {
      const { shape, data } = tensors[name]!;
      return [name, { dtype: 'F32', shape, data: data as Float32Array }];
    }),
  );
  await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  await writeFileAtomic(
    join(folder, 'preprocessor_config.json'),
    `${JSON.stringify(preprocessor, null, 2)}\n`,
  );
  await writeSafetensors(join(folder, 'model.safetensors'), stored, { format: 'pt' });
}

/** A linear head that reads the pretext targets off the features; thrown away afterwards. */
function head(name: string, size: number, targets: number, seed: number): HostTensorMap {
  const data = new RandomGenerator(seed).split(name).normalFloat32(size * targets, 0, size ** -0.5);
  return {
    [`${name}.weight`]: { dtype: 'float32', shape: [targets, size], data },
    [`${name}.bias`]: { dtype: 'float32', shape: [targets], data: new Float32Array(targets) },
  };
}

/** Sum over the batch of the mean squared error of the targets. */
const squaredError = (predicted: tf.Tensor, targets: tf.Tensor): tf.Scalar =>
  tf.sum(tf.mean(tf.square(tf.sub(predicted, targets)), -1)) as tf.Scalar;

/** New faces of a batch, and how many of the last ones may come again. */
const freshFaces = 24;
const recentFaces = 1000;

export interface EncoderPretraining {
  readonly engine: Engine;
  readonly seed: number;
  readonly steps: number;
  readonly batch: number;
  readonly onStep?: (step: number, loss: number) => void;
}

/**
 * Teaches a small image tower to see: brows, eyes, mouth and head of random faces whose actions are drawn
 * independently of each other and of any emotion.
 */
export async function pretrainVisualEncoder(folder: string, options: EncoderPretraining): Promise<void> {
  const { engine, seed, steps, batch, onStep } = options;
  const encoder = createEncoder('clip', visualFiles) as VisualEncoder;
  const random = new Random(seed, 'pretext faces');
  const size = visualFiles.config.image_size;
  const recent: FaceExample[] = [];
  const targets = FACE_ACTIONS.length;
  const trained = await pretrain({
    name: 'pretrain.visual',
    engine,
    initial: {
      ...startVisualTower(encoder.init(seed)),
      ...head('pretext', encoder.outputDimension, targets, seed),
    },
    inputs: { ...encoder.inputs, targets: { dtype: 'float32', shape: ['images', targets] } },
    lossSum: ({ inputs, parameters }) => {
      const all = new Parameters(parameters);
      return squaredError(linear(all.at('pretext'), encoder.forward(all, inputs).features), inputs.targets!);
    },
    steps,
    learningRate: 3e-3,
    weightDecay: 0.02,
    ...(onStep && { onStep }),
    batch: (step) => {
      const data = new Uint8Array(batch * size * size * 3);
      const values = new Float32Array(batch * targets);
      // Centred, upright heads first; pictures as hard as the clips' by two thirds of the way.
      const hardest = Math.min(1.2, 0.2 + (1.2 * step) / steps);
      const difficulty = () => Math.min(1, random.uniform(0.5 * hardest, hardest));
      const fresh = drawFaceExamples(random, step === 1 ? batch : freshFaces, size, difficulty);
      // Drawing costs as much as learning: most faces of a batch are met a second or third time.
      const known = Array.from({ length: batch - fresh.length }, () => random.pick(recent));
      recent.push(...fresh);
      if (recent.length > recentFaces) recent.splice(0, recent.length - recentFaces);
      [...fresh, ...known].forEach((example, image) => {
        data.set(example.pixels, image * size * size * 3);
        values.set(example.targets, image * targets);
      });
      const frames = { data, count: batch, height: size, width: size };
      const target: HostTensor = { dtype: 'float32', shape: [batch, targets], data: values };
      return { inputs: { ...encoder.preprocess(frames), targets: target }, count: batch };
    },
  });
  await writeEncoder(folder, visualFiles, encoder, trained);
}

/** Features of two seconds: what the convolutions leave of the samples. */
const trackFrames = audioFiles.config.conv_kernel.reduce(
  (length, kernel, i) => Math.floor((length - kernel) / audioFiles.config.conv_stride[i]!) + 1,
  clipSamples,
);
/** Pitch where voiced, whether voiced, level. */
const trackTargets = 3;

/** Pitch (about -1..1, 0 where unvoiced), voicing and level of every 20 ms, row after row. */
function trackRows({ pitch, voiced, level }: VoiceTracks): Float32Array {
  const rows = new Float32Array(trackFrames * trackTargets);
  for (let frame = 0; frame < trackFrames; frame++) {
    const isVoiced = voiced[frame]!;
    rows.set(
      [isVoiced * ((pitch[frame]! - 17) / 8), isVoiced, (level[frame]! + 25) / 25],
      frame * trackTargets,
    );
  }
  return rows;
}

/**
 * Teaches a small speech encoder to hear: pitch, melody, loudness, tempo, tremor and breathiness of random voices
 * that speak in ways drawn independently of any emotion, and from moment to moment their pitch, voicing and level.
 */
export async function pretrainAudioEncoder(folder: string, options: EncoderPretraining): Promise<void> {
  const { engine, seed, steps, batch, onStep } = options;
  const encoder = createEncoder('hubert', audioFiles) as AudioEncoder;
  const config = parseHubertConfig(audioFiles.config);
  const random = new Random(seed, 'pretext voices');
  const targets = VOICE_TARGETS.length;
  const size = encoder.outputDimension;
  const trained = await pretrain({
    name: 'pretrain.audio',
    engine,
    initial: {
      ...encoder.init(seed),
      ...head('pretext', size, targets, seed),
      ...head('pretext_tracks', size, trackTargets, seed),
    },
    inputs: {
      ...encoder.inputs,
      targets: { dtype: 'float32', shape: ['clips', targets] },
      tracks: { dtype: 'float32', shape: ['clips', trackFrames * trackTargets] },
    },
    lossSum: ({ inputs, parameters }) => {
      const all = new Parameters(parameters);
      const { hiddenStates } = hubertForward(config, all, inputs.inputValues!).intermediates;
      const clips = inputs.inputValues!.shape[0]!;
      const frames = tf.mul(tf.addN((hiddenStates as tf.Tensor[]).slice(-4)), 0.25);
      const rows = linear(all.at('pretext_tracks'), tf.reshape(frames, [clips * trackFrames, size]));
      const heard = squaredError(linear(all.at('pretext'), tf.mean(frames, 1)), inputs.targets!);
      return tf.add(heard, squaredError(tf.reshape(rows, inputs.tracks!.shape), inputs.tracks!)) as tf.Scalar;
    },
    steps,
    learningRate: 2e-3,
    weightDecay: 0.01,
    ...(onStep && { onStep }),
    batch: () => {
      const data = new Float32Array(batch * clipSamples);
      const values = new Float32Array(batch * targets);
      const tracks = new Float32Array(batch * trackFrames * trackTargets);
      for (let clip = 0; clip < batch; clip++) {
        const example = drawVoiceExample(random, clipSamples / SAMPLE_RATE);
        data.set(example.wave.subarray(0, clipSamples), clip * clipSamples);
        values.set(example.targets, clip * targets);
        tracks.set(trackRows(example.tracks), clip * trackFrames * trackTargets);
      }
      const policy = { meanRemoval: false, normalisation: 'clip', clipsPerSample: 1 } as const;
      const host = (content: Float32Array): HostTensor => ({
        dtype: 'float32',
        shape: [batch, content.length / batch],
        data: content,
      });
      const heard = encoder.preprocess({ data, count: batch, samples: clipSamples }, policy);
      return { inputs: { ...heard, targets: host(values), tracks: host(tracks) }, count: batch };
    },
  });
  await writeEncoder(folder, audioFiles, encoder, trained);
}
