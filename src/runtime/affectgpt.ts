import { fusionTensorShapes, initFusion, isProjector } from '../../fusion/parameters.ts';
import { publishedQformer } from '../../fusion/qformer.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { type AffectGptConfig, checkAffectGptConfig } from '../../model/affectgpt.ts';
import { type DecoderConfig, decoderTensorShapes } from '../../model/decoder.ts';
import { inputMode } from '../../model/modes.ts';
import type { Config } from '../config/schema.ts';
import { clipCount } from '../data/media/audio.ts';
import { loadTokenizer, type PromptTokenizer } from '../data/tokenizer.ts';
import type { HostTensor, HostTensorMap } from '../engine/types.ts';
import { allOrFaults } from '../errors.ts';
import { readFloat32 } from '../io/safetensors.ts';
import { locateConfiguredModels } from './configured-models.ts';
import type { EncoderInputs, OpenEncoder } from './encoders/open-encoder.ts';
import type { TrainableShapes } from './generator.ts';
import { openDecoder, type PretrainedDecoder, type Weights } from './pretrained.ts';

/** A configured model with its parts opened: what training, prediction and evaluation start from. */
export interface AffectGpt {
  readonly config: AffectGptConfig;
  readonly decoder: PretrainedDecoder;
  readonly visual: OpenEncoder<EncoderInputs['visual']> | undefined;
  readonly audio: OpenEncoder<EncoderInputs['audio']> | undefined;
  readonly tokenizer: PromptTokenizer;
  /** Tensors that training changes, by name. */
  readonly trainable: TrainableShapes;
  /** Tensors that it does not: the decoder's, and fusion tensors that `train.parts` freezes. */
  readonly weights: Weights;
  /** Number of parameters of each part of the model, trained or not. */
  readonly parameterCounts: ParameterCounts;
}

export interface ParameterCounts {
  readonly trainable: number;
  readonly frozen: number;
}

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const total = (shapes: Readonly<Record<string, { readonly shape: readonly number[] }>>): number =>
  Object.values(shapes).reduce((sum, { shape }) => sum + elements(shape), 0);

/** Sizes of the models that a configuration names; null for an encoder that its inputs do not need. */
export interface ModelSizes {
  readonly decoder: DecoderConfig;
  readonly visualSize: number | null;
  readonly audioSize: number | null;
}

/**
 * What a configuration builds around models of these sizes.
 * @throws InputError `FUSION_CONFIG_INVALID`, `INPUT_MODE_NEEDS_FUSION`
 */
export function describeAffectGpt(config: Config, sizes: ModelSizes): AffectGptConfig {
  const { decoder, visualSize, audioSize } = sizes;
  const { queryTokens, ...fusion } = config.fusion;
  const model: AffectGptConfig = {
    decoder,
    mode: inputMode(config.model.inputs),
    fusion: {
      ...fusion,
      visualSize,
      audioSize,
      hiddenSize: decoder.hiddenSize,
      frames: config.model.frames,
      patches: 1,
      audioClips: clipCount,
      multi: visualSize === null || audioSize === null ? 'none' : fusion.multi,
      image: 'mean',
      queryTokens: { ...queryTokens, image: 1 },
      qformer: publishedQformer,
    },
    lora: config.train.parts.decoder === 'lora' ? config.lora : null,
  };
  checkAffectGptConfig(model);
  return model;
}

/**
 * Opens everything a configuration names. Encoders that the input mode does not need are not opened.
 *
 * @throws InputError those of `locateConfiguredModels`, and whatever is wrong with what is there
 */
export async function openAffectGpt(config: Config): Promise<AffectGpt> {
  const { folders, ...sources } = await locateConfiguredModels(config);
  const [decoder, visual, audio] = await allOrFaults([
    openDecoder(folders['model.llm']!),
    sources.visual?.open(folders['model.visualEncoder.model']),
    sources.audio?.open(folders['model.audioEncoder.model']),
  ]);
  const model = describeAffectGpt(config, {
    decoder: decoder.config,
    visualSize: visual?.outputDimension ?? null,
    audioSize: audio?.outputDimension ?? null,
  });
  const trainable = trainableShapes(config, model);
  const weights = { ...decoder.weights, ...frozenFusion(config, model, trainable) };
  const frozen = total(weights) + (visual?.parameterCount ?? 0) + (audio?.parameterCount ?? 0);
  const trained = Object.values(trainable).reduce((sum, shape) => sum + elements(shape), 0);
  return {
    config: model,
    decoder,
    visual,
    audio,
    tokenizer: await loadTokenizer(folders['model.llm']!),
    trainable,
    weights,
    parameterCounts: {
      trainable: trained,
      frozen: config.train.parts.decoder === 'full' ? frozen - total(decoder.weights) : frozen,
    },
  };
}

/** Fusion tensors that stay as they were drawn. Q-Formers take seconds to draw, so not where all are trained. */
function frozenFusion(config: Config, model: AffectGptConfig, trainable: TrainableShapes): HostTensorMap {
  const isFrozen = (name: string): boolean => trainable[name] === undefined;
  if (!Object.keys(fusionTensorShapes(model.fusion)).some(isFrozen)) return {};
  const drawn = Object.entries(initFusion(model.fusion, config.train.seed));
  return Object.fromEntries(drawn.filter(([name]) => isFrozen(name)));
}

/** What `train.parts` trains, with shapes. */
export function trainableShapes(
  config: Pick<Config, 'train' | 'lora'>,
  model: AffectGptConfig,
): TrainableShapes {
  const { parts } = config.train;
  const decoderShapes = decoderTensorShapes(model.decoder);
  const decoder = {
    frozen: () => ({}),
    lora: () => adapterTensorShapes(decoderShapes, config.lora),
    full: () => decoderShapes,
  }[parts.decoder]();
  const fusion = Object.entries(fusionTensorShapes(model.fusion)).filter(
    ([name]) => parts[isProjector(name) ? 'projectors' : 'fusion'] === 'train',
  );
  return { ...decoder, ...Object.fromEntries(fusion) };
}

/** Values of the trainable tensors at the start of a run: seeded, or the decoder's own where it is trained as a whole. */
export async function initialParameters(config: Config, model: AffectGpt): Promise<HostTensorMap> {
  const { seed, parts } = config.train;
  const values: Record<string, HostTensor> = { ...initFusion(model.config.fusion, seed) };
  if (parts.decoder === 'lora') {
    Object.assign(
      values,
      initAdapter(adapterTensorShapes(decoderTensorShapes(model.config.decoder), config.lora), seed),
    );
  } else if (parts.decoder === 'full') {
    for (const [name, source] of Object.entries(model.decoder.weights)) {
      const data =
        'dtype' in source
          ? (source.data as Float32Array)
          : await readFloat32({ ...source, name, dtype: source.storage });
      values[name] = { dtype: 'float32', shape: source.shape, data };
    }
  }
  return Object.fromEntries(Object.keys(model.trainable).map((name) => [name, values[name]!]));
}
