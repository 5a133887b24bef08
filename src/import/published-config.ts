import type { PickleValue } from '../io/pickle.ts';

/** A map of configuration keys, not validated. */
export type ConfigKeys = Record<string, unknown>;

/** What a checkpoint says of the configuration it belongs to. */
export interface KnownKeys {
  /** Where models and data lie and how it was trained: held where the user says nothing. */
  readonly defaults: ConfigKeys;
  /** What its tensors are made for: held whatever a configuration file says. */
  readonly facts: ConfigKeys;
  /** Optimizer steps of a published epoch, where it says so. */
  readonly stepsPerEpoch: number | undefined;
}

interface EncoderReference {
  readonly type: string;
  readonly model: string;
}

/** The published code's names of language models that have a place here. */
const languageModels: Readonly<Record<string, string>> = {
  Qwen2: 'Qwen/Qwen2-7B-Instruct',
  Qwen25: 'Qwen/Qwen2.5-7B-Instruct',
};
const visualEncoders: Readonly<Record<string, EncoderReference>> = {
  CLIP_VIT_LARGE: { type: 'clip', model: 'openai/clip-vit-large-patch14' },
  DINO2_LARGE: { type: 'dinov2', model: 'facebook/dinov2-large' },
  SigLIP_SO: { type: 'siglip', model: 'google/siglip-so400m-patch14-384' },
};
const audioEncoders: Readonly<Record<string, EncoderReference>> = {
  HUBERT_LARGE: { type: 'hubert', model: 'TencentGameMate/chinese-hubert-large' },
  WAVLM_LARGE: { type: 'wavlm', model: 'microsoft/wavlm-large' },
  DATA2VEC_BASE: { type: 'data2vec', model: 'facebook/data2vec-audio-base-960h' },
};

const unknownPrefix = 'not known here: ';

/** Stands for a model whose published name means nothing here, until the user names one. */
const unknownModel = (name: unknown): string => `${unknownPrefix}${String(name)}`;

/** The published name behind a value of `unknownModel`; undefined for any other. */
export const unknownModelName = (model: string): string | undefined =>
  model.startsWith(unknownPrefix) ? model.slice(unknownPrefix.length) : undefined;

/** What is some keys down; undefined where there is nothing, or None. */
function inside(map: PickleValue | undefined, keys: readonly string[]): PickleValue | undefined {
  let value = map;
  for (const key of keys) value = value instanceof Map ? value.get(key) : undefined;
  return value ?? undefined;
}

/** A plain value some keys down. Anything else becomes a text that no key accepts. */
function at(map: PickleValue | undefined, ...keys: readonly string[]): string | number | boolean | undefined {
  const value = inside(map, keys);
  if (value === undefined || typeof value === 'string' || typeof value === 'number') return value;
  return typeof value === 'boolean' ? value : '(not a plain value)';
}

/** Without the keys that have no value, and without what is left empty by that. */
function compact(keys: ConfigKeys): ConfigKeys {
  const kept: ConfigKeys = {};
  for (const [key, value] of Object.entries(keys)) {
    const inner =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? compact(value as ConfigKeys)
        : value;
    const isEmpty = typeof inner === 'object' && inner !== null && Object.keys(inner).length === 0;
    if (inner !== undefined && !isEmpty) kept[key] = inner;
  }
  return kept;
}

function encoder(known: Readonly<Record<string, EncoderReference>>, name: unknown): ConfigKeys | undefined {
  if (name === undefined) return undefined;
  const reference = typeof name === 'string' && Object.hasOwn(known, name) ? known[name] : undefined;
  return reference === undefined ? { model: unknownModel(name) } : { ...reference };
}

function languageModel(name: unknown): string | undefined {
  if (name === undefined) return undefined;
  return typeof name === 'string' && Object.hasOwn(languageModels, name)
    ? languageModels[name]
    : unknownModel(name);
}

const asNumber = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** How it was trained, as far as our keys say it. The published warm-up is never carried out, so there is none. */
function training(run: PickleValue | undefined): ConfigKeys {
  const [rate, lowest] = [asNumber(at(run, 'init_lr')), asNumber(at(run, 'min_lr'))];
  const [epochs, stepsPerEpoch] = [asNumber(at(run, 'max_epoch')), asNumber(at(run, 'iters_per_epoch'))];
  const isConstant = rate === undefined || lowest === undefined || rate === lowest;
  return {
    steps: epochs === undefined || stepsPerEpoch === undefined ? undefined : epochs * stepsPerEpoch,
    batchSize: at(run, 'batch_size_train'),
    accumulation: at(run, 'accum_grad_iters'),
    optimizer: { lr: rate, weightDecay: at(run, 'weight_decay') },
    schedule: isConstant ? undefined : { type: 'warmup-cosine', minLr: lowest },
    seed: at(run, 'seed'),
  };
}

/**
 * Our configuration keys for the `config` of a published checkpoint (its keys: specification of the published YAML).
 * Keys that it leaves out get the published code's defaults, not ours. A model that has no place here gets a name that
 * `unknownModelName` knows.
 */
export function publishedConfig(config: PickleValue): KnownKeys {
  const model = inside(config, ['model']);
  const datasets = inside(config, ['datasets']);
  const [dataset, settings] = datasets instanceof Map ? ([...datasets][0] ?? []) : [];
  const tokens = (branch: string) => at(model, `num_${branch}_query_token`);
  const rank = at(model, 'lora_r') ?? 16;
  return {
    defaults: compact({
      model: {
        llm: languageModel(at(model, 'llama_model')),
        visualEncoder: encoder(visualEncoders, at(model, 'visual_encoder')),
        audioEncoder: encoder(audioEncoders, at(model, 'acoustic_encoder')),
      },
      data: {
        dataset: typeof dataset === 'string' ? dataset : undefined,
        labelType: at(settings, 'label_type'),
      },
      train: training(inside(config, ['run'])),
      compat: 'reference',
    }),
    facts: compact({
      model: {
        inputs: at(settings, 'face_or_frame'),
        frames: at(model, 'vis_processor', 'train', 'n_frms'),
        maxLength: at(model, 'max_length'),
      },
      fusion: {
        multi: at(model, 'multi_fusion_type') ?? 'attention',
        video: at(model, 'video_fusion_type') ?? 'qformer',
        audio: at(model, 'audio_fusion_type') ?? 'qformer',
        queryTokens: { multi: tokens('multi'), video: tokens('video'), audio: tokens('audio') },
      },
      lora: { rank, alpha: 32, dropout: 0.05 },
      train: { parts: { decoder: at(model, 'frozen_llm') === true ? 'frozen' : 'lora' } },
    }),
    stepsPerEpoch: asNumber(at(config, 'run', 'iters_per_epoch')),
  };
}
