import type * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Parameters } from '../src/engine/parameters.ts';
import { groupedConvolution } from './convolutional-positions.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { count, oneOf, parseModelFile } from './model-file.ts';
import {
  checkSpeechSizes,
  type SpeechConfig,
  speechFields,
  speechSettings,
  speechTensorPlan,
} from './speech-config.ts';
import { makeSpeechEncoder, speechForward } from './speech-transformer.ts';
import { constant, normal, type TensorPlan } from './tensor-plan.ts';
import { activationByName, standardise } from './transformer.ts';
import { convolutionNormEps } from './waveform-convolutions.ts';

export interface Data2VecConfig extends SpeechConfig {
  /** Convolutions, one after the other, that tell positions. */
  readonly numConvPosEmbeddings: number;
  readonly convPosKernelSize: number;
}

/** Defaults are those of Hugging Face's Data2VecAudioConfig. */
const schema = z
  .looseObject({
    ...speechFields,
    model_type: oneOf('data2vec-audio'),
    num_conv_pos_embeddings: count.default(5),
    conv_pos_kernel_size: count.default(19),
  })
  .superRefine(checkSpeechSizes);

/**
 * Reads data2vec-audio's `config.json`. Where norms are is fixed: published files may have wav2vec 2.0's keys for that
 * (`feat_extract_norm`, `do_stable_layer_norm`), which Hugging Face's class does not read either.
 * @throws InputError `ENCODER_CONFIG_INVALID`, `ACTIVATION_UNKNOWN`
 */
export function parseData2VecConfig(json: unknown): Data2VecConfig {
  const parsed = parseModelFile(schema, json, 'config.json');
  return {
    ...speechSettings(parsed),
    featExtractNorm: 'layer',
    featProjLayerNorm: true,
    doStableLayerNorm: false,
    numConvPosEmbeddings: parsed.num_conv_pos_embeddings,
    convPosKernelSize: parsed.conv_pos_kernel_size,
  };
}

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's initialisation). */
export function data2vecTensorPlan(config: Data2VecConfig): TensorPlan {
  const { hiddenSize, convPosKernelSize: kernel } = config;
  const plan = speechTensorPlan(config);
  for (let layer = 0; layer < config.numConvPosEmbeddings; layer++) {
    const prefix = `encoder.pos_conv_embed.layers.${layer}.conv`;
    plan[`${prefix}.weight`] = {
      shape: [hiddenSize, hiddenSize / config.numConvPosEmbeddingGroups, kernel],
      init: normal(2 / Math.sqrt(kernel * hiddenSize)),
    };
    plan[`${prefix}.bias`] = { shape: [hiddenSize], init: constant(0) };
  }
  return plan;
}

/** Grouped convolutions, each followed by a norm without parameters. `x [clips, time, hidden]`. */
function stackedPositions(config: Data2VecConfig, parameters: Parameters, x: tf.Tensor): tf.Tensor {
  const activation = activationByName(config.featExtractActivation);
  let positions = x;
  for (let index = 0; index < config.numConvPosEmbeddings; index++) {
    const layer = parameters.at(`layers.${index}.conv`);
    const convolved = groupedConvolution(
      positions,
      layer.get('weight'),
      layer.get('bias'),
      config.numConvPosEmbeddingGroups,
    );
    positions = activation(standardise(convolved, -1, convolutionNormEps));
  }
  return positions;
}

/** data2vec on speech (Baevski et al. 2022). `waveforms [clips, samples]`; see `speechForward` for what it returns. */
export function data2vecForward(
  config: Data2VecConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
): EncoderOutput {
  return speechForward(config, parameters, waveforms, {
    positions: (embedding, x) => stackedPositions(config, embedding, x),
  });
}

export const data2vec: EncoderDefinition = {
  type: 'data2vec',
  modality: 'audio',
  create(files) {
    const config = parseData2VecConfig(files.config);
    return makeSpeechEncoder({
      type: 'data2vec',
      hiddenSize: config.hiddenSize,
      plan: data2vecTensorPlan(config),
      tensorPrefixes: ['data2vec_audio.'],
      preprocessor: files.preprocessor,
      forward: (parameters, waveforms) => data2vecForward(config, parameters, waveforms),
    });
  },
};
