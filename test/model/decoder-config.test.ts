import { describe, expect, it } from 'vitest';
import { loraTargets } from '../../lora/config.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder-config.ts';
import { InputError } from '../../src/errors.ts';
import { publishedDecoders } from '../../src/runtime/published-shapes.ts';
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
    [{ num_key_value_heads: undefined }, '"num_key_value_heads" (32)'],
    [{ use_sliding_window: true, max_window_layers: 12, sliding_window: undefined }, 'sliding window'],
    [{ hidden_size: 900 }, 'head_dim'],
    [{ vocab_size: '151936' }, '"vocab_size"'],
    [{ attention_dropout: 0.1 }, 'attention_dropout'],
  ])('refuses %j', (change, text) => {
    expect(faultsOf({ ...published, ...change })).toContain(text);
  });

  it('takes what is absent as the Hugging Face classes do', () => {
    const shared = {
      hiddenSize: 4096,
      numHiddenLayers: 32,
      numKeyValueHeads: 32,
      rmsNormEps: 1e-6,
      ropeTheta: 1e4,
    };
    expect(parseDecoderConfig({ model_type: 'qwen2' })).toMatchObject({
      ...shared,
      vocabSize: 151_936,
      intermediateSize: 22_016,
      tieWordEmbeddings: false,
    });
    expect(parseDecoderConfig({ model_type: 'llama' })).toMatchObject({
      ...shared,
      vocabSize: 32_000,
      intermediateSize: 11_008,
    });
    expect(parseDecoderConfig({ ...published, num_key_value_heads: null }).numKeyValueHeads).toBe(14);
    const llama = { ...published, model_type: 'llama', num_key_value_heads: undefined };
    expect(parseDecoderConfig(llama).numKeyValueHeads).toBe(14);
  });

  it('names all faults at once', () => {
    const message = faultsOf({ ...published, model_type: undefined, vocab_size: 0, rms_norm_eps: 'small' });
    for (const key of ['model_type', 'vocab_size', 'rms_norm_eps']) expect(message).toContain(key);
    expect(faultsOf('qwen2')).toContain('not a JSON object');
  });
});

/** The published number of parameters by size. */
const sizes: [string, number][] = [
  ['0.5B', 494_032_768],
  ['1.5B', 1_543_714_304],
  ['3B', 3_085_938_688],
  ['7B', 7_615_616_512],
  ['14B', 14_770_033_664],
  ['32B', 32_763_876_352],
  ['72B', 72_706_203_648],
];

const elements = (shapes: Record<string, readonly number[]>): number =>
  Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);

describe('decoders of the published sizes', () => {
  it.each(sizes)('Qwen2.5-%s has as many parameters as published', (size, parameters) => {
    for (const ending of ['', '-Instruct']) {
      const config = parseDecoderConfig(publishedDecoders[`Qwen/Qwen2.5-${size}${ending}`]);
      expect(elements(decoderTensorShapes(config))).toBe(parameters);
    }
  });

  it('SmolLM2-135M of the Llama family has as many as published', () => {
    const config = parseDecoderConfig({
      model_type: 'llama',
      hidden_size: 576,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      intermediate_size: 1536,
      vocab_size: 49_152,
      tie_word_embeddings: true,
    });
    expect(elements(decoderTensorShapes(config))).toBe(134_515_008);
  });

  it.each([
    [8, 20_185_088],
    [16, 40_370_176],
    [32, 80_740_352],
  ])('the adapters of rank %i on Qwen2.5-7B have as many as the paper says', (rank, parameters) => {
    const shapes = decoderTensorShapes(parseDecoderConfig(publishedDecoders['Qwen/Qwen2.5-7B']));
    expect(elements(adapterTensorShapes(shapes, { rank, targets: loraTargets }))).toBe(parameters);
  });
});
