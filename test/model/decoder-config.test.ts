import { describe, expect, it } from 'vitest';
import { parseDecoderConfig } from '../../model/decoder-config.ts';
import { InputError } from '../../src/errors.ts';
import { fixturePath, readJson } from '../support/fixture.ts';

const published = {
  model_type: 'qwen2',
  hidden_size: 896,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 24,
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

function faultsOf(json: unknown): string {
  try {
    parseDecoderConfig(json);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).code).toBe('DECODER_CONFIG_INVALID');
    return (error as InputError).message;
  }
  throw new Error('the configuration was accepted');
}

describe('parseDecoderConfig', () => {
  it('reads the published form and the form of transformers 5 alike', async () => {
    const config = parseDecoderConfig(await readJson(fixturePath('qwen2/config.json')));
    expect(config).toMatchObject({
      ropeTheta: 1e6,
      headDim: 16,
      numKeyValueHeads: 2,
      tieWordEmbeddings: true,
    });
    expect(parseDecoderConfig(await readJson(fixturePath('qwen2/config.transformers5.json')))).toEqual(
      config,
    );
  });

  it('reads Qwen2.5 with its window that no layer uses', () => {
    expect(parseDecoderConfig(published)).toMatchObject({
      headDim: 64,
      queryKeyValueBias: true,
      outputBias: false,
    });
    expect(() => parseDecoderConfig({ ...published, use_sliding_window: true })).not.toThrow();
  });

  it.each([
    [{ use_sliding_window: true, max_window_layers: 12 }, 'sliding window'],
    [{ layer_types: ['full_attention', 'sliding_attention'] }, 'sliding_attention'],
    [{ rope_scaling: { type: 'yarn', factor: 4 } }, '"yarn"'],
    [{ rope_parameters: { rope_type: 'default', rope_theta: 10000 } }, 'rope_theta'],
    [{ model_type: 'qwen3' }, '"qwen3"'],
    [{ hidden_act: 'gelu' }, '"gelu"'],
    [{ quantization_config: { bits: 4 } }, 'quantized'],
    [{ num_key_value_heads: 3 }, 'not a multiple'],
    [{ num_key_value_heads: undefined }, '"num_key_value_heads" is missing'],
    [{ hidden_size: 900 }, 'head_dim'],
    [{ vocab_size: '151936' }, '"vocab_size"'],
    [{ attention_dropout: 0.1 }, 'attention_dropout'],
  ])('refuses %j', (change, text) => {
    expect(faultsOf({ ...published, ...change })).toContain(text);
  });

  it('names all faults at once', () => {
    const message = faultsOf({ ...published, model_type: undefined, vocab_size: 0, rms_norm_eps: 'small' });
    for (const key of ['model_type', 'vocab_size', 'rms_norm_eps']) expect(message).toContain(key);
    expect(faultsOf('qwen2')).toContain('not a JSON object');
  });
});
