import * as tf from '@tensorflow/tfjs';
import type { Parameters } from '../src/engine/parameters.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { parseImagePreprocessing } from './image-preprocessing.ts';
import { embedPatches, patchPlan } from './patch-embedding.ts';
import { normal, normPlan, type TensorPlan, uniform } from './tensor-plan.ts';
import { layerNorm } from './transformer.ts';
import {
  parseVisionTower,
  patchCount,
  type VisionTowerConfig,
  visionLayers,
  visionLayersPlan,
} from './vision-tower.ts';
import { fixedImageSize, makeVisualEncoder } from './visual-encoder.ts';

/** Defaults are those of Hugging Face's SiglipVisionConfig, which published files rely on. */
const family = {
  wholeType: 'siglip',
  towerType: 'siglip_vision_model',
  patchSize: 16,
  hiddenAct: 'gelu_pytorch_tanh',
  layerNormEps: 1e-6,
};

/**
 * Reads the `config.json` of a whole SigLIP model or of its vision tower alone. The attention pooling head that a file
 * may hold (`vision_use_head`) comes after the features and is not used.
 * @throws InputError `ENCODER_CONFIG_INVALID`
 */
export function parseSiglipConfig(json: unknown): VisionTowerConfig {
  return parseVisionTower(json, family);
}

const finalNorm = 'vision_model.post_layernorm';

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's SigLIP initialisation). */
export function siglipTensorPlan(config: VisionTowerConfig): TensorPlan {
  const { hiddenSize, intermediateSize, patchSize } = config;
  const xavier = (outputs: number) => uniform(Math.sqrt(6 / (hiddenSize + outputs)));
  const attention = xavier(hiddenSize);
  const mlp = xavier(intermediateSize);
  const embeddings = 'vision_model.embeddings';
  const patches = normal((3 * patchSize ** 2) ** -0.5);
  return {
    ...patchPlan(`${embeddings}.patch_embedding`, hiddenSize, patchSize, patches, true),
    [`${embeddings}.position_embedding.weight`]: {
      shape: [patchCount(config), hiddenSize],
      init: normal(hiddenSize ** -0.5),
    },
    ...visionLayersPlan(config, {
      attentionInput: attention,
      attentionOutput: attention,
      fc1: mlp,
      fc2: mlp,
    }),
  };
}

/**
 * The SigLIP vision transformer (Zhai et al. 2023), which has no class token.
 * `pixelValues [images, 3, imageSize, imageSize]`.
 *
 * @returns `features [images, hidden]`, the mean over the patches of the last hidden state before the final norm;
 * `hiddenStates [images, patches, hidden]` each: the embeddings, then the output of every layer; `lastHiddenState`, the
 * last one after the final norm, where the parameters hold that
 */
export function siglipVisionForward(
  config: VisionTowerConfig,
  parameters: Parameters,
  pixelValues: tf.Tensor,
): EncoderOutput {
  const { hiddenSize } = config;
  const tower = parameters.at('vision_model');
  const embeddings = tower.at('embeddings');
  const images = pixelValues.shape[0]!;
  const size = { batch: images, tokens: patchCount(config) };
  const sequence = (rows: tf.Tensor): tf.Tensor => tf.reshape(rows, [images, size.tokens, hiddenSize]);

  const patches = embedPatches(embeddings.at('patch_embedding'), pixelValues, config.patchSize);
  const embedded = tf.add(patches, tf.expandDims(embeddings.get('position_embedding.weight'), 0));
  const x = tf.reshape(embedded, [images * size.tokens, hiddenSize]);
  const states = visionLayers(config, tower, x, size);
  const hiddenStates = states.map(sequence);
  const norm = tower.at('post_layernorm');
  return {
    features: tf.mean(hiddenStates.at(-1)!, 1),
    intermediates: {
      hiddenStates,
      ...(norm.has('weight') && {
        lastHiddenState: sequence(layerNorm(norm, states.at(-1)!, config.layerNormEps)),
      }),
    },
  };
}

/** Names without the leading `vision_model.`, as transformers 5 writes the tower alone. */
const bareNames = (plan: TensorPlan): Record<string, string[]> =>
  Object.fromEntries(Object.keys(plan).map((name) => [name, [name.replace('vision_model.', '')]]));

export const siglip: EncoderDefinition = {
  type: 'siglip',
  modality: 'visual',
  create(files) {
    const config = parseSiglipConfig(files.config);
    const preprocessing = parseImagePreprocessing(files.preprocessor, 'SiglipImageProcessor');
    const plan = siglipTensorPlan(config);
    const intermediatePlan = normPlan(finalNorm, config.hiddenSize);
    return makeVisualEncoder({
      type: 'siglip',
      outputDimension: config.hiddenSize,
      plan,
      intermediatePlan,
      tensorAliases: bareNames({ ...plan, ...intermediatePlan }),
      preprocessing,
      imageSize: fixedImageSize(preprocessing, config.imageSize),
      forward: (parameters, pixelValues) => siglipVisionForward(config, parameters, pixelValues),
    });
  },
};
