import { z } from 'zod';
import { badNumbersSchema } from './bad-numbers.ts';
import { checkpointSchema } from './checkpoint.ts';
import { compatSchema } from './compat.ts';
import { engineSchema } from './engine.ts';
import { evaluationSchema } from './evaluation.ts';
import { mmlaSchema } from './mmla.ts';
import { checkRules } from './rules.ts';
import { scheduleSchema } from './schedule.ts';
import { templateSchema } from './template.ts';
import { validationSchema } from './validation.ts';

/**
 * The published `face_or_frame` modes: which modalities a prompt names, and in which order. Those that begin with
 * `multi` carry the pre-fused vector.
 */
export const INPUT_MODES = [
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

/**
 * The published kinds of question and answer; `hybird` (published spelling) draws one of those a sample has; `own` takes
 * what each sample brings itself.
 */
export const LABEL_TYPES = [
  'hybird',
  'description',
  'ovlabel',
  'onehot_w_candidates',
  'onehot_wo_candidates',
  'sentiment',
  'valence',
  'own',
] as const;

/** The seven linear layers of a Qwen2 block that can carry an adapter. */
export const LORA_TARGETS = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;

/** Not `z.int()`, which ends validation at once: the rules between keys would not be checked then. */
const whole = () => z.number().multipleOf(1);
const count = () => whole().min(1);
const text = () => z.string().min(1);
const pooling = (what: string) =>
  z
    .enum(['attention', 'mean', 'qformer'])
    .default('attention')
    .describe(
      `How the ${what} become one representation: \`attention\` (learned weights, no softmax), \`mean\`, or \`qformer\` (learned queries).`,
    );

/** Kinds of encoders that users bring themselves; see docs/own-encoders.md. */
export const OWN_ENCODERS = ['onnx', 'transformers'] as const;
const ownEncoders =
  '`onnx` (an ONNX file with a YAML description), `transformers` (a model in the layout of transformers.js), see `docs/own-encoders.md`';
const encoderModel =
  'Weights of the encoder: Hugging Face id or folder. With `onnx` the YAML description, which `transformers` takes too.';

const model = z.strictObject({
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

const fusion = z.strictObject({
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

const lora = z.strictObject({
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

const data = z.strictObject({
  dataset: text()
    .nullable()
    .default(null)
    .describe(
      'Key of a published data set in the registry, such as `mercaptionplus`. Give this or `manifest`; the one given last replaces an inherited other.',
    ),
  manifest: text()
    .nullable()
    .default(null)
    .describe(
      'Own clips: a `.jsonl` or `.csv` file with a row a sample, paths inside relative to it. Give this or `dataset`.',
    ),
  root: text()
    .default('./dataset')
    .describe('Folder that holds the folders of the published data sets; used with `dataset`.'),
  trainSplit: text()
    .nullable()
    .default('train')
    .describe(
      'Samples whose `split` is this word, or that have none, are trained on; all others are held out. `null` trains on every sample.',
    ),
  labelType: z
    .enum(LABEL_TYPES)
    .default('hybird')
    .describe(
      'What the model learns to answer. `hybird` (published spelling) draws a kind that the sample has, anew each time it is seen; `own` asks the question and teaches the answer that each sample brings (`question` and `answer` of a manifest).',
    ),
  template: templateSchema
    .nullable()
    .default(null)
    .describe(
      'Own wording of prompt and answer, for training, prediction and evaluation alike. `null` takes the published prompts.',
    ),
  mmla: mmlaSchema
    .nullable()
    .default(null)
    .describe(
      'What is taken of MMLA, with `dataset: mmla` alone. `null` takes all that the section would take without keys.',
    ),
  faces: z
    .strictObject({
      colorOrder: z
        .enum(['bgr', 'rgb'])
        .default('bgr')
        .describe('Colour order in the stored face crops (npy). The published crops are `bgr`.'),
    })
    .prefault({})
    .describe('Stored face crops.'),
  onBadSample: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe(
      'What a sample does that cannot be read or is too long: `fail` stops with its name and row, `skip` leaves it out and names every skipped sample. None is ever replaced by another.',
    ),
  badSampleLimit: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe(
      'Largest share of the training samples that `onBadSample: skip` may leave out, rounded up to whole samples; with more of them training does not start. 1 sets no limit.',
    ),
  decodeTimeout: z
    .number()
    .positive()
    .max(86_400)
    .default(120)
    .describe(
      'Seconds after which decoding one media file is given up; the file then is a bad sample (`onBadSample`).',
    ),
  featureCache: text()
    .nullable()
    .default('.cache/features')
    .describe(
      'Folder for the outputs of the frozen encoders, kept between runs under a key of all that determines them. `null` writes nothing and computes them again in every run.',
    ),
});

const trainedOrFrozen = z.enum(['train', 'frozen']).default('train');

const train = z.strictObject({
  steps: count()
    .default(300000)
    .describe(
      'Optimizer steps of the whole run. Not used where `epochs` is given: the number then follows from the data.',
    ),
  epochs: z
    .number()
    .positive()
    .max(100_000)
    .nullable()
    .default(null)
    .describe(
      'Length of the run in passes over the samples that are trained on, in place of `steps`: the optimizer steps of so many epochs, of a part of one that part of its steps, rounded up. `null` takes `steps`; of the two the one given last replaces an inherited other.',
    ),
  batchSize: count().default(3).describe('Samples computed together. Memory grows in proportion.'),
  accumulation: count()
    .default(1)
    .describe(
      'Batches whose gradients make one optimizer step; every supervised token of them weighs the same. `batchSize` x `accumulation` samples a step.',
    ),
  lengthGrouping: count()
    .nullable()
    .default(null)
    .describe(
      'Lets samples of like length meet, so that less is computed on padding: in windows of so many optimizer steps of the shuffled epoch (50 is usual) samples are sorted by length and divided into steps; all steps are then shuffled. A sample has the same loss beside any others, and every epoch still visits each once; which samples share a step, and so the course of training, changes. `null` leaves it to chance.',
    ),
  optimizer: z
    .strictObject({
      type: z.enum(['adamw']).default('adamw').describe('AdamW with decoupled weight decay.'),
      lr: z.number().positive().default(1e-5).describe('Learning rate, the highest of the schedule.'),
      betas: z
        .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
        .default([0.9, 0.999])
        .describe('Decay per step of the running means of gradient and squared gradient.'),
      eps: z.number().positive().default(1e-8).describe('Added to the root of the squared mean.'),
      weightDecay: z
        .number()
        .min(0)
        .default(0.05)
        .describe('Decay of tensors of two or more dimensions, times the learning rate, per step.'),
    })
    .prefault({})
    .describe('What turns gradients into new weights.'),
  schedule: scheduleSchema
    .default({ type: 'constant' })
    .describe('Learning rate over the run. A different `type` replaces an inherited schedule as a whole.'),
  clipNorm: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'Largest norm of the gradient over all trained tensors; a longer one is scaled down. `null` clips nothing.',
    ),
  parts: z
    .strictObject({
      decoder: z
        .enum(['frozen', 'lora', 'full'])
        .default('lora')
        .describe('The language model: `frozen`, adapters only (`lora`), or all of its weights (`full`).'),
      fusion: trainedOrFrozen.describe('Pre-fusion and pooling.'),
      projectors: trainedOrFrozen.describe('Linear maps into the language model.'),
    })
    .prefault({})
    .describe('What is trained. The encoders are always frozen.'),
  seed: whole()
    .min(0)
    .max(0xffffffff)
    .default(42)
    .describe('Decides initial weights, sample order, label draws and dropout.'),
  onBadNumbers: badNumbersSchema.prefault({}).describe('NaN and infinity in loss or gradient.'),
  checkpoint: checkpointSchema.prefault({}).describe('Checkpoints of the run.'),
  validation: validationSchema
    .nullable()
    .default(null)
    .describe(
      'Loss and answers on held-out samples while training, the best checkpoint and when to stop early. `null` validates nothing.',
    ),
  log: z
    .strictObject({
      every: count()
        .default(10)
        .describe('Optimizer steps between two lines of `metrics.jsonl` and of progress.'),
    })
    .prefault({})
    .describe('Progress of the run.'),
});

const generation = z.strictObject({
  maxNewTokens: count().default(1200).describe('Longest answer in tokens.'),
  temperature: z
    .number()
    .min(0)
    .default(0)
    .describe(
      '0 always takes the most likely token (greedy); above 0 tokens are drawn, the more evenly the higher.',
    ),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(0.9)
    .describe('Where tokens are drawn: only the most likely ones that together reach this probability.'),
  topK: count()
    .nullable()
    .default(20)
    .describe('Where tokens are drawn: only this many of the most likely. `null` takes all.'),
  seed: whole().min(0).max(0xffffffff).default(42).describe('Decides the draws.'),
});

/** The whole configuration of an experiment. Unknown keys are errors; defaults are the published ones. */
export const configSchema = z
  .strictObject({
    model: model.prefault({}).describe('What the model is made of and what it is given.'),
    fusion: fusion.prefault({}).describe('How modalities become tokens.'),
    lora: lora
      .prefault({})
      .describe('Low-rank adapters of the language model; used where `train.parts.decoder` is `lora`.'),
    data: data.prefault({}).describe('What is learnt from. Paths are relative to the working folder.'),
    train: train.prefault({}).describe('How it is learnt.'),
    engine: engineSchema.prefault({}).describe('What computes.'),
    compat: compatSchema
      .prefault('fixed')
      .describe(
        'Quirks of the published code that change numbers: `reference` (all as published; what the configurations of published rows set), `fixed` (all as one would want them), or a map of switches, which changes those named.',
      ),
    generation: generation
      .prefault({})
      .describe('How answers are generated, where the command line does not say.'),
    evaluation: evaluationSchema
      .nullable()
      .default(null)
      .describe(
        'What `affectgpt train` scores after the last step: of each sample the label whose answer is the most likely. `null` scores nothing; `affectgpt eval choices` does so later.',
      ),
    output: text().describe('Folder of the run: configuration, metrics, checkpoints, log. Has to be given.'),
  })
  .superRefine(checkRules, { when: () => true });

/** A validated configuration with every default filled in and `compat` resolved to its switches. */
export type Config = z.infer<typeof configSchema>;
export type InputMode = (typeof INPUT_MODES)[number];
export type LabelType = (typeof LABEL_TYPES)[number];
