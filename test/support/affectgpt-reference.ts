import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FusionConfig } from '../../fusion/config.ts';
import { publishedQformer } from '../../fusion/qformer.ts';
import { fromPeftName } from '../../lora/names.ts';
import { type AffectGptConfig, checkAffectGptConfig, placeholderRuns } from '../../model/affectgpt.ts';
import { causalBias, type DecoderConfig, parseDecoderConfig, ropeTables } from '../../model/decoder.ts';
import { supervisedPositions } from '../../model/loss.ts';
import { type InputModeName, inputMode, type SlotName } from '../../model/modes.ts';
import { placeSlots } from '../../model/splice.ts';
import { placeholders } from '../../src/data/prompts.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { fixturePath, readJson, readTensors } from './fixture.ts';
import { referenceTokenizer } from './qwen-tokenizer.ts';

/** Results of the published code on tiny models: a folder such as `test/fixtures/affectgpt_reference`. */
export interface AffectGptReference {
  readonly folder: string;
  readonly golden: ReferenceGolden;
  /** `prompts.json`; undefined where there is none. */
  readonly prompts: PromptFacts | undefined;
  readonly placeholderIds: Readonly<Record<SlotName, number>>;
  readonly decoder: DecoderConfig;
  readonly lora: { readonly rank: number; readonly alpha: number; readonly dropout: number };
  /** The decoder and its adapters, which every variant starts from, under our names. */
  readonly frozen: HostTensorMap;
  readonly adapter: HostTensorMap;
}

/** A trajectory of optimizer steps. */
export interface StepFacts {
  readonly losses: readonly number[];
  readonly loss_after: number;
  readonly lrs: readonly number[];
  readonly [setting: string]: unknown;
}

export interface ParameterGroup {
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly count: number;
  readonly lora: number;
  readonly names: readonly string[];
}

export interface VariantFacts {
  readonly mode: InputModeName;
  readonly config: Readonly<Record<string, string | number>>;
  readonly loss: number;
  readonly grad_none?: readonly string[];
  readonly grad_norms?: Readonly<Record<string, number>>;
  readonly label_types: readonly string[];
  readonly prompts: readonly string[];
  readonly answers: readonly string[];
  readonly param_groups?: readonly ParameterGroup[];
  readonly param_groups_all_names?: readonly (readonly string[])[];
  readonly checkpoint_keys_outside_the_llm?: readonly string[];
  readonly checkpoint_keys_in_the_llm?: number;
  readonly dropout_rates_set_to_zero?: Readonly<Record<string, number>>;
  readonly [steps: `five_steps_${string}`]: StepFacts;
}

type ModelConfigs = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** `golden.json`, as far as the model is built from it. */
export interface ReferenceGolden {
  readonly compare: string;
  readonly sizes: Readonly<Record<'d_v' | 'd_a' | 'qf_hidden' | 'qf_heads' | 'qf_inter', number>>;
  readonly lora_alpha: number;
  readonly tiny_model_configs: ModelConfigs;
  readonly variants: Readonly<Record<string, VariantFacts>>;
  readonly [section: string]: unknown;
}

export interface PromptFacts {
  readonly special: {
    readonly placeholders: Readonly<Record<string, number>>;
    readonly [token: string]: unknown;
  };
  readonly [section: string]: unknown;
}

/** Our name of a tensor of the published model. */
export function ownName(name: string): string {
  return fromPeftName(name) ?? name.replace('llama_model.base_model.model.', '').replace('.base_layer.', '.');
}

export const isAdapter = (name: string): boolean => name.includes('.lora_');

/** Entries of a safetensors file below a prefix such as `param/`, under our names. */
export function below(tensors: HostTensorMap, prefix: string): HostTensorMap {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [ownName(name.slice(prefix.length)), tensor]),
  );
}

const pick = (tensors: HostTensorMap, keep: (name: string) => boolean): HostTensorMap =>
  Object.fromEntries(Object.entries(tensors).filter(([name]) => keep(name)));

/** The ids of the added tokens, by slot. */
async function readPlaceholderIds(
  folder: string,
  prompts: PromptFacts | undefined,
): Promise<Readonly<Record<SlotName, number>>> {
  if (prompts === undefined) return (await referenceTokenizer(folder)).placeholderIds;
  const ids = prompts.special.placeholders;
  return Object.fromEntries(Object.entries(placeholders).map(([slot, text]) => [slot, ids[text]!])) as Record<
    SlotName,
    number
  >;
}

/**
 * Opens a folder of results of the published code.
 * @param golden content of its `golden.json`, read where absent
 * @throws InputError for what is missing or no model
 */
export async function openReference(
  folder: string = fixturePath('affectgpt_reference'),
  golden?: ReferenceGolden,
): Promise<AffectGptReference> {
  const facts = golden ?? ((await readJson(join(folder, 'golden.json'))) as ReferenceGolden);
  const promptFile = join(folder, 'prompts.json');
  const prompts = existsSync(promptFile) ? ((await readJson(promptFile)) as PromptFacts) : undefined;
  const languageModel = below(await readTensors(join(folder, 'llm.safetensors')), '');
  const adapter = pick(languageModel, isAdapter);
  const rank = Object.entries(adapter).find(([name]) => name.endsWith('.lora_A.weight'))?.[1].shape[0];
  if (rank === undefined) {
    throw new InputError('PARITY_INPUT_MISSING', `${folder}/llm.safetensors holds no adapter tensors.`);
  }
  return {
    folder,
    golden: facts,
    prompts,
    placeholderIds: await readPlaceholderIds(folder, prompts),
    decoder: parseDecoderConfig(facts.tiny_model_configs.qwen2),
    // Reference results are made without dropout.
    lora: { rank, alpha: facts.lora_alpha, dropout: 0 },
    frozen: pick(languageModel, (name) => !isAdapter(name)),
    adapter,
  };
}

/** The Q-Formers of the tiny models; the published code gives them two of the layers that their config names. */
function qformerConfig({ golden }: AffectGptReference): FusionConfig['qformer'] {
  const { sizes } = golden;
  const stored = golden.tiny_model_configs.qformer ?? {};
  return {
    hiddenSize: sizes.qf_hidden,
    numHiddenLayers: publishedQformer.numHiddenLayers,
    numAttentionHeads: sizes.qf_heads,
    intermediateSize: sizes.qf_inter,
    layerNormEps: (stored.layer_norm_eps as number | undefined) ?? publishedQformer.layerNormEps,
    crossAttentionFrequency: publishedQformer.crossAttentionFrequency,
    dropout: 0,
  };
}

/** A model around the decoder of a folder. */
export function referenceConfig(
  reference: AffectGptReference,
  mode: string,
  fusion: Pick<FusionConfig, 'multi' | 'video' | 'audio' | 'image' | 'queryTokens'>,
  features: HostTensorMap = {},
): AffectGptConfig {
  const { sizes } = reference.golden;
  const clip = features.face ?? features.frame;
  const picture = clip ?? features.image;
  const config: AffectGptConfig = {
    decoder: reference.decoder,
    fusion: {
      visualSize: sizes.d_v,
      audioSize: sizes.d_a,
      hiddenSize: reference.decoder.hiddenSize,
      frames: clip?.shape[1] ?? 8,
      patches: picture?.shape.length === 4 ? picture.shape[2]! : 1,
      audioClips: features.audio?.shape[1] ?? 8,
      multi: fusion.multi,
      video: fusion.video,
      audio: fusion.audio,
      image: fusion.image,
      queryTokens: fusion.queryTokens,
      qformer: qformerConfig(reference),
    },
    mode: inputMode(mode),
    lora: reference.lora,
  };
  checkAffectGptConfig(config);
  return config;
}

/** The model of a variant. @param features its stored inputs */
export function variantConfig(
  reference: AffectGptReference,
  { mode, config }: VariantFacts,
  features?: HostTensorMap,
): AffectGptConfig {
  const fusion = {
    multi: config.multi_fusion_type,
    video: config.video_fusion_type,
    audio: config.audio_fusion_type,
    image: config.image_fusion_type,
    queryTokens: {
      multi: config.num_multi_query_token,
      video: config.num_video_query_token,
      audio: config.num_audio_query_token,
      image: config.num_image_query_token,
    },
  };
  return referenceConfig(reference, mode, fusion as FusionConfig, features);
}

/** Stored token rows of a batch. */
export type TokenRows = Readonly<Record<'input_ids' | 'labels' | 'attention_masks', HostTensor>>;

/** What the loss reads besides features, from the token rows of a collated batch. */
export function tokenInputs(
  config: AffectGptConfig,
  placeholderIds: Readonly<Record<SlotName, number>>,
  rows: TokenRows,
): HostTensorMap {
  const tokens = rows.input_ids.shape[1]!;
  const { inputIds, slotIndex, isSlot } = placeSlots(rows.input_ids, placeholderRuns(config, placeholderIds));
  const { positions, targets } = supervisedPositions(rows.labels);
  const shape = [positions.length];
  return {
    inputIds,
    ...(config.mode.slots.length > 0 && { slotIndex, isSlot }),
    ...ropeTables(
      config.decoder,
      Array.from({ length: tokens }, (_, position) => position),
    ),
    attentionBias: causalBias(rows.attention_masks),
    positions: { dtype: 'int32', shape, data: positions },
    targets: { dtype: 'int32', shape, data: targets },
    targetWeights: { dtype: 'float32', shape, data: new Float32Array(positions.length).fill(1) },
  };
}

export interface Variant {
  readonly name: string;
  /** Of its tensors, without the folder. */
  readonly file: string;
  readonly facts: VariantFacts;
  readonly config: AffectGptConfig;
  readonly stored: HostTensorMap;
  /** Features and token rows as stored. */
  readonly batch: HostTensorMap & TokenRows;
  /** LoRA and everything outside the language model. */
  readonly trainable: HostTensorMap;
}

/** @throws InputError for what is missing or no model */
export async function openVariant(reference: AffectGptReference, name: string): Promise<Variant> {
  const file = `variant-${name}.safetensors`;
  const stored = await readTensors(join(reference.folder, file));
  const batch = below(stored, 'input/') as Variant['batch'];
  for (const rows of ['input_ids', 'labels', 'attention_masks'] as const) {
    if (batch[rows] === undefined) {
      throw new InputError('PARITY_INPUT_MISSING', `${file} holds no input/${rows}.`);
    }
  }
  const facts = reference.golden.variants[name]!;
  return {
    name,
    file,
    facts,
    config: variantConfig(reference, facts, batch),
    stored,
    batch,
    trainable: { ...reference.adapter, ...below(stored, 'param/') },
  };
}
