import type { EncoderFiles } from '../../encoders/encoder.ts';
import { parseReference } from '../hub/reference.ts';

/**
 * What decides the shapes of published models, of their `config.json` (and `preprocessor_config.json`): enough to count
 * parameters and to reckon memory without a file of them. Not enough to run one: what only changes values is left out.
 */

type Qwen = readonly [
  size: string,
  hidden: number,
  layers: number,
  heads: number,
  keyValueHeads: number,
  feedForward: number,
  vocabulary: number,
  isTied: boolean,
];

const qwenSizes: readonly Qwen[] = [
  ['0.5B', 896, 24, 14, 2, 4864, 151_936, true],
  ['1.5B', 1536, 28, 12, 2, 8960, 151_936, true],
  ['3B', 2048, 36, 16, 2, 11_008, 151_936, true],
  ['7B', 3584, 28, 28, 4, 18_944, 152_064, false],
  ['14B', 5120, 48, 40, 8, 13_824, 152_064, false],
  ['32B', 5120, 64, 40, 8, 27_648, 152_064, false],
  ['72B', 8192, 80, 64, 8, 29_568, 152_064, false],
];

/** Keys of `config.json` by id of the Hugging Face hub. */
export const publishedDecoders: Readonly<Record<string, Readonly<Record<string, unknown>>>> =
  Object.fromEntries(
    qwenSizes.flatMap(([size, hidden, layers, heads, keyValueHeads, feedForward, vocabulary, isTied]) => {
      const config = {
        model_type: 'qwen2',
        hidden_size: hidden,
        intermediate_size: feedForward,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: keyValueHeads,
        vocab_size: vocabulary,
        tie_word_embeddings: isTied,
      };
      return ['', '-Instruct'].map((ending) => [`Qwen/Qwen2.5-${size}${ending}`, config]);
    }),
  );

/** A published encoder: its type in the encoder registry, and what decides its shapes. */
export interface PublishedEncoder extends EncoderFiles {
  readonly type: string;
}

const large = {
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
};
const speech = { do_normalize: true, sampling_rate: 16_000 };

/** By id of the Hugging Face hub. */
export const publishedEncoders = {
  'openai/clip-vit-large-patch14': {
    type: 'clip',
    config: {
      projection_dim: 768,
      vision_config: { ...large, image_size: 224, patch_size: 14, hidden_act: 'quick_gelu' },
    },
    preprocessor: {
      size: 224,
      crop_size: 224,
      image_mean: [0.48145466, 0.4578275, 0.40821073],
      image_std: [0.26862954, 0.26130258, 0.27577711],
    },
  },
  'facebook/dinov2-large': {
    type: 'dinov2',
    config: {
      hidden_size: 1024,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      mlp_ratio: 4,
      image_size: 518,
      patch_size: 14,
    },
    preprocessor: { size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 } },
  },
  'google/siglip-so400m-patch14-384': {
    type: 'siglip',
    config: {
      vision_config: {
        hidden_size: 1152,
        intermediate_size: 4304,
        num_hidden_layers: 27,
        num_attention_heads: 16,
        image_size: 384,
        patch_size: 14,
      },
    },
    preprocessor: { size: { height: 384, width: 384 } },
  },
  'TencentGameMate/chinese-hubert-large': {
    type: 'hubert',
    config: {
      ...large,
      feat_extract_norm: 'layer',
      conv_bias: true,
      do_stable_layer_norm: true,
      num_conv_pos_embeddings: 128,
      num_conv_pos_embedding_groups: 16,
    },
    preprocessor: speech,
  },
  'microsoft/wavlm-large': {
    type: 'wavlm',
    config: {
      ...large,
      feat_extract_norm: 'layer',
      conv_bias: false,
      do_stable_layer_norm: true,
      num_conv_pos_embeddings: 128,
      num_conv_pos_embedding_groups: 16,
      num_buckets: 320,
      max_bucket_distance: 800,
    },
    preprocessor: speech,
  },
  'facebook/data2vec-audio-base-960h': {
    type: 'data2vec',
    config: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      feat_extract_norm: 'layer',
      conv_bias: false,
      num_conv_pos_embeddings: 5,
      conv_pos_kernel_size: 19,
    },
    preprocessor: speech,
  },
} as const satisfies Readonly<Record<string, PublishedEncoder>>;

/** What is known of a model by its name in a configuration; its revision does not matter to shapes. */
function publishedEntry<Entry>(table: Readonly<Record<string, Entry>>, name: string): Entry | undefined {
  const id = parseReference(name)?.id ?? name;
  return Object.hasOwn(table, id) ? table[id] : undefined;
}

/** Keys of the `config.json` of a published language model; undefined for one that is not in the table. */
export const publishedDecoder = (name: string) => publishedEntry(publishedDecoders, name);

/** Type and files of a published encoder; undefined for one that is not in the table. */
export const publishedEncoder = (name: string): PublishedEncoder | undefined =>
  publishedEntry<PublishedEncoder>(publishedEncoders, name);
