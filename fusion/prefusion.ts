import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { InputError } from '../src/errors.ts';
import type { FusionConfig } from './config.ts';
import { flattenPatches, project, repeatAsTokens } from './pooling.ts';
import { qformerForward } from './qformer.ts';

/** Rows of the published position table: 32 features for each of 8 frames, and 8 audio clips. */
export const multiPositionCount = 8 * 32 + 8;

export interface PrefusedTokens {
  /** What replaces the placeholders, `[batch, queryTokens, hidden]`. */
  readonly tokens: tf.Tensor;
  /** Before the projection: `[batch, fusedSize]` (attention) or `[batch, queryTokens, qformerHidden]`. */
  readonly fused: tf.Tensor;
  /** Both modalities in the common size, `[batch, fusedSize]` or `[batch, time, fusedSize]`. */
  readonly visual: tf.Tensor;
  readonly audio: tf.Tensor;
  /** Attention only: hidden layer `[batch, fusedSize]` and the two weights `[batch, 2]`, visual first. */
  readonly mixed?: tf.Tensor;
  readonly weights?: tf.Tensor;
}

/** Weighs the means of both modalities. Two linear layers without activation or softmax between (section 2.7). */
function attentionPrefusion(
  config: FusionConfig,
  parameters: Parameters,
  visualFeatures: tf.Tensor,
  audioFeatures: tf.Tensor,
): PrefusedTokens {
  const visual = linear(parameters.at('multi_video_embs'), tf.mean(visualFeatures, 1));
  const audio = linear(parameters.at('multi_audio_embs'), tf.mean(audioFeatures, 1));
  const mixed = linear(parameters.at('attention_mlp'), tf.concat([visual, audio], 1));
  const weights = linear(parameters.at('fc_att'), mixed);
  const [visualWeight, audioWeight] = tf.split(weights, 2, 1);
  const fused = tf.add(tf.mul(visual, visualWeight!), tf.mul(audio, audioWeight!));
  const tokens = repeatAsTokens(linear(parameters.at('multi_llama_proj'), fused), config.queryTokens.multi);
  return { tokens, fused, visual, audio, mixed, weights };
}

/** Lets a Q-Former read both sequences, visual first. */
function qformerPrefusion(
  config: FusionConfig,
  parameters: Parameters,
  visualFeatures: tf.Tensor,
  audioFeatures: tf.Tensor,
  sampleKeys: tf.Tensor | undefined,
): PrefusedTokens {
  const visual = project(parameters.at('multi_video_embs'), visualFeatures);
  const audio = project(parameters.at('multi_audio_embs'), audioFeatures);
  const sequence = tf.concat([visual, audio], 1);
  const [, length, size] = sequence.shape as [number, number, number];
  const positions = tf.slice(parameters.get('multi_position_embedding.weight'), [0, 0], [length, size]);
  const fused = qformerForward(
    config.qformer,
    parameters.at('multi_Qformer.bert'),
    parameters.get('multi_query_tokens'),
    tf.add(sequence, tf.expandDims(positions, 0)),
    sampleKeys,
  );
  return { tokens: project(parameters.at('multi_llama_proj'), fused), fused, visual, audio };
}

/**
 * Fuses face (or frame) and audio features before the language model (AffectGPT, section 4.2). It reads the raw
 * features, before positions and pooling of the single modalities.
 * @param visual `[batch, frames, size]` or `[batch, frames, patches, size]`
 * @param audio `[batch, clips, size]`
 * @param sampleKeys int32 `[batch]` dropout keys while training
 * @throws InputError `PREFUSION_MISSING` where the model is configured without
 */
export function prefuse(
  config: FusionConfig,
  parameters: Parameters,
  visual: tf.Tensor,
  audio: tf.Tensor,
  sampleKeys?: tf.Tensor,
): PrefusedTokens {
  const visualSequence = flattenPatches(visual);
  const audioSequence = flattenPatches(audio);
  switch (config.multi) {
    case 'attention':
      return attentionPrefusion(config, parameters, visualSequence, audioSequence);
    case 'qformer':
      return qformerPrefusion(config, parameters, visualSequence, audioSequence, sampleKeys);
    case 'none':
      throw new InputError(
        'PREFUSION_MISSING',
        'The input mode has a placeholder for fused modalities, but the model has no pre-fusion: set fusion.multi ' +
          'to "attention" or "qformer", or choose a mode whose name does not begin with "multi".',
      );
  }
}
