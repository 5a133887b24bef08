import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { InputError } from '../src/errors.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { parseImagePreprocessing, preprocessedSize } from './image-preprocessing.ts';
import type { ImageSize } from './image-resize.ts';
import { count, oneOf, only, parseModelFile, squareSize } from './model-file.ts';
import { embedPatches, patchGrid, patchPlan } from './patch-embedding.ts';
import { interpolatePositions } from './position-interpolation.ts';
import { constant, densePlan, normal, normPlan, type TensorPlan } from './tensor-plan.ts';
import { activationByName, layerNorm, repeatForBatch, selfAttention, silu } from './transformer.ts';
import { makeVisualEncoder } from './visual-encoder.ts';

export interface Dinov2Config {
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly mlpRatio: number;
  /** Of the MLP; the gated one always uses SiLU. */
  readonly hiddenAct: string;
  readonly layerNormEps: number;
  /** The size that the learned positions belong to; images may have another. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly qkvBias: boolean;
  /** What a fresh layer scale starts at. */
  readonly layerscaleValue: number;
  readonly initializerRange: number;
  readonly useSwigluFfn: boolean;
}

/** Defaults are those of Hugging Face's Dinov2Config. */
const schema = z
  .looseObject({
    model_type: oneOf('dinov2'),
    hidden_size: count.default(768),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(12),
    mlp_ratio: z.number().positive().default(4),
    hidden_act: z.string().default('gelu'),
    layer_norm_eps: z.number().positive().default(1e-6),
    image_size: squareSize.default(224),
    patch_size: squareSize.default(14),
    num_channels: only(3),
    qkv_bias: z.boolean().default(true),
    layerscale_value: z.number().default(1),
    initializer_range: z.number().positive().default(0.02),
    use_swiglu_ffn: z.boolean().default(false),
  })
  .refine(
    (c) => c.hidden_size % c.num_attention_heads === 0,
    'hidden_size is no multiple of num_attention_heads',
  )
  .refine((c) => c.image_size >= c.patch_size, 'image_size is smaller than patch_size');

/**
 * Reads DINOv2's `config.json`. `drop_path_rate` and the dropouts matter in training only, `use_mask_token` in
 * pretraining only.
 * @throws InputError `ENCODER_CONFIG_INVALID`, `ACTIVATION_UNKNOWN`
 */
export function parseDinov2Config(json: unknown): Dinov2Config {
  const parsed = parseModelFile(schema, json, 'config.json');
  if (!parsed.use_swiglu_ffn) activationByName(parsed.hidden_act);
  return {
    hiddenSize: parsed.hidden_size,
    numHiddenLayers: parsed.num_hidden_layers,
    numAttentionHeads: parsed.num_attention_heads,
    mlpRatio: parsed.mlp_ratio,
    hiddenAct: parsed.hidden_act,
    layerNormEps: parsed.layer_norm_eps,
    imageSize: parsed.image_size,
    patchSize: parsed.patch_size,
    qkvBias: parsed.qkv_bias,
    layerscaleValue: parsed.layerscale_value,
    initializerRange: parsed.initializer_range,
    useSwigluFfn: parsed.use_swiglu_ffn,
  };
}

const projections = {
  query: 'attention.query',
  key: 'attention.key',
  value: 'attention.value',
  output: 'output.dense',
};

function layerPlan(config: Dinov2Config, prefix: string): TensorPlan {
  const { hiddenSize, qkvBias } = config;
  const init = normal(config.initializerRange);
  const plan: TensorPlan = {};
  for (const name of Object.values(projections)) {
    Object.assign(plan, densePlan(`${prefix}.attention.${name}`, hiddenSize, hiddenSize, init));
    if (!qkvBias && name !== projections.output) delete plan[`${prefix}.attention.${name}.bias`];
  }
  const inner = Math.trunc(hiddenSize * config.mlpRatio);
  // Two thirds of the plain size, rounded up to a multiple of 8; gate and values lie in one matrix.
  const gated = Math.ceil(Math.trunc((inner * 2) / 3) / 8) * 8;
  const scale = { shape: [hiddenSize], init: constant(config.layerscaleValue) };
  return Object.assign(
    plan,
    normPlan(`${prefix}.norm1`, hiddenSize),
    normPlan(`${prefix}.norm2`, hiddenSize),
    { [`${prefix}.layer_scale1.lambda1`]: scale, [`${prefix}.layer_scale2.lambda1`]: scale },
    config.useSwigluFfn
      ? {
          ...densePlan(`${prefix}.mlp.weights_in`, 2 * gated, hiddenSize, init),
          ...densePlan(`${prefix}.mlp.weights_out`, hiddenSize, gated, init),
        }
      : {
          ...densePlan(`${prefix}.mlp.fc1`, inner, hiddenSize, init),
          ...densePlan(`${prefix}.mlp.fc2`, hiddenSize, inner, init),
        },
  );
}

const positionGrid = ({ imageSize, patchSize }: Dinov2Config): ImageSize =>
  patchGrid({ height: imageSize, width: imageSize }, patchSize);

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's DINOv2 initialisation). */
export function dinov2TensorPlan(config: Dinov2Config): TensorPlan {
  const { hiddenSize } = config;
  const init = normal(config.initializerRange);
  const grid = positionGrid(config);
  const plan: TensorPlan = {
    'embeddings.cls_token': { shape: [1, 1, hiddenSize], init },
    'embeddings.position_embeddings': { shape: [1, grid.height * grid.width + 1, hiddenSize], init },
    ...patchPlan('embeddings.patch_embeddings.projection', hiddenSize, config.patchSize, init, true),
  };
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    Object.assign(plan, layerPlan(config, `encoder.layer.${layer}`));
  }
  return plan;
}

/** Class token and patches with their positions: `[images, patches + 1, hidden]`. */
function embed(config: Dinov2Config, parameters: Parameters, pixelValues: tf.Tensor): tf.Tensor {
  const { hiddenSize, patchSize } = config;
  const [images, , height, width] = pixelValues.shape as [number, number, number, number];
  const patches = embedPatches(parameters.at('patch_embeddings.projection'), pixelValues, patchSize);
  const from = positionGrid(config);
  const learned = from.height * from.width;
  const positions = parameters.get('position_embeddings');
  const ofClass = tf.slice(positions, [0, 0, 0], [1, 1, hiddenSize]);
  const ofPatches = tf.reshape(tf.slice(positions, [0, 1, 0], [1, learned, hiddenSize]), [
    learned,
    hiddenSize,
  ]);
  const interpolated = interpolatePositions(ofPatches, from, patchGrid({ height, width }, patchSize));
  return tf.concat(
    [
      repeatForBatch(tf.add(parameters.get('cls_token'), ofClass), images),
      tf.add(patches, tf.expandDims(interpolated, 0)),
    ],
    1,
  );
}

/** The MLP of a layer, or its gated form. `x [rows, hidden]`. */
function feedForward(config: Dinov2Config, parameters: Parameters, x: tf.Tensor): tf.Tensor {
  if (!config.useSwigluFfn) {
    const activation = activationByName(config.hiddenAct);
    return linear(parameters.at('fc2'), activation(linear(parameters.at('fc1'), x)));
  }
  const [gate, values] = tf.split(linear(parameters.at('weights_in'), x), 2, 1) as [tf.Tensor, tf.Tensor];
  return linear(parameters.at('weights_out'), tf.mul(silu(gate), values));
}

/**
 * DINOv2 (Oquab et al. 2023). `pixelValues [images, 3, height, width]` of any size: positions are interpolated from
 * the grid of `imageSize` to that of the images.
 *
 * @returns `features [images, hidden]`, the mean over all tokens, class token included, of the last hidden state before
 * the final norm; `hiddenStates [images, patches + 1, hidden]` each: the embeddings, then the output of every layer;
 * `lastHiddenState`, the last one after the final norm, where the parameters hold that
 */
export function dinov2Forward(
  config: Dinov2Config,
  parameters: Parameters,
  pixelValues: tf.Tensor,
): EncoderOutput {
  const { hiddenSize, layerNormEps, numAttentionHeads } = config;
  const embedded = embed(config, parameters.at('embeddings'), pixelValues);
  const [batch, tokens] = embedded.shape as [number, number];
  const sequence = (rows: tf.Tensor): tf.Tensor => tf.reshape(rows, [batch, tokens, hiddenSize]);
  const attentionOptions = { names: projections };

  let x = tf.reshape(embedded, [batch * tokens, hiddenSize]);
  const hiddenStates = [embedded];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = parameters.at('encoder.layer').at(index);
    const scaled = (which: number, y: tf.Tensor): tf.Tensor =>
      tf.mul(y, layer.get(`layer_scale${which}.lambda1`));
    const attentionInput = layerNorm(layer.at('norm1'), x, layerNormEps);
    const attended = selfAttention(
      layer.at('attention'),
      attentionInput,
      numAttentionHeads,
      { batch, tokens },
      attentionOptions,
    );
    x = tf.add(x, scaled(1, attended));
    const mlpInput = layerNorm(layer.at('norm2'), x, layerNormEps);
    x = tf.add(x, scaled(2, feedForward(config, layer.at('mlp'), mlpInput)));
    hiddenStates.push(sequence(x));
  }
  const norm = parameters.at('layernorm');
  return {
    features: tf.mean(hiddenStates.at(-1)!, 1),
    intermediates: {
      hiddenStates,
      ...(norm.has('weight') && { lastHiddenState: sequence(layerNorm(norm, x, layerNormEps)) }),
    },
  };
}

export const dinov2: EncoderDefinition = {
  type: 'dinov2',
  modality: 'visual',
  create(files) {
    const config = parseDinov2Config(files.config);
    const preprocessing = parseImagePreprocessing(files.preprocessor, 'BitImageProcessor');
    const { imageSize: edge, patchSize } = config;
    const imageSize = preprocessedSize(preprocessing) ?? { height: edge, width: edge };
    if (Math.min(imageSize.height, imageSize.width) < patchSize) {
      throw new InputError(
        'IMAGE_SIZE_MISMATCH',
        `preprocessor_config.json makes images of ${imageSize.height}x${imageSize.width} pixels, smaller than one ` +
          `patch of ${patchSize} (patch_size in config.json).`,
      );
    }
    return makeVisualEncoder({
      type: 'dinov2',
      outputDimension: config.hiddenSize,
      plan: dinov2TensorPlan(config),
      intermediatePlan: normPlan('layernorm', config.hiddenSize),
      tensorPrefixes: ['dinov2.'],
      preprocessing,
      imageSize,
      forward: (parameters, pixelValues) => dinov2Forward(config, parameters, pixelValues),
    });
  },
};
