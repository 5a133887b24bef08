import { RandomGenerator } from '../src/engine/random.ts';
import type { HostTensorMap } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';

/** Shape of a Qwen2 or Llama decoder. */
export interface DecoderConfig {
  readonly modelType: 'qwen2' | 'llama';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly tieWordEmbeddings: boolean;
  /** Biases of the q, k and v projections, of the output projection, and of the three of the MLP. */
  readonly queryKeyValueBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** Standard deviation of new weights. */
  readonly initializerRange: number;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Typed access to the keys of a config.json that gathers faults instead of stopping at the first. */
class ConfigReader {
  readonly json: Json;
  readonly faults: string[] = [];

  constructor(json: Json) {
    this.json = json;
  }

  /** A whole number from 1; null counts as absent. */
  integer(key: string, fallback: number): number {
    const value = this.json[key] ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
    this.faults.push(`"${key}" is ${JSON.stringify(value) ?? 'missing'}, a whole number from 1 is expected`);
    return 1;
  }

  positive(key: string, fallback: number): number {
    const value = this.json[key] ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    this.faults.push(`"${key}" is ${JSON.stringify(value)}, a number above 0 is expected`);
    return fallback;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.json[key] ?? fallback;
    if (typeof value === 'boolean') return value;
    this.faults.push(`"${key}" is ${JSON.stringify(value)}, true or false is expected`);
    return fallback;
  }

  /** A key whose only supported value is `expected`, which is also its default. */
  only(key: string, expected: string | number): void {
    const value = this.json[key] ?? expected;
    if (value !== expected) {
      this.faults.push(
        `"${key}": ${JSON.stringify(value)} is not supported, only ${JSON.stringify(expected)}`,
      );
    }
  }
}

/**
 * Reads the content of a Hugging Face `config.json` of a Qwen2 or Llama model, in the published form (`rope_theta`
 * at the top) or as transformers 5 writes it (`rope_parameters`). What is absent has the default of the Hugging Face
 * classes.
 *
 * @throws InputError `DECODER_CONFIG_INVALID` with all faults: missing or impossible sizes, and whatever would change
 *   the computation in a way that this decoder does not compute (sliding windows, scaled rotary positions, other activations, quantized weights)
 */
export function parseDecoderConfig(json: unknown): DecoderConfig {
  const reader = new ConfigReader(isObject(json) ? json : {});
  const { faults } = reader;
  const modelType = reader.json.model_type === 'llama' ? 'llama' : 'qwen2';
  if (!isObject(json)) {
    faults.push('it is not a JSON object');
  } else if (json.model_type !== modelType) {
    faults.push(
      `"model_type" is ${JSON.stringify(json.model_type) ?? 'missing'}, "qwen2" or "llama" is expected`,
    );
  }
  const hiddenSize = reader.integer('hidden_size', 4096);
  const numAttentionHeads = reader.integer('num_attention_heads', 32);
  const llama = modelType === 'llama';
  // Qwen2's class takes 32 where the key is absent, and one for each query head only where it is null.
  const isPerHead = llama || reader.json.num_key_value_heads === null;
  const attentionBias = llama && reader.flag('attention_bias', false);
  const config: DecoderConfig = {
    modelType,
    vocabSize: reader.integer('vocab_size', llama ? 32_000 : 151_936),
    hiddenSize,
    intermediateSize: reader.integer('intermediate_size', llama ? 11_008 : 22_016),
    numHiddenLayers: reader.integer('num_hidden_layers', 32),
    numAttentionHeads,
    numKeyValueHeads: reader.integer('num_key_value_heads', isPerHead ? numAttentionHeads : 32),
    headDim: reader.integer('head_dim', hiddenSize / numAttentionHeads),
    maxPositionEmbeddings: reader.integer('max_position_embeddings', llama ? 2048 : 32_768),
    rmsNormEps: reader.positive('rms_norm_eps', 1e-6),
    ropeTheta: parseRopeTheta(reader),
    tieWordEmbeddings: reader.flag('tie_word_embeddings', false),
    queryKeyValueBias: !llama || attentionBias,
    outputBias: attentionBias,
    mlpBias: llama && reader.flag('mlp_bias', false),
    initializerRange: reader.positive('initializer_range', 0.02),
  };
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0) {
    faults.push(
      `"num_attention_heads" (${numAttentionHeads}) is not a multiple of "num_key_value_heads" (${config.numKeyValueHeads})`,
    );
  }
  if (config.headDim % 2 !== 0)
    faults.push(`the size of a head (${config.headDim}) is odd, rotary positions need it even`);
  reader.only('hidden_act', 'silu');
  reader.only('attention_dropout', 0);
  if (isObject(reader.json.quantization_config))
    faults.push('its weights are quantized ("quantization_config")');
  checkSlidingWindow(reader, config.numHiddenLayers);
  if (faults.length > 0) {
    throw new InputError(
      'DECODER_CONFIG_INVALID',
      `The configuration of the language model (config.json) cannot be used: ${faults.join('; ')}. ` +
        'Use the config.json of a Qwen2, Qwen2.5 or Llama checkpoint as published.',
    );
  }
  return config;
}

function parseRopeTheta(reader: ConfigReader): number {
  const { json, faults } = reader;
  for (const key of ['rope_parameters', 'rope_scaling']) {
    const rope = json[key];
    if (!isObject(rope)) continue;
    const type = rope.rope_type ?? rope.type ?? 'default';
    if (type !== 'default') {
      faults.push(
        `"${key}" asks for ${JSON.stringify(type)} rotary positions, only unscaled ones ("default") are supported`,
      );
    }
    if ((rope.partial_rotary_factor ?? 1) !== 1)
      faults.push(`"${key}" asks for rotary positions on a part of each head`);
  }
  const nested = isObject(json.rope_parameters) ? json.rope_parameters.rope_theta : undefined;
  const top = json.rope_theta ?? undefined;
  if (nested !== undefined && top !== undefined && nested !== top) {
    faults.push(`"rope_theta" is ${JSON.stringify(top)}, but ${JSON.stringify(nested)} in "rope_parameters"`);
  }
  const theta = nested ?? top ?? 10_000;
  if (typeof theta === 'number' && Number.isFinite(theta) && theta > 0) return theta;
  faults.push(`"rope_theta" is ${JSON.stringify(theta)}, a number above 0 is expected`);
  return 10_000;
}

/** Layers that attend to a window are refused; a window that no layer uses (as Qwen2.5 publishes) is fine. */
function checkSlidingWindow({ json, faults }: ConfigReader, numHiddenLayers: number): void {
  const given = json.layer_types;
  if (Array.isArray(given)) {
    const others = [...new Set(given)].filter((type) => type !== 'full_attention');
    if (others.length > 0)
      faults.push(`"layer_types" holds ${JSON.stringify(others)}, only "full_attention" is supported`);
    return;
  }
  const firstWindowed = typeof json.max_window_layers === 'number' ? json.max_window_layers : 28;
  if (
    json.use_sliding_window === true &&
    // Absent, it is 4,096.
    json.sliding_window !== null &&
    firstWindowed < numHiddenLayers
  ) {
    faults.push(
      `layers from ${firstWindowed} on use a sliding window ("use_sliding_window"), which is not supported`,
    );
  }
}

/**
 * Names (Hugging Face) and shapes of all weights, in the order of the forward pass. Linear weights are `[out, in]`;
 * `lm_head.weight` is there only when it is not tied to the embeddings.
 */
export function decoderTensorShapes(config: DecoderConfig): Record<string, number[]> {
  const { hiddenSize, intermediateSize } = config;
  const querySize = config.numAttentionHeads * config.headDim;
  const keySize = config.numKeyValueHeads * config.headDim;
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [config.vocabSize, hiddenSize] };
  const linear = (name: string, outSize: number, inSize: number, bias: boolean) => {
    shapes[`${name}.weight`] = [outSize, inSize];
    if (bias) shapes[`${name}.bias`] = [outSize];
  };
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const layer = `model.layers.${i}`;
    shapes[`${layer}.input_layernorm.weight`] = [hiddenSize];
    linear(`${layer}.self_attn.q_proj`, querySize, hiddenSize, config.queryKeyValueBias);
    linear(`${layer}.self_attn.k_proj`, keySize, hiddenSize, config.queryKeyValueBias);
    linear(`${layer}.self_attn.v_proj`, keySize, hiddenSize, config.queryKeyValueBias);
    linear(`${layer}.self_attn.o_proj`, hiddenSize, querySize, config.outputBias);
    shapes[`${layer}.post_attention_layernorm.weight`] = [hiddenSize];
    linear(`${layer}.mlp.gate_proj`, intermediateSize, hiddenSize, config.mlpBias);
    linear(`${layer}.mlp.up_proj`, intermediateSize, hiddenSize, config.mlpBias);
    linear(`${layer}.mlp.down_proj`, hiddenSize, intermediateSize, config.mlpBias);
  }
  shapes['model.norm.weight'] = [hiddenSize];
  if (!config.tieWordEmbeddings) linear('lm_head', config.vocabSize, hiddenSize, false);
  return shapes;
}

/**
 * New weights as the Hugging Face classes initialise them: matrices normal with deviation `initializerRange`, norm
 * scales 1, biases 0. Each tensor's numbers depend on the seed and its name only.
 */
export function initDecoderWeights(config: DecoderConfig, seed: number): HostTensorMap {
  const random = new RandomGenerator(seed);
  const weights: HostTensorMap = {};
  for (const [name, shape] of Object.entries(decoderTensorShapes(config))) {
    const count = shape.reduce((product, size) => product * size, 1);
    const data =
      shape.length === 2
        ? random.split(name).normalFloat32(count, 0, config.initializerRange)
        : new Float32Array(count).fill(name.endsWith('.bias') ? 0 : 1);
    weights[name] = { dtype: 'float32', shape, data };
  }
  return weights;
}

/** Number of all weights of a decoder, tied ones once. */
export const decoderParameterCount = (config: DecoderConfig): number =>
  Object.values(decoderTensorShapes(config)).reduce(
    (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
    0,
  );
