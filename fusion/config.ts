import { InputError } from '../src/errors.ts';
import type { QformerConfig } from './qformer.ts';

/** How a sequence of features becomes the tokens of one modality. */
export type PoolingType = 'attention' | 'mean' | 'qformer';
/** How face or frames and audio are fused before the language model sees them. */
export type PrefusionType = 'attention' | 'qformer' | 'none';

export interface FusionConfig {
  /** Length of a visual feature; null where the model has no visual encoder. */
  readonly visualSize: number | null;
  /** Length of an audio feature; null where the model has no audio encoder. */
  readonly audioSize: number | null;
  /** Hidden size of the language model. */
  readonly hiddenSize: number;
  /** Frames of a clip. */
  readonly frames: number;
  /** Features of a frame; more than one where the encoder's are `[batch, frames, patches, size]`. */
  readonly patches: number;
  readonly audioClips: number;
  readonly multi: PrefusionType;
  readonly video: PoolingType;
  readonly audio: PoolingType;
  /** `token` keeps an image's patches apart, `mean` averages them. */
  readonly image: 'token' | 'mean';
  readonly queryTokens: {
    readonly multi: number;
    readonly video: number;
    readonly audio: number;
    readonly image: number;
  };
  readonly qformer: QformerConfig;
}

/** Size in which both modalities meet in the pre-fusion: the larger of the two. */
export function fusedSize(config: FusionConfig): number {
  return Math.max(config.visualSize ?? 0, config.audioSize ?? 0);
}

/** @throws InputError `FUSION_CONFIG_INVALID` with every fault */
export function checkFusionConfig(config: FusionConfig): void {
  const faults: string[] = [];
  if (config.multi !== 'none' && (config.visualSize === null || config.audioSize === null)) {
    faults.push(`fusion.multi is "${config.multi}", which needs both a visual and an audio encoder`);
  }
  if (config.image === 'token' && config.patches > 1 && config.queryTokens.image !== config.patches) {
    faults.push(
      `fusion.image is "token" and the encoder gives ${config.patches} features an image, ` +
        `so fusion.queryTokens.image has to be ${config.patches}, not ${config.queryTokens.image}`,
    );
  }
  if (config.qformer.hiddenSize % config.qformer.numAttentionHeads !== 0) {
    faults.push("the Q-Former's hidden size is no multiple of its number of heads");
  }
  if (faults.length > 0)
    throw new InputError('FUSION_CONFIG_INVALID', `The fusion cannot be built: ${faults.join('; ')}.`);
}
