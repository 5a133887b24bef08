import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { FusionConfig } from './config.ts';
import { qformerForward } from './qformer.ts';

/** The branches that pool a sequence; faces and frames share the video branch. */
export type PooledBranch = 'video' | 'audio';

/** Published names of a branch's modules, and the positions that its learned embedding has at least. */
export const branchModules = {
  video: {
    attention: 'video_attention_mlp',
    positions: 'video_frame_position_embedding',
    positionCount: 32,
    projector: 'affectgpt_proj',
  },
  audio: {
    attention: 'audio_attention_mlp',
    positions: 'audio_position_embedding',
    positionCount: 8,
    projector: 'audio_llama_proj',
  },
} as const;

export interface PooledTokens {
  /** What replaces the placeholders, `[batch, queryTokens, hidden]`. */
  readonly tokens: tf.Tensor;
  /** Raw scores of the time steps under attention pooling, `[batch, time, 1]`. */
  readonly scores?: tf.Tensor;
}

/** `x [batch, ..., inputs]` through a linear layer. */
export function project(parameters: Parameters, x: tf.Tensor): tf.Tensor {
  const inputs = x.shape[x.rank - 1]!;
  const leading = x.shape.slice(0, -1);
  const rows = leading.reduce((product, size) => product * size, 1);
  const y = linear(parameters, tf.reshape(x, [rows, inputs]));
  return tf.reshape(y, [...leading, y.shape[1]!]);
}

/** One vector as several equal tokens: `[batch, hidden]` to `[batch, count, hidden]`. */
export function repeatAsTokens(vector: tf.Tensor, count: number): tf.Tensor {
  return tf.tile(tf.expandDims(vector, 1), [1, count, 1]);
}

/** Features of patches in one sequence: `[batch, time, patches, size]` to `[batch, time * patches, size]`. */
export function flattenPatches(features: tf.Tensor): tf.Tensor {
  if (features.rank === 3) return features;
  const [batch, time, patches, size] = features.shape as [number, number, number, number];
  return tf.reshape(features, [batch, time * patches, size]);
}

/** Features with learned positions added; the patches of a frame share the frame's position. */
function withPositions(features: tf.Tensor, table: tf.Tensor): tf.Tensor {
  const time = features.shape[1]!;
  const size = features.shape[features.rank - 1]!;
  const rows = tf.slice(table, [0, 0], [time, size]);
  return tf.add(features, tf.reshape(rows, features.rank === 4 ? [1, time, 1, size] : [1, time, size]));
}

/**
 * Turns the features of one modality into tokens of the language model: attention weights without softmax, as
 * published; their mean; or a Q-Former.
 * @param features `[batch, time, size]` or `[batch, time, patches, size]`; time is static
 * @param sampleKeys int32 `[batch]` dropout keys while training
 */
export function poolFeatures(
  config: FusionConfig,
  branch: PooledBranch,
  parameters: Parameters,
  features: tf.Tensor,
  sampleKeys?: tf.Tensor,
): PooledTokens {
  const modules = branchModules[branch];
  const projector = parameters.at(modules.projector);
  const count = config.queryTokens[branch];
  if (config[branch] === 'qformer') {
    const positioned = withPositions(features, parameters.get(`${modules.positions}.weight`));
    const bert = parameters.at(`${branch}_Qformer.bert`);
    const queries = parameters.get(`${branch}_query_tokens`);
    const read = qformerForward(config.qformer, bert, queries, flattenPatches(positioned), sampleKeys);
    return { tokens: project(projector, read) };
  }
  const steps = features.rank === 4 ? tf.mean(features, 2) : features;
  if (config[branch] === 'mean') {
    return { tokens: repeatAsTokens(linear(projector, tf.mean(steps, 1)), count) };
  }
  const scores = project(parameters.at(modules.attention), steps);
  const pooled = tf.sum(tf.mul(scores, steps), 1);
  return { tokens: repeatAsTokens(linear(projector, pooled), count), scores };
}

/**
 * An image as tokens: `token` projects every patch (or the one feature, repeated), `mean` their mean.
 * @param features `[batch, 1, size]` or `[batch, 1, patches, size]`
 * @returns `[batch, queryTokens, hidden]`
 */
export function imageTokens(config: FusionConfig, parameters: Parameters, features: tf.Tensor): tf.Tensor {
  const projector = parameters.at('image_llama_proj');
  const patches = flattenPatches(features);
  if (config.image === 'token' && features.rank === 4) return project(projector, patches);
  return repeatAsTokens(linear(projector, tf.mean(patches, 1)), config.queryTokens.image);
}
