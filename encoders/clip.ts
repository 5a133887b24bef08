import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { HostTensorMap } from '../src/engine/types.ts';
import { parseImagePreprocessing, preprocessFrames } from './clip-preprocessing.ts';
import { type EncoderDefinition, type EncoderOutput, parseModelFile } from './encoder.ts';
import { constant, drawTensors, normal, type TensorPlan, tensorShapes } from './tensor-plan.ts';
import { activationByName, layerNorm, repeatForBatch, selfAttention } from './transformer.ts';

export interface ClipVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly hiddenAct: string;
  readonly layerNormEps: number;
  readonly projectionDim: number;
}

const count = z.int().positive();

/** Defaults are those of Hugging Face's CLIPVisionConfig, which published files rely on. */
const visionSchema = z
  .looseObject({
    hidden_size: count.default(768),
    intermediate_size: count.default(3072),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(12),
    num_channels: z.literal(3, 'only RGB images (3) are supported').default(3),
    image_size: count.default(224),
    patch_size: count.default(32),
    hidden_act: z.string().default('quick_gelu'),
    layer_norm_eps: z.number().positive().default(1e-5),
    projection_dim: count.default(512),
  })
  .refine(
    (c) => c.hidden_size % c.num_attention_heads === 0,
    'hidden_size is no multiple of num_attention_heads',
  )
  .refine((c) => c.image_size % c.patch_size === 0, 'image_size is no multiple of patch_size');

const wholeSchema = z.looseObject({ vision_config: visionSchema, projection_dim: count.default(512) });

/**
 * Reads the `config.json` of a whole CLIP model or of its vision tower alone. In a whole model the projection's
 * size is the outer `projection_dim`.
 * @throws InputError `ENCODER_CONFIG_INVALID`
 */
export function parseClipConfig(json: unknown): ClipVisionConfig {
  const whole = typeof json === 'object' && json !== null && 'vision_config' in json;
  const outer = whole ? parseModelFile(wholeSchema, json, 'config.json') : undefined;
  const vision = outer?.vision_config ?? parseModelFile(visionSchema, json, 'config.json');
  return {
    hiddenSize: vision.hidden_size,
    intermediateSize: vision.intermediate_size,
    numHiddenLayers: vision.num_hidden_layers,
    numAttentionHeads: vision.num_attention_heads,
    imageSize: vision.image_size,
    patchSize: vision.patch_size,
    hiddenAct: vision.hidden_act,
    layerNormEps: vision.layer_norm_eps,
    projectionDim: outer?.projection_dim ?? vision.projection_dim,
  };
}

/** All tensors of the tower and how a fresh one is drawn (Hugging Face's CLIP initialisation). */
export function clipTensorPlan(config: ClipVisionConfig): TensorPlan {
  const { hiddenSize, intermediateSize, patchSize } = config;
  const patches = (config.imageSize / patchSize) ** 2;
  const base = hiddenSize ** -0.5;
  const residual = base * (2 * config.numHiddenLayers) ** -0.5;
  const plan: TensorPlan = {};
  const norm = (name: string): void => {
    plan[`${name}.weight`] = { shape: [hiddenSize], init: constant(1) };
    plan[`${name}.bias`] = { shape: [hiddenSize], init: constant(0) };
  };
  const dense = (name: string, outputs: number, inputs: number, std: number): void => {
    plan[`${name}.weight`] = { shape: [outputs, inputs], init: normal(std) };
    plan[`${name}.bias`] = { shape: [outputs], init: constant(0) };
  };

  const embeddings = 'vision_model.embeddings';
  plan[`${embeddings}.class_embedding`] = { shape: [hiddenSize], init: normal(base) };
  plan[`${embeddings}.patch_embedding.weight`] = {
    shape: [hiddenSize, 3, patchSize, patchSize],
    init: normal(0.02),
  };
  plan[`${embeddings}.position_embedding.weight`] = { shape: [patches + 1, hiddenSize], init: normal(0.02) };
  norm('vision_model.pre_layrnorm');
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `vision_model.encoder.layers.${layer}`;
    for (const projection of ['q_proj', 'k_proj', 'v_proj']) {
      dense(`${prefix}.self_attn.${projection}`, hiddenSize, hiddenSize, residual);
    }
    dense(`${prefix}.self_attn.out_proj`, hiddenSize, hiddenSize, base);
    norm(`${prefix}.layer_norm1`);
    norm(`${prefix}.layer_norm2`);
    dense(`${prefix}.mlp.fc1`, intermediateSize, hiddenSize, (2 * hiddenSize) ** -0.5);
    dense(`${prefix}.mlp.fc2`, hiddenSize, intermediateSize, residual);
  }
  norm('vision_model.post_layernorm');
  plan['visual_projection.weight'] = { shape: [config.projectionDim, hiddenSize], init: normal(base) };
  return plan;
}

/** Patches as rows times the flattened kernel: `[images, 3, size, size]` to `[images, patches, hidden]`. */
function embedPatches(config: ClipVisionConfig, weight: tf.Tensor, pixelValues: tf.Tensor): tf.Tensor {
  const { patchSize, hiddenSize } = config;
  const images = pixelValues.shape[0]!;
  const grid = config.imageSize / patchSize;
  const unfolded = tf.transpose(
    tf.reshape(pixelValues, [images, 3, grid, patchSize, grid, patchSize]),
    [0, 2, 4, 1, 3, 5],
  );
  const length = 3 * patchSize * patchSize;
  const rows = tf.reshape(unfolded, [images * grid * grid, length]);
  const embedded = tf.matMul(rows, tf.reshape(weight, [hiddenSize, length]), false, true);
  return tf.reshape(embedded, [images, grid * grid, hiddenSize]);
}

/**
 * The CLIP vision transformer (Radford et al. 2021). `pixelValues [images, 3, imageSize, imageSize]`.
 *
 * @returns `features [images, projection]`, not L2-normalised: what `get_image_features` returns;
 * `lastHiddenState [images, patches + 1, hidden]`, before the final norm; `postLayernormCls [images, hidden]`, the class
 * token after it
 */
export function clipVisionForward(
  config: ClipVisionConfig,
  parameters: Parameters,
  pixelValues: tf.Tensor,
): EncoderOutput {
  const { hiddenSize, layerNormEps, numAttentionHeads } = config;
  const activation = activationByName(config.hiddenAct);
  const tower = parameters.at('vision_model');
  const embeddings = tower.at('embeddings');
  const images = pixelValues.shape[0]!;
  const tokens = (config.imageSize / config.patchSize) ** 2 + 1;
  const size = { batch: images, tokens };

  const patches = embedPatches(config, embeddings.get('patch_embedding.weight'), pixelValues);
  const classToken = tf.reshape(embeddings.get('class_embedding'), [1, 1, hiddenSize]);
  const sequence = tf.add(
    tf.concat([repeatForBatch(classToken, images), patches], 1),
    tf.expandDims(embeddings.get('position_embedding.weight'), 0),
  );
  let x = layerNorm(
    tower.at('pre_layrnorm'), // The published name lacks a letter.
    tf.reshape(sequence, [images * tokens, hiddenSize]),
    layerNormEps,
  );
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = tower.at('encoder.layers').at(index);
    const attentionInput = layerNorm(layer.at('layer_norm1'), x, layerNormEps);
    x = tf.add(x, selfAttention(layer.at('self_attn'), attentionInput, numAttentionHeads, size));
    const mlpInput = layerNorm(layer.at('layer_norm2'), x, layerNormEps);
    x = tf.add(x, linear(layer.at('mlp.fc2'), activation(linear(layer.at('mlp.fc1'), mlpInput))));
  }
  const lastHiddenState = tf.reshape(x, [images, tokens, hiddenSize]);
  const first = tf.reshape(tf.slice(lastHiddenState, [0, 0, 0], [images, 1, hiddenSize]), [
    images,
    hiddenSize,
  ]);
  const postLayernormCls = layerNorm(tower.at('post_layernorm'), first, layerNormEps);
  const features = linear(parameters.at('visual_projection'), postLayernormCls);
  return { features, intermediates: { lastHiddenState, postLayernormCls } };
}

export const clip: EncoderDefinition = {
  type: 'clip',
  modality: 'visual',
  create(files) {
    const config = parseClipConfig(files.config);
    activationByName(config.hiddenAct);
    const preprocessing = parseImagePreprocessing(files.preprocessor);
    const plan = clipTensorPlan(config);
    const { imageSize } = config;
    return {
      type: 'clip',
      modality: 'visual',
      outputDimension: config.projectionDim,
      tensorShapes: tensorShapes(plan),
      tensorAliases: {},
      tensorPrefixes: [],
      init: (seed): HostTensorMap => drawTensors(plan, seed),
      inputs: { pixelValues: { dtype: 'float32', shape: ['images', 3, imageSize, imageSize] } },
      preprocess: (frames) => ({ pixelValues: preprocessFrames(frames, preprocessing, imageSize) }),
      forward: (parameters, { pixelValues }) => clipVisionForward(config, parameters, pixelValues!),
    };
  },
};
