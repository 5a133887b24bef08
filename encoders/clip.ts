import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { parseImagePreprocessing } from './image-preprocessing.ts';
import { count, parseModelFile } from './model-file.ts';
import { embedPatches, patchPlan } from './patch-embedding.ts';
import { normal, normPlan, type TensorPlan } from './tensor-plan.ts';
import { layerNorm, repeatForBatch } from './transformer.ts';
import {
  parseVisionTower,
  patchCount,
  type VisionTowerConfig,
  visionLayers,
  visionLayersPlan,
} from './vision-tower.ts';
import { fixedImageSize, makeVisualEncoder } from './visual-encoder.ts';

export interface ClipVisionConfig extends VisionTowerConfig {
  readonly projectionDim: number;
}

/** Defaults are those of Hugging Face's CLIPVisionConfig, which published files rely on. */
const family = {
  wholeType: 'clip',
  towerType: 'clip_vision_model',
  patchSize: 32,
  hiddenAct: 'quick_gelu',
  layerNormEps: 1e-5,
};
const projectionSchema = z.looseObject({ projection_dim: count.default(512) });

/**
 * Reads the `config.json` of a whole CLIP model or of its vision tower alone. In a whole model the projection's
 * size is the outer `projection_dim`.
 * @throws InputError `ENCODER_CONFIG_INVALID`
 */
export function parseClipConfig(json: unknown): ClipVisionConfig {
  const tower = parseVisionTower(json, family);
  return { ...tower, projectionDim: parseModelFile(projectionSchema, json, 'config.json').projection_dim };
}

/** All tensors of the tower and how a fresh one is drawn (Hugging Face's CLIP initialisation). */
export function clipTensorPlan(config: ClipVisionConfig): TensorPlan {
  const { hiddenSize, patchSize } = config;
  const base = normal(hiddenSize ** -0.5);
  const residual = normal(hiddenSize ** -0.5 * (2 * config.numHiddenLayers) ** -0.5);
  const embeddings = 'vision_model.embeddings';
  return {
    [`${embeddings}.class_embedding`]: { shape: [hiddenSize], init: base },
    ...patchPlan(`${embeddings}.patch_embedding`, hiddenSize, patchSize, normal(0.02), false),
    [`${embeddings}.position_embedding.weight`]: {
      shape: [patchCount(config) + 1, hiddenSize],
      init: normal(0.02),
    },
    ...normPlan('vision_model.pre_layrnorm', hiddenSize),
    ...visionLayersPlan(config, {
      attentionInput: residual,
      attentionOutput: base,
      fc1: normal((2 * hiddenSize) ** -0.5),
      fc2: residual,
    }),
    ...normPlan('vision_model.post_layernorm', hiddenSize),
    'visual_projection.weight': { shape: [config.projectionDim, hiddenSize], init: base },
  };
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
  const { hiddenSize, layerNormEps } = config;
  const tower = parameters.at('vision_model');
  const embeddings = tower.at('embeddings');
  const images = pixelValues.shape[0]!;
  const size = { batch: images, tokens: patchCount(config) + 1 };

  const patches = embedPatches(embeddings.at('patch_embedding'), pixelValues, config.patchSize);
  const classToken = tf.reshape(embeddings.get('class_embedding'), [1, 1, hiddenSize]);
  const sequence = tf.add(
    tf.concat([repeatForBatch(classToken, images), patches], 1),
    tf.expandDims(embeddings.get('position_embedding.weight'), 0),
  );
  const x = layerNorm(
    tower.at('pre_layrnorm'), // The published name lacks a letter.
    tf.reshape(sequence, [images * size.tokens, hiddenSize]),
    layerNormEps,
  );
  const last = visionLayers(config, tower, x, size).at(-1)!;
  const lastHiddenState = tf.reshape(last, [images, size.tokens, hiddenSize]);
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
    const preprocessing = parseImagePreprocessing(files.preprocessor, 'CLIPImageProcessor');
    return makeVisualEncoder({
      type: 'clip',
      outputDimension: config.projectionDim,
      plan: clipTensorPlan(config),
      preprocessing,
      imageSize: fixedImageSize(preprocessing, config.imageSize),
      forward: (parameters, pixelValues) => clipVisionForward(config, parameters, pixelValues),
    });
  },
};
