import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import {
  type ConvolutionalPositionConfig,
  convolutionalPositionPlan,
  convolutionalPositions,
  positionFields,
  weightNormAliases,
} from './convolutional-positions.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { count, oneOf, parseModelFile } from './model-file.ts';
import { checkSpeechSizes, speechFields, speechSettings, speechTensorPlan } from './speech-config.ts';
import { type LayerAttention, makeSpeechEncoder, speechForward } from './speech-transformer.ts';
import { constant, densePlan, normal, type TensorPlan } from './tensor-plan.ts';
import { type SequenceSize, selfAttention } from './transformer.ts';

export interface WavLmConfig extends ConvolutionalPositionConfig {
  /** Rows of the table of relative positions. */
  readonly numBuckets: number;
  /** From this distance on all positions are alike. */
  readonly maxBucketDistance: number;
}

/** Defaults are those of Hugging Face's WavLMConfig. */
const schema = z
  .looseObject({
    ...speechFields,
    ...positionFields,
    model_type: oneOf('wavlm'),
    num_buckets: z.int().min(4).default(320),
    max_bucket_distance: count.default(800),
  })
  .superRefine(checkSpeechSizes)
  .refine(
    (c) => c.max_bucket_distance > Math.floor(Math.floor(c.num_buckets / 2) / 2),
    'max_bucket_distance has to be larger than a quarter of num_buckets',
  );

/** Reads WavLM's `config.json`. @throws InputError `ENCODER_CONFIG_INVALID`, `ACTIVATION_UNKNOWN` */
export function parseWavLmConfig(json: unknown): WavLmConfig {
  const parsed = parseModelFile(schema, json, 'config.json');
  return {
    ...speechSettings(parsed),
    featExtractNorm: parsed.feat_extract_norm,
    featProjLayerNorm: true,
    numConvPosEmbeddings: parsed.num_conv_pos_embeddings,
    doStableLayerNorm: parsed.do_stable_layer_norm,
    numBuckets: parsed.num_buckets,
    maxBucketDistance: parsed.max_bucket_distance,
  };
}

/** Outputs of a layer's gate: four summands of each of its two gates. */
const gateOutputs = 8;

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's WavLM initialisation). */
export function wavLmTensorPlan(config: WavLmConfig): TensorPlan {
  const { numAttentionHeads: heads, numBuckets } = config;
  const plan: TensorPlan = { ...speechTensorPlan(config), ...convolutionalPositionPlan(config) };
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `encoder.layers.${layer}.attention`;
    const inputs = config.hiddenSize / heads;
    plan[`${prefix}.gru_rel_pos_const`] = { shape: [1, heads, 1, 1], init: constant(1) };
    Object.assign(plan, densePlan(`${prefix}.gru_rel_pos_linear`, gateOutputs, inputs, normal(0.02)));
  }
  // Only the first layer has the table; all layers use it.
  plan['encoder.layers.0.attention.rel_attn_embed.weight'] = {
    shape: [numBuckets, heads],
    init: normal(0.02),
  };
  return plan;
}

/**
 * The bucket of every pair of positions, row-major `[length, length]` (query, key): half of the buckets for keys behind
 * the query, of each half the first part for one distance each, the rest for distances that grow in proportion.
 * Computed in single precision, as the reference does: the edges of the buckets depend on it.
 */
export function relativePositionBuckets(
  length: number,
  numBuckets: number,
  maxBucketDistance: number,
): Int32Array {
  const { fround } = Math;
  const perSide = Math.floor(numBuckets / 2);
  const exact = Math.floor(perSide / 2);
  const steepness = fround(Math.log(maxBucketDistance / exact));
  const bucketOf = (relative: number): number => {
    const side = relative > 0 ? perSide : 0;
    const distance = Math.abs(relative);
    if (distance < exact) return side + distance;
    const logarithm = fround(Math.log(fround(distance / exact)));
    const grown = fround(fround(logarithm / steepness) * (perSide - exact));
    return side + Math.min(Math.trunc(fround(exact + grown)), perSide - 1);
  };
  return Int32Array.from({ length: length * length }, (_, i) =>
    bucketOf((i % length) - Math.floor(i / length)),
  );
}

/**
 * How much of the relative positions a query lets in: `[clips, heads, time, 1]` from the layer's input
 * `rows [clips * time, hidden]`.
 */
function positionGate(
  parameters: Parameters,
  rows: tf.Tensor,
  heads: number,
  { batch, tokens }: SequenceSize,
): tf.Tensor {
  const perHead = tf.reshape(rows, [batch * tokens * heads, rows.shape[1]! / heads]);
  const projected = linear(parameters.at('gru_rel_pos_linear'), perHead);
  const gates = tf.sigmoid(tf.sum(tf.reshape(projected, [batch * tokens * heads, 2, gateOutputs / 2]), 2));
  const [first, second] = tf
    .split(gates, 2, 1)
    .map((gate) => tf.transpose(tf.reshape(gate, [batch, tokens, heads, 1]), [0, 2, 1, 3])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const inner = tf.sub(tf.mul(second, parameters.get('gru_rel_pos_const')), 1);
  return tf.add(tf.mul(first, inner), 2);
}

/** Self-attention whose scores get relative positions, from one table for all layers, each through its own gate. */
function gatedAttention(config: WavLmConfig, encoder: Parameters, size: SequenceSize): LayerAttention {
  const { numAttentionHeads: heads, numBuckets, maxBucketDistance } = config;
  const { tokens } = size;
  const buckets = tf.tensor1d(relativePositionBuckets(tokens, numBuckets, maxBucketDistance), 'int32');
  const table = encoder.get('layers.0.attention.rel_attn_embed.weight');
  const values = tf.reshape(tf.gather(table, buckets), [1, tokens, tokens, heads]);
  const bias = tf.transpose(values, [0, 3, 1, 2]);
  return (layer, rows) => {
    const scoreBias = tf.mul(positionGate(layer, rows, heads, size), bias);
    return selfAttention(layer, rows, heads, size, { scoreBias });
  };
}

/** WavLM (Chen et al. 2022). `waveforms [clips, samples]`, normalised; see `speechForward` for what it returns. */
export function wavLmForward(
  config: WavLmConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
): EncoderOutput {
  return speechForward(config, parameters, waveforms, {
    positions: (embedding, x) => convolutionalPositions(config, embedding, x),
    attention: (encoder, size) => gatedAttention(config, encoder, size),
  });
}

export const wavlm: EncoderDefinition = {
  type: 'wavlm',
  modality: 'audio',
  create(files) {
    const config = parseWavLmConfig(files.config);
    return makeSpeechEncoder({
      type: 'wavlm',
      hiddenSize: config.hiddenSize,
      plan: wavLmTensorPlan(config),
      tensorAliases: weightNormAliases,
      tensorPrefixes: ['wavlm.'],
      preprocessor: files.preprocessor,
      forward: (parameters, waveforms) => wavLmForward(config, parameters, waveforms),
    });
  },
};
