import { z } from 'zod';
import { parseModelFile } from './encoder.ts';
import { constant, normal, type TensorPlan } from './tensor-plan.ts';

export interface HubertConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly hiddenAct: string;
  readonly layerNormEps: number;
  /** Channels, kernel and stride of each convolution over the waveform. */
  readonly convolutions: readonly {
    readonly channels: number;
    readonly kernel: number;
    readonly stride: number;
  }[];
  readonly convBias: boolean;
  /** `layer`: every convolution is normalised over channels; `group`: the first one over time. */
  readonly featExtractNorm: 'layer' | 'group';
  readonly featExtractActivation: string;
  readonly featProjLayerNorm: boolean;
  readonly numConvPosEmbeddings: number;
  readonly numConvPosEmbeddingGroups: number;
  readonly doStableLayerNorm: boolean;
}

const count = z.int().positive();
const counts = z.array(count).nonempty();

/** Defaults are those of Hugging Face's HubertConfig. */
const schema = z
  .looseObject({
    hidden_size: count.default(768),
    intermediate_size: count.default(3072),
    num_hidden_layers: z
      .int()
      .min(3, 'features need the last four hidden states: at least 3 layers')
      .default(12),
    num_attention_heads: count.default(12),
    hidden_act: z.string().default('gelu'),
    layer_norm_eps: z.number().positive().default(1e-5),
    conv_dim: counts.default([512, 512, 512, 512, 512, 512, 512]),
    conv_kernel: counts.default([10, 3, 3, 3, 3, 2, 2]),
    conv_stride: counts.default([5, 2, 2, 2, 2, 2, 2]),
    conv_bias: z.boolean().default(false),
    feat_extract_norm: z.enum(['layer', 'group']).default('group'),
    feat_extract_activation: z.string().default('gelu'),
    feat_proj_layer_norm: z.boolean().default(true),
    num_conv_pos_embeddings: count.default(128),
    num_conv_pos_embedding_groups: count.default(16),
    conv_pos_batch_norm: z.literal(false, 'batch-normed positions are not supported').default(false),
    do_stable_layer_norm: z.boolean().default(false),
  })
  .refine(
    (c) => c.conv_dim.length === c.conv_kernel.length && c.conv_dim.length === c.conv_stride.length,
    'conv_dim, conv_kernel and conv_stride differ in length',
  )
  .refine(
    (c) => c.hidden_size % c.num_attention_heads === 0,
    'hidden_size is no multiple of num_attention_heads',
  )
  .refine(
    (c) => c.hidden_size % c.num_conv_pos_embedding_groups === 0,
    'hidden_size is no multiple of num_conv_pos_embedding_groups',
  );

/** Reads HuBERT's `config.json`. @throws InputError `ENCODER_CONFIG_INVALID` */
export function parseHubertConfig(json: unknown): HubertConfig {
  const parsed = parseModelFile(schema, json, 'config.json');
  return {
    hiddenSize: parsed.hidden_size,
    intermediateSize: parsed.intermediate_size,
    numHiddenLayers: parsed.num_hidden_layers,
    numAttentionHeads: parsed.num_attention_heads,
    hiddenAct: parsed.hidden_act,
    layerNormEps: parsed.layer_norm_eps,
    convolutions: parsed.conv_dim.map((channels, i) => ({
      channels,
      kernel: parsed.conv_kernel[i]!,
      stride: parsed.conv_stride[i]!,
    })),
    convBias: parsed.conv_bias,
    featExtractNorm: parsed.feat_extract_norm,
    featExtractActivation: parsed.feat_extract_activation,
    featProjLayerNorm: parsed.feat_proj_layer_norm,
    numConvPosEmbeddings: parsed.num_conv_pos_embeddings,
    numConvPosEmbeddingGroups: parsed.num_conv_pos_embedding_groups,
    doStableLayerNorm: parsed.do_stable_layer_norm,
  };
}

/** Does the i-th convolution have a norm? */
export const hasConvolutionNorm = (config: HubertConfig, index: number): boolean =>
  config.featExtractNorm === 'layer' || index === 0;

/** All tensors that the features depend on and how a fresh one is drawn (Hugging Face's HuBERT initialisation). */
export function hubertTensorPlan(config: HubertConfig): TensorPlan {
  const { hiddenSize, intermediateSize } = config;
  const plan: TensorPlan = {};
  const norm = (name: string, size: number): void => {
    plan[`${name}.weight`] = { shape: [size], init: constant(1) };
    plan[`${name}.bias`] = { shape: [size], init: constant(0) };
  };
  const dense = (name: string, outputs: number, inputs: number): void => {
    plan[`${name}.weight`] = { shape: [outputs, inputs], init: normal(0.02) };
    plan[`${name}.bias`] = { shape: [outputs], init: constant(0) };
  };

  let channels = 1;
  config.convolutions.forEach((convolution, index) => {
    const prefix = `feature_extractor.conv_layers.${index}`;
    plan[`${prefix}.conv.weight`] = {
      shape: [convolution.channels, channels, convolution.kernel],
      init: normal(Math.sqrt(2 / (channels * convolution.kernel))),
    };
    if (config.convBias) plan[`${prefix}.conv.bias`] = { shape: [convolution.channels], init: constant(0) };
    if (hasConvolutionNorm(config, index)) norm(`${prefix}.layer_norm`, convolution.channels);
    channels = convolution.channels;
  });
  if (config.featProjLayerNorm) norm('feature_projection.layer_norm', channels);
  dense('feature_projection.projection', hiddenSize, channels);

  const perGroup = hiddenSize / config.numConvPosEmbeddingGroups;
  const kernel = config.numConvPosEmbeddings;
  const std = 2 / Math.sqrt(kernel * hiddenSize);
  const positions = 'encoder.pos_conv_embed.conv';
  plan[`${positions}.weight_v`] = { shape: [hiddenSize, perGroup, kernel], init: normal(std) };
  // The expected norm of weight_v, so that the normed weight starts with the same spread.
  plan[`${positions}.weight_g`] = {
    shape: [1, 1, kernel],
    init: constant(std * Math.sqrt(hiddenSize * perGroup)),
  };
  plan[`${positions}.bias`] = { shape: [hiddenSize], init: constant(0) };
  norm('encoder.layer_norm', hiddenSize);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `encoder.layers.${layer}`;
    for (const projection of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      dense(`${prefix}.attention.${projection}`, hiddenSize, hiddenSize);
    }
    norm(`${prefix}.layer_norm`, hiddenSize);
    dense(`${prefix}.feed_forward.intermediate_dense`, intermediateSize, hiddenSize);
    dense(`${prefix}.feed_forward.output_dense`, hiddenSize, intermediateSize);
    norm(`${prefix}.final_layer_norm`, hiddenSize);
  }
  return plan;
}
