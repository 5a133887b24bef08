import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createEncoder } from '../../encoders/registry.ts';
import { initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { writeSafetensors } from '../../src/io/safetensors.ts';
import { LessonWriter } from '../../src/quickstart/corpus.ts';
import { Random } from '../../src/quickstart/random.ts';
import { trainTokenizer, writeTokenizer } from '../../src/quickstart/tokenizer.ts';

/** A Qwen2 with grouped queries. Its weights are large, so that a random model answers differently to everything. */
const decoderFile = {
  model_type: 'qwen2',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  hidden_act: 'silu',
  initializer_range: 0.25,
};

const visualFiles = {
  config: {
    model_type: 'clip_vision_model',
    hidden_size: 16,
    intermediate_size: 32,
    projection_dim: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_channels: 3,
    image_size: 32,
    patch_size: 16,
  },
  preprocessor: {
    size: 32,
    crop_size: 32,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  },
};

const audioFiles = {
  config: {
    model_type: 'hubert',
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    feat_extract_norm: 'layer',
    conv_dim: [8, 8],
    conv_kernel: [80, 16],
    conv_stride: [40, 16],
    conv_bias: true,
    num_conv_pos_embeddings: 8,
    num_conv_pos_embedding_groups: 2,
    do_stable_layer_norm: true,
  },
  preprocessor: { do_normalize: true, sampling_rate: 16_000 },
};

async function writeModel(folder: string, files: Record<string, object>, tensors: HostTensorMap) {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, `${name}.json`), JSON.stringify(content, null, 2));
  }
  const stored = Object.entries(tensors).map(([name, { shape, data }]) => {
    return [name, { dtype: 'F32', shape, data: data as Float32Array }] as const;
  });
  await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(stored), { format: 'pt' });
}

/** Larger matrices than a fresh encoder has: without training, its features would hardly differ from clip to clip. */
const louder = (tensors: HostTensorMap): HostTensorMap =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const factor = tensor.shape.length === 2 ? 10 : 1;
      return [name, { ...tensor, data: (tensor.data as Float32Array).map((value) => value * factor) }];
    }),
  );

/** Folders of models in Hugging Face layout. */
export interface TinyModels {
  readonly llm: string;
  readonly visual: string;
  readonly audio: string;
}

/** Writes a decoder with its tokenizer, a CLIP and a HuBERT, all random and tiny, into a folder. */
export async function writeTinyModels(folder: string, seed = 1): Promise<TinyModels> {
  const models = { llm: join(folder, 'llm'), visual: join(folder, 'visual'), audio: join(folder, 'audio') };
  await mkdir(models.llm, { recursive: true });
  const lessons = new LessonWriter(new Random(seed, 'tiny lessons'));
  const texts = Array.from({ length: 20 }, () => lessons.next()).flatMap(({ prompt, answer }) => [
    prompt,
    answer,
  ]);
  await writeTokenizer(models.llm, trainTokenizer(texts, 640));
  const config = { ...decoderFile, vocab_size: (await loadTokenizer(models.llm)).length };
  await writeModel(models.llm, { config }, initDecoderWeights(parseDecoderConfig(config), seed));
  for (const [type, to, { config, preprocessor }] of [
    ['clip', models.visual, visualFiles],
    ['hubert', models.audio, audioFiles],
  ] as const) {
    const fresh = createEncoder(type, { config, preprocessor }).init(seed);
    await writeModel(to, { config, preprocessor_config: preprocessor }, louder(fresh));
  }
  return models;
}
