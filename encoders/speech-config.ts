import { z } from 'zod';
import { count, only } from './model-file.ts';
import { densePlan, normal, normPlan, type TensorPlan } from './tensor-plan.ts';
import { activationByName } from './transformer.ts';
import {
  convolutionFields,
  type WaveformConvolutionConfig,
  waveformConvolutionPlan,
} from './waveform-convolutions.ts';

/** What HuBERT, WavLM and data2vec-audio have in common: wav2vec 2.0's convolutions and transformer. */
export interface SpeechConfig extends WaveformConvolutionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly hiddenAct: string;
  readonly layerNormEps: number;
  /** Is there a norm before the projection to `hiddenSize`? */
  readonly featProjLayerNorm: boolean;
  readonly numConvPosEmbeddingGroups: number;
  /** Norms before attention and feed-forward (and after the last layer) rather than behind them. */
  readonly doStableLayerNorm: boolean;
}

/** Keys of `config.json` that the three share, with Hugging Face's defaults. */
export const speechFields = {
  ...convolutionFields,
  hidden_size: count.default(768),
  intermediate_size: count.default(3072),
  num_hidden_layers: z
    .int()
    .min(3, 'features need the last four hidden states: at least 3 layers')
    .default(12),
  num_attention_heads: count.default(12),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  num_conv_pos_embedding_groups: count.default(16),
  // Layers of adapted models that these encoders do not have.
  add_adapter: only(false),
  adapter_attn_dim: only(null),
};

type SpeechFile = z.output<z.ZodObject<typeof speechFields>>;

/** Faults between the keys, for a schema's `superRefine`. */
export function checkSpeechSizes(file: SpeechFile, context: z.RefinementCtx): void {
  const { conv_dim, conv_kernel, conv_stride, hidden_size } = file;
  if (conv_dim.length !== conv_kernel.length || conv_dim.length !== conv_stride.length) {
    context.addIssue('conv_dim, conv_kernel and conv_stride differ in length');
  }
  for (const key of ['num_attention_heads', 'num_conv_pos_embedding_groups'] as const) {
    if (hidden_size % file[key] !== 0) context.addIssue(`hidden_size is no multiple of ${key}`);
  }
}

/** The shared keys in the names of this program. @throws InputError `ACTIVATION_UNKNOWN` */
export function speechSettings(file: SpeechFile) {
  for (const name of [file.hidden_act, file.feat_extract_activation]) activationByName(name);
  return {
    hiddenSize: file.hidden_size,
    intermediateSize: file.intermediate_size,
    numHiddenLayers: file.num_hidden_layers,
    numAttentionHeads: file.num_attention_heads,
    hiddenAct: file.hidden_act,
    layerNormEps: file.layer_norm_eps,
    convolutions: file.conv_dim.map((channels, i) => ({
      channels,
      kernel: file.conv_kernel[i]!,
      stride: file.conv_stride[i]!,
    })),
    convBias: file.conv_bias,
    featExtractActivation: file.feat_extract_activation,
    numConvPosEmbeddingGroups: file.num_conv_pos_embedding_groups,
  };
}

/** All tensors but those of the positions, and how a fresh one is drawn (Hugging Face's initialisation). */
export function speechTensorPlan(config: SpeechConfig): TensorPlan {
  const { hiddenSize, intermediateSize } = config;
  const channels = config.convolutions.at(-1)!.channels;
  const init = normal(0.02);
  const plan: TensorPlan = {
    ...waveformConvolutionPlan(config),
    ...(config.featProjLayerNorm && normPlan('feature_projection.layer_norm', channels)),
    ...densePlan('feature_projection.projection', hiddenSize, channels, init),
    ...normPlan('encoder.layer_norm', hiddenSize),
  };
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `encoder.layers.${layer}`;
    for (const projection of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      Object.assign(plan, densePlan(`${prefix}.attention.${projection}`, hiddenSize, hiddenSize, init));
    }
    Object.assign(
      plan,
      normPlan(`${prefix}.layer_norm`, hiddenSize),
      densePlan(`${prefix}.feed_forward.intermediate_dense`, intermediateSize, hiddenSize, init),
      densePlan(`${prefix}.feed_forward.output_dense`, hiddenSize, intermediateSize, init),
      normPlan(`${prefix}.final_layer_norm`, hiddenSize),
    );
  }
  return plan;
}
