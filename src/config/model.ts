import { z } from 'zod';
import { count, text } from './values.ts';

/**
 * The published `face_or_frame` modes: which modalities a prompt names, and in which order. Those that begin with
 * `multi` carry the pre-fused vector.
 */
const INPUT_MODES = [
  'multiface_audio_face_text',
  'multiframe_audio_frame_text',
  'multiface_audio_face_frame_text',
  'multiface_text',
  'face',
  'frame',
  'faceframe',
  'audioonly',
  'textonly',
  'faceonly',
  'frameonly',
  'audio_text',
  'face_text',
  'frame_text',
] as const;
/** A value of `model.inputs`. */
export type InputMode = (typeof INPUT_MODES)[number];

/** Kinds of encoders that users bring themselves; see docs/own-encoders.md. */
const OWN_ENCODERS = ['onnx', 'transformers'] as const;
const ownEncoders =
  '`onnx` (an ONNX file with a YAML description), `transformers` (a model in the layout of transformers.js), see `docs/own-encoders.md`';
const encoderModel =
  'Weights of the encoder: Hugging Face id or folder. With `onnx` the YAML description, which `transformers` takes too.';

/** What the model is made of and what it is given. */
export const modelSchema = z.strictObject({
  llm: text()
    .default('Qwen/Qwen2.5-7B-Instruct')
    .describe(
      'Language model that answers: Hugging Face id or folder. Its tokenizer is taken from there too.',
    ),
  visualEncoder: z
    .strictObject({
      type: z
        .enum(['clip', 'dinov2', 'siglip', ...OWN_ENCODERS])
        .default('clip')
        .describe(
          `Architecture: \`clip\` (vision tower, projected), \`dinov2\` (mean over all tokens of the last layer), \`siglip\` (mean over the patches of the last layer); or an encoder of your own: ${ownEncoders}.`,
        ),
      model: text().default('openai/clip-vit-large-patch14').describe(encoderModel),
    })
    .prefault({})
    .describe('Frozen encoder of faces and frames.'),
  audioEncoder: z
    .strictObject({
      type: z
        .enum(['hubert', 'wavlm', 'data2vec', ...OWN_ENCODERS])
        .default('hubert')
        .describe(
          `Architecture: \`hubert\`, \`wavlm\` or \`data2vec\` (data2vec-audio), of each the mean of the last four layers; or an encoder of your own: ${ownEncoders}.`,
        ),
      model: text().default('TencentGameMate/chinese-hubert-large').describe(encoderModel),
    })
    .prefault({})
    .describe('Frozen encoder of sound.'),
  inputs: z
    .enum(INPUT_MODES)
    .default('multiface_audio_face_text')
    .describe('Which modalities the model is given, as the published `face_or_frame` modes name them.'),
  frames: count()
    .max(256)
    .default(8)
    .describe('Frames or face crops taken per video, evenly spaced. More cost encoder time only.'),
  maxLength: count()
    .default(1024)
    .describe(
      'Longest training sequence in tokens, prompt and answer together. A longer one is a bad sample (`data.onBadSample`).',
    ),
});

const pooling = (what: string) =>
  z
    .enum(['attention', 'mean', 'qformer'])
    .default('attention')
    .describe(
      `How the ${what} become one representation: \`attention\` (learned weights, no softmax), \`mean\`, or \`qformer\` (learned queries).`,
    );

/** How modalities become tokens. */
export const fusionSchema = z.strictObject({
  multi: z
    .enum(['attention', 'qformer', 'none'])
    .default('attention')
    .describe(
      'Pre-fusion of vision and sound before the language model: `attention` (two learned weights), `qformer`, or `none`. The inputs that begin with `multi` need one.',
    ),
  video: pooling('frames or faces of a video'),
  audio: pooling('eight clips of a sound track'),
  queryTokens: z
    .strictObject({
      multi: count()
        .default(1)
        .describe('For pre-fusion; not used with `none`. The published code suggests 16 for `qformer`.'),
      video: count()
        .default(1)
        .describe('For faces, and for frames. The published code suggests 32 for `qformer`.'),
      audio: count().default(1).describe('For sound. The published code suggests 8 for `qformer`.'),
    })
    .prefault({})
    .describe(
      'Tokens that stand for each modality in the prompt. `qformer` learns that many queries; the others repeat one vector.',
    ),
});

/** The seven linear layers of a Qwen2 block that can carry an adapter. */
const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

/** Low-rank adapters of the language model. */
export const loraSchema = z.strictObject({
  rank: count().default(16).describe('Rank of the adapters. Trainable numbers grow in proportion.'),
  alpha: z.number().positive().default(32).describe('Scale: the adapter is added times alpha / rank.'),
  dropout: z.number().min(0).lt(1).default(0.05).describe('Fraction of adapter inputs dropped in training.'),
  targets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .refine((targets) => new Set(targets).size === targets.length, 'a projection is named twice')
    .default([...LORA_TARGETS])
    .describe('Linear layers of every decoder block that carry an adapter.'),
});
