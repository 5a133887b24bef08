import * as tf from '@tensorflow/tfjs';
import { checkFusionConfig, type FusionConfig } from '../fusion/config.ts';
import { imageTokens, type PooledTokens, poolFeatures } from '../fusion/pooling.ts';
import { type PrefusedTokens, prefuse } from '../fusion/prefusion.ts';
import type { LoraSettings } from '../lora/config.ts';
import { loraScale } from '../lora/config.ts';
import type { AdapterContext } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import type { InputSpec } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { type DecoderConfig, decoderForward, embedTokens, logits, targetLogits } from './decoder.ts';
import { crossEntropy } from './loss.ts';
import type { FeatureName, InputMode, SlotName } from './modes.ts';
import { type PlaceholderRun, splice } from './splice.ts';

/** A whole model: frozen or adapted decoder, fusion modules, and what they are fed with. */
export interface AffectGptConfig {
  readonly decoder: DecoderConfig;
  readonly fusion: FusionConfig;
  readonly mode: InputMode;
  /** null where the decoder has no adapters. */
  readonly lora: Pick<LoraSettings, 'rank' | 'alpha' | 'dropout'> | null;
}

/** What every call needs. Features that the mode does not need are absent. */
export interface AffectGptInputs {
  /** Encoder features, `[batch, time, size]` or `[batch, time, patches, size]`. */
  readonly face?: tf.Tensor;
  readonly frame?: tf.Tensor;
  readonly audio?: tf.Tensor;
  readonly image?: tf.Tensor;
  /** int32 `[batch, tokens]` from `placeSlots`, as the next two. */
  readonly inputIds: tf.Tensor;
  /** int32 `[batch, tokens]`; absent where the mode has no placeholders. */
  readonly slotIndex?: tf.Tensor;
  /** float32 `[batch, tokens]`; absent where the mode has no placeholders. */
  readonly isSlot?: tf.Tensor;
  /** int32 `[batch, tokens]` from `rowKeys`: the dropout of a training step. Nothing is dropped without it. */
  readonly rowKeys?: tf.Tensor;
}

export interface AffectGptLossInputs extends AffectGptInputs {
  /** `[1, 1, tokens, headDim]` from `ropeTables`. */
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
  /** `[batch, 1, tokens, tokens]` from `causalBias`. */
  readonly attentionBias: tf.Tensor;
  /** int32 `[supervised]`, rows whose next token is trained on, from `supervisedPositions`. */
  readonly positions: tf.Tensor;
  /** int32 `[supervised]` */
  readonly targets: tf.Tensor;
  /** float32 `[supervised]`, 1, or 0 where a list was padded. */
  readonly targetWeights: tf.Tensor;
}

/**
 * @throws InputError `FUSION_CONFIG_INVALID`, or `INPUT_MODE_NEEDS_FUSION` where the mode asks for something that
 *   the model is configured without
 */
export function checkAffectGptConfig(config: AffectGptConfig): void {
  checkFusionConfig(config.fusion);
  const { multi, visualSize, audioSize } = config.fusion;
  const missing: string[] = [];
  if (config.mode.fused !== null && multi === 'none') missing.push('a pre-fusion (fusion.multi is "none")');
  if (visualSize === null && config.mode.needs.some((feature) => feature !== 'audio')) {
    missing.push('a visual encoder (model.visualEncoder)');
  }
  if (audioSize === null && config.mode.needs.includes('audio')) {
    missing.push('an audio encoder (model.audioEncoder)');
  }
  if (missing.length > 0) {
    throw new InputError(
      'INPUT_MODE_NEEDS_FUSION',
      `model.inputs asks for the placeholders ${config.mode.slots.join(', ')}, which need ${missing.join(' and ')}.`,
    );
  }
}

/** Number of vectors that replace one placeholder of each kind; faces and frames share the video's. */
function tokensOfSlot(fusion: FusionConfig, slot: SlotName): number {
  return fusion.queryTokens[slot === 'face' || slot === 'frame' ? 'video' : slot];
}

/** What `placeSlots` has to look for, in the order in which `embedInputs` lays out the vectors. */
export function placeholderRuns(
  { fusion, mode }: AffectGptConfig,
  placeholderIds: Readonly<Record<SlotName, number>>,
): PlaceholderRun[] {
  return mode.slots.map((slot) => ({ id: placeholderIds[slot], tokens: tokensOfSlot(fusion, slot) }));
}

/** Shapes of the features that a mode needs, for compiling. Dimension: batch. */
export function featureInputSpecs({ fusion, mode }: AffectGptConfig): Record<string, InputSpec> {
  const visual = (time: number): InputSpec => ({
    dtype: 'float32',
    shape: ['batch', time, ...(fusion.patches > 1 ? [fusion.patches] : []), fusion.visualSize!],
  });
  const specs: Record<FeatureName, () => InputSpec> = {
    face: () => visual(fusion.frames),
    frame: () => visual(fusion.frames),
    image: () => visual(1),
    audio: () => ({ dtype: 'float32', shape: ['batch', fusion.audioClips, fusion.audioSize!] }),
  };
  return Object.fromEntries(mode.needs.map((feature) => [feature, specs[feature]()]));
}

/** Shapes of `AffectGptInputs` without `rowKeys`, for compiling. Dimensions: batch, tokens. */
export function embeddingInputSpecs(config: AffectGptConfig): Record<string, InputSpec> {
  const perToken = (dtype: InputSpec['dtype']): InputSpec => ({ dtype, shape: ['batch', 'tokens'] });
  return {
    ...featureInputSpecs(config),
    inputIds: perToken('int32'),
    ...(config.mode.slots.length > 0 ? { slotIndex: perToken('int32'), isSlot: perToken('float32') } : {}),
  };
}

/** Shapes of `AffectGptLossInputs`, for compiling. Dimensions: batch, tokens, supervised. */
export function lossInputSpecs(config: AffectGptConfig, dropout: boolean): Record<string, InputSpec> {
  const rope: InputSpec = { dtype: 'float32', shape: [1, 1, 'tokens', config.decoder.headDim] };
  return {
    ...embeddingInputSpecs(config),
    ...(dropout ? { rowKeys: { dtype: 'int32', shape: ['batch', 'tokens'] } } : {}),
    cos: rope,
    sin: rope,
    attentionBias: { dtype: 'float32', shape: ['batch', 1, 'tokens', 'tokens'] },
    positions: { dtype: 'int32', shape: ['supervised'] },
    targets: { dtype: 'int32', shape: ['supervised'] },
    targetWeights: { dtype: 'float32', shape: ['supervised'] },
  };
}

/** The vectors of all placeholders and what led to them. */
export interface ModalityTokens {
  /** `[batch, queryTokens, hidden]` by placeholder, in the order of the mode's slots. */
  readonly tokens: ReadonlyMap<SlotName, tf.Tensor>;
  /** The pooled branches among them. */
  readonly pooled: Partial<Record<'face' | 'frame' | 'audio', PooledTokens>>;
  readonly prefused?: PrefusedTokens;
}

/** Every modality of the mode as tokens of the language model (AffectGPT, section 4). */
export function modalityTokens(
  config: AffectGptConfig,
  parameters: Parameters,
  inputs: AffectGptInputs,
): ModalityTokens {
  const { fusion, mode } = config;
  // A mask of fusion modules belongs to a sample as a whole: the key of its first token stands for it.
  const batch = inputs.inputIds.shape[0]!;
  const sampleKeys =
    inputs.rowKeys === undefined
      ? undefined
      : tf.reshape(tf.slice(inputs.rowKeys, [0, 0], [batch, 1]), [batch]);
  const feature = (name: FeatureName): tf.Tensor => {
    const tensor = inputs[name];
    if (tensor === undefined) {
      throw new InputError(
        'FEATURES_MISSING',
        `The input mode needs ${name} features, which were not given.`,
      );
    }
    return tensor;
  };
  const tokens = new Map<SlotName, tf.Tensor>();
  const pooled: Partial<Record<'face' | 'frame' | 'audio', PooledTokens>> = {};
  let prefused: PrefusedTokens | undefined;
  for (const slot of mode.slots) {
    if (slot === 'image') {
      tokens.set(slot, imageTokens(fusion, parameters, feature('image')));
    } else if (slot === 'multi') {
      prefused = prefuse(fusion, parameters, feature(mode.fused!), feature('audio'), sampleKeys);
      tokens.set(slot, prefused.tokens);
    } else {
      const branch = slot === 'audio' ? 'audio' : 'video';
      const result = poolFeatures(fusion, branch, parameters, feature(slot), sampleKeys);
      pooled[slot] = result;
      tokens.set(slot, result.tokens);
    }
  }
  return { tokens, pooled, ...(prefused === undefined ? {} : { prefused }) };
}

/**
 * What the decoder reads: token embeddings with the modality vectors in place. Training and generation (prefill)
 * share it.
 * @param parameters fusion tensors under published names and the decoder's under Hugging Face names
 * @returns `inputsEmbeds [batch, tokens, hidden]`
 */
export function embedInputs(
  config: AffectGptConfig,
  parameters: Parameters,
  inputs: AffectGptInputs,
): { inputsEmbeds: tf.Tensor; modalities: ModalityTokens } {
  const modalities = modalityTokens(config, parameters, inputs);
  const text = embedTokens(parameters, inputs.inputIds);
  if (modalities.tokens.size === 0) return { inputsEmbeds: text, modalities };
  const { slotIndex, isSlot } = inputs;
  if (slotIndex === undefined || isSlot === undefined) {
    throw new InputError(
      'SLOTS_MISSING',
      'The input mode has placeholders, but slotIndex and isSlot were not given.',
    );
  }
  const [batch, length, hidden] = text.shape as [number, number, number];
  const vectors = tf.concat([...modalities.tokens.values()], 1);
  const spliced = splice(
    tf.reshape(text, [batch * length, hidden]),
    tf.reshape(vectors, [batch * vectors.shape[1]!, hidden]),
    tf.reshape(slotIndex, [batch * length]),
    tf.reshape(isSlot, [batch * length, 1]),
  );
  return { inputsEmbeds: tf.reshape(spliced, [batch, length, hidden]), modalities };
}

/** How the decoder's adapters apply in a call: dropped from where `rowKeys` are given. Undefined without adapters. */
export function adapterContext(config: AffectGptConfig, rowKeys?: tf.Tensor): AdapterContext | undefined {
  if (config.lora === null) return undefined;
  const scale = loraScale(config.lora);
  const { dropout: rate } = config.lora;
  if (rowKeys === undefined || rate === 0) return { scale };
  return { scale, dropout: { rate, rowKeys: tf.reshape(rowKeys, [rowKeys.shape[0]! * rowKeys.shape[1]!]) } };
}

export interface AffectGptLoss {
  /** Sum over the supervised tokens; the caller divides by their number in the whole batch. */
  readonly lossSum: tf.Scalar;
  /** `[supervised]` */
  readonly tokenLoss: tf.Tensor;
  /** `[supervised, vocab]` */
  readonly logits: tf.Tensor;
  readonly inputsEmbeds: tf.Tensor;
  readonly modalities: ModalityTokens;
}

/** Next-token loss on the answer tokens. Logits are computed for the supervised rows only. */
export function affectGptLoss(
  config: AffectGptConfig,
  parameters: Parameters,
  inputs: AffectGptLossInputs,
): AffectGptLoss {
  const { inputsEmbeds, modalities } = embedInputs(config, parameters, inputs);
  const { hidden } = decoderForward(parameters, config.decoder, {
    inputsEmbeds,
    cos: inputs.cos,
    sin: inputs.sin,
    attentionBias: inputs.attentionBias,
    adapter: adapterContext(config, inputs.rowKeys),
    rows: inputs.positions,
  });
  const scores = logits(parameters, config.decoder, hidden);
  const chosen = targetLogits(parameters, config.decoder, hidden, inputs.targets);
  const loss = crossEntropy(scores, inputs.targets, inputs.targetWeights, chosen);
  return { ...loss, logits: scores, inputsEmbeds, modalities };
}
