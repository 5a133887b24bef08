import { publishedDecoders } from '../runtime/published-shapes.ts';

const tied = { model_type: 'qwen2', tie_word_embeddings: true };

/** `config.json` of the decoders that are measured: s and m have the proportions of Qwen2.5, l is Qwen2.5-0.5B. */
export const decoderSizes = {
  s: {
    ...tied,
    hidden_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 1024,
    vocab_size: 1024,
  },
  m: {
    ...tied,
    hidden_size: 896,
    num_hidden_layers: 4,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    intermediate_size: 4864,
    vocab_size: 8192,
  },
  l: {
    ...publishedDecoders['Qwen/Qwen2.5-0.5B'],
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    hidden_act: 'silu',
  },
} as const;

export type DecoderSize = keyof typeof decoderSizes;
