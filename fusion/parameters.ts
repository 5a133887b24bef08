import type { TensorShapes } from '../encoders/encoder.ts';
import { drawTensors, normal, type TensorPlan, tensorShapes, uniform } from '../encoders/tensor-plan.ts';
import type { HostTensorMap } from '../src/engine/types.ts';
import { checkFusionConfig, type FusionConfig, fusedSize } from './config.ts';
import { branchModules, type PooledBranch } from './pooling.ts';
import { multiPositionCount } from './prefusion.ts';
import { qformerTensorPlan } from './qformer.ts';

/** PyTorch's default for a linear layer: weight and bias even over +-1 / sqrt(inputs). */
function linearPlan(name: string, outputs: number, inputs: number): TensorPlan {
  const init = uniform(1 / Math.sqrt(inputs));
  return {
    [`${name}.weight`]: { shape: [outputs, inputs], init },
    [`${name}.bias`]: { shape: [outputs], init },
  };
}

/** PyTorch's default for an embedding table: a standard normal distribution. */
function embeddingPlan(name: string, rows: number, size: number): TensorPlan {
  return { [`${name}.weight`]: { shape: [rows, size], init: normal(1) } };
}

function branchPlan(config: FusionConfig, branch: PooledBranch, size: number, steps: number): TensorPlan {
  const modules = branchModules[branch];
  const { hiddenSize, qformer, queryTokens } = config;
  switch (config[branch]) {
    case 'mean':
      return linearPlan(modules.projector, hiddenSize, size);
    case 'attention':
      return {
        ...linearPlan(modules.attention, 1, size),
        ...linearPlan(modules.projector, hiddenSize, size),
      };
    case 'qformer':
      return {
        ...embeddingPlan(modules.positions, Math.max(modules.positionCount, steps), size),
        ...qformerTensorPlan(qformer, branch, queryTokens[branch], size),
        ...linearPlan(modules.projector, hiddenSize, qformer.hiddenSize),
      };
  }
}

function multiPlan(config: FusionConfig, visualSize: number, audioSize: number): TensorPlan {
  if (config.multi === 'none') return {};
  const { hiddenSize, qformer, queryTokens } = config;
  const size = fusedSize(config);
  const common = {
    ...linearPlan('multi_video_embs', size, visualSize),
    ...linearPlan('multi_audio_embs', size, audioSize),
  };
  if (config.multi === 'attention') {
    return {
      ...common,
      ...linearPlan('attention_mlp', size, 2 * size),
      ...linearPlan('fc_att', 2, size),
      ...linearPlan('multi_llama_proj', hiddenSize, size),
    };
  }
  const length = config.frames * config.patches + config.audioClips;
  return {
    ...common,
    ...embeddingPlan('multi_position_embedding', Math.max(multiPositionCount, length), size),
    ...qformerTensorPlan(qformer, 'multi', queryTokens.multi, size),
    ...linearPlan('multi_llama_proj', hiddenSize, qformer.hiddenSize),
  };
}

/**
 * All tensors outside encoders and language model, under their published names. As published, the image projector
 * is there whether images are used or not, and so is every module of `config.multi`.
 */
function fusionPlan(config: FusionConfig): TensorPlan {
  checkFusionConfig(config);
  const { visualSize, audioSize, hiddenSize } = config;
  return {
    ...(visualSize === null ? {} : linearPlan('image_llama_proj', hiddenSize, visualSize)),
    ...(visualSize === null ? {} : branchPlan(config, 'video', visualSize, config.frames)),
    ...(audioSize === null ? {} : branchPlan(config, 'audio', audioSize, config.audioClips)),
    ...(visualSize === null || audioSize === null ? {} : multiPlan(config, visualSize, audioSize)),
  };
}

/** Shapes of the trainable tensors of fusion and projectors. @throws InputError `FUSION_CONFIG_INVALID` */
export function fusionTensorShapes(config: FusionConfig): TensorShapes {
  return tensorShapes(fusionPlan(config));
}

/**
 * Fresh trainable tensors: PyTorch's defaults, and a normal distribution of spread 0.02 in the Q-Formers.
 * @throws InputError `FUSION_CONFIG_INVALID`
 */
export function initFusion(config: FusionConfig, seed: number): HostTensorMap {
  return drawTensors(fusionPlan(config), seed);
}

/** Is this tensor a projector into the language model (`train.parts.projectors`) or part of the fusion? */
export function isProjector(name: string): boolean {
  return /^(affectgpt_proj|(audio|image|multi)_llama_proj)\./.test(name);
}

/** What a tensor of the fusion belongs to: a projector, the pre-fusion of both modalities, or the pooling of one. */
export function fusionPart(name: string): 'projectors' | 'pre-fusion' | 'pooling' {
  if (isProjector(name)) return 'projectors';
  return /^(multi_|attention_mlp\.|fc_att\.)/.test(name) ? 'pre-fusion' : 'pooling';
}
