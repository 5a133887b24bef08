import * as tf from '@tensorflow/tfjs';
import { flattenPatches, poolFeatures } from '../../../fusion/pooling.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  adapterContext,
  affectGptLoss,
} from '../../../model/affectgpt.ts';
import { decoderForward } from '../../../model/decoder.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import type { TensorMap } from '../../../src/engine/types.ts';

/** The features that the published code pools with each of its two branches. */
const branches = [
  ['video', 'face'],
  ['video', 'frame'],
  ['audio', 'audio'],
] as const;

/**
 * Everything that the published code's forward pass was seen to compute, by the names of `out/` in a fixture.
 *
 * @param inputs of the loss, with all features that are stored: the published code pools faces, frames and sound
 *   whether their tokens are used or not
 */
export function recordedOutputs(
  config: AffectGptConfig,
  tensors: TensorMap,
  inputs: AffectGptLossInputs,
): TensorMap {
  const { fusion } = config;
  const parameters = new Parameters(tensors);
  const { inputsEmbeds, modalities } = affectGptLoss(config, parameters, inputs);
  const adapter = adapterContext(config, inputs.rowKeys);
  // All rows, where the loss has the supervised ones.
  const { hidden } = decoderForward(parameters, config.decoder, { ...inputs, inputsEmbeds, adapter });
  const outputs: TensorMap = {
    inputs_embeds: inputsEmbeds,
    last_hidden_state: tf.reshape(hidden, inputsEmbeds.shape),
  };
  const severalVisual = inputs.face !== undefined && inputs.frame !== undefined;
  for (const [branch, feature] of branches) {
    const features = inputs[feature];
    if (features === undefined) continue;
    const pooled = modalities.pooled[feature] ?? poolFeatures(fusion, branch, parameters, features);
    const ending = branch === 'video' && severalVisual ? `.${feature}` : '';
    outputs[`encode_${branch}.hidden${ending}`] = flattenPatches(features);
    outputs[`encode_${branch}.llm${ending}`] = pooled.tokens;
    if (pooled.scores !== undefined) outputs[`${branch}_attention_mlp${ending}`] = pooled.scores;
  }
  const { prefused } = modalities;
  if (prefused !== undefined) {
    outputs['encode_multi.hidden'] = prefused.fused;
    outputs['encode_multi.llm'] = prefused.tokens;
    outputs.multi_video_embs = prefused.visual;
    outputs.multi_audio_embs = prefused.audio;
    if (prefused.mixed !== undefined) outputs.attention_mlp = prefused.mixed;
    if (prefused.weights !== undefined) outputs.fc_att = prefused.weights;
  }
  const image = modalities.tokens.get('image');
  if (image !== undefined) {
    const hiddenImage = flattenPatches(inputs.image!);
    // A single feature is repeated: before the projector in the published code, after it here.
    const repeats = inputs.image!.rank === 4 ? 1 : fusion.queryTokens.image;
    outputs['encode_image.hidden'] = tf.tile(hiddenImage, [1, repeats, 1]);
    outputs['encode_image.llm'] = image;
  }
  return outputs;
}
