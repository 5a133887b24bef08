import { z } from 'zod';
import {
  type ConvolutionalPositionConfig,
  convolutionalPositionPlan,
  positionFields,
} from './convolutional-positions.ts';
import { oneOf, only, parseModelFile } from './model-file.ts';
import { checkSpeechSizes, speechFields, speechSettings, speechTensorPlan } from './speech-config.ts';
import type { TensorPlan } from './tensor-plan.ts';

export type HubertConfig = ConvolutionalPositionConfig;

/** Defaults are those of Hugging Face's HubertConfig. */
const schema = z
  .looseObject({
    ...speechFields,
    ...positionFields,
    model_type: oneOf('hubert'),
    feat_proj_layer_norm: z.boolean().default(true),
    conv_pos_batch_norm: only(false),
  })
  .superRefine(checkSpeechSizes);

/** Reads HuBERT's `config.json`. @throws InputError `ENCODER_CONFIG_INVALID`, `ACTIVATION_UNKNOWN` */
export function parseHubertConfig(json: unknown): HubertConfig {
  const parsed = parseModelFile(schema, json, 'config.json');
  return {
    ...speechSettings(parsed),
    featExtractNorm: parsed.feat_extract_norm,
    featProjLayerNorm: parsed.feat_proj_layer_norm,
    numConvPosEmbeddings: parsed.num_conv_pos_embeddings,
    doStableLayerNorm: parsed.do_stable_layer_norm,
  };
}

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's HuBERT initialisation). */
export function hubertTensorPlan(config: HubertConfig): TensorPlan {
  return { ...speechTensorPlan(config), ...convolutionalPositionPlan(config) };
}
