import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { linear } from '../lora/linear.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { count, oneOf, only, parseModelFile, squareSize } from './model-file.ts';
import { patchGrid } from './patch-embedding.ts';
import { densePlan, type Initialiser, normPlan, type TensorPlan } from './tensor-plan.ts';
import { activationByName, layerNorm, type SequenceSize, selfAttention } from './transformer.ts';

/** An image tower of CLIP's kind: square images, learned positions, norms before attention and MLP. */
export interface VisionTowerConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly hiddenAct: string;
  readonly layerNormEps: number;
}

/** Names and defaults in which the configurations of such towers differ. */
export interface VisionTowerFamily {
  /** `model_type` of the model with its text tower, which holds the tower's settings in `vision_config`. */
  readonly wholeType: string;
  /** `model_type` of the tower alone. */
  readonly towerType: string;
  readonly patchSize: number;
  readonly hiddenAct: string;
  readonly layerNormEps: number;
}

const towerSchema = (family: VisionTowerFamily) =>
  z
    .looseObject({
      model_type: oneOf(family.towerType),
      hidden_size: count.default(768),
      intermediate_size: count.default(3072),
      num_hidden_layers: count.default(12),
      num_attention_heads: count.default(12),
      num_channels: only(3),
      image_size: squareSize.default(224),
      patch_size: squareSize.default(family.patchSize),
      hidden_act: z.string().default(family.hiddenAct),
      layer_norm_eps: z.number().positive().default(family.layerNormEps),
    })
    .refine(
      (c) => c.hidden_size % c.num_attention_heads === 0,
      'hidden_size is no multiple of num_attention_heads',
    )
    .refine((c) => c.image_size >= c.patch_size, 'image_size is smaller than patch_size');

/** Whether a file describes the tower's part of a larger model rather than the tower alone. */
function isWholeModel(json: unknown, { wholeType }: VisionTowerFamily): boolean {
  if (typeof json !== 'object' || json === null) return false;
  const isNamed = 'model_type' in json && json.model_type === wholeType;
  return isNamed || 'vision_config' in json || 'vision_config_dict' in json;
}

/**
 * Reads the `config.json` of a whole model or of its image tower alone. Files of 2021 call the tower's settings
 * `vision_config_dict`; where both are there, Hugging Face takes that one.
 * @throws InputError `ENCODER_CONFIG_INVALID`, `ACTIVATION_UNKNOWN`
 */
export function parseVisionTower(json: unknown, family: VisionTowerFamily): VisionTowerConfig {
  const tower = towerSchema(family);
  const whole = z.looseObject({
    model_type: oneOf(family.wholeType),
    vision_config: tower.nullish(),
    vision_config_dict: tower.nullish(),
  });
  const readWhole = () => {
    const { vision_config, vision_config_dict } = parseModelFile(whole, json, 'config.json');
    return vision_config_dict ?? vision_config ?? tower.parse({});
  };
  const parsed = isWholeModel(json, family) ? readWhole() : parseModelFile(tower, json, 'config.json');
  activationByName(parsed.hidden_act);
  return {
    hiddenSize: parsed.hidden_size,
    intermediateSize: parsed.intermediate_size,
    numHiddenLayers: parsed.num_hidden_layers,
    numAttentionHeads: parsed.num_attention_heads,
    imageSize: parsed.image_size,
    patchSize: parsed.patch_size,
    hiddenAct: parsed.hidden_act,
    layerNormEps: parsed.layer_norm_eps,
  };
}

/** Patches of an image of `imageSize`. */
export function patchCount({ imageSize, patchSize }: VisionTowerConfig): number {
  const grid = patchGrid({ height: imageSize, width: imageSize }, patchSize);
  return grid.height * grid.width;
}

/** The layers below `vision_model.encoder`. `init`: how the four kinds of matrices start. */
export function visionLayersPlan(
  { hiddenSize, intermediateSize, numHiddenLayers }: VisionTowerConfig,
  init: Readonly<Record<'attentionInput' | 'attentionOutput' | 'fc1' | 'fc2', Initialiser>>,
): TensorPlan {
  const plan: TensorPlan = {};
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const prefix = `vision_model.encoder.layers.${layer}`;
    for (const projection of ['q_proj', 'k_proj', 'v_proj']) {
      Object.assign(
        plan,
        densePlan(`${prefix}.self_attn.${projection}`, hiddenSize, hiddenSize, init.attentionInput),
      );
    }
    Object.assign(
      plan,
      densePlan(`${prefix}.self_attn.out_proj`, hiddenSize, hiddenSize, init.attentionOutput),
      normPlan(`${prefix}.layer_norm1`, hiddenSize),
      normPlan(`${prefix}.layer_norm2`, hiddenSize),
      densePlan(`${prefix}.mlp.fc1`, intermediateSize, hiddenSize, init.fc1),
      densePlan(`${prefix}.mlp.fc2`, hiddenSize, intermediateSize, init.fc2),
    );
  }
  return plan;
}

/**
 * Runs the layers of `parameters` (the view of `vision_model`) on `x [images * tokens, hidden]`.
 * @returns the input and the output of every layer, `[images * tokens, hidden]` each
 */
export function visionLayers(
  config: VisionTowerConfig,
  parameters: Parameters,
  x: tf.Tensor,
  size: SequenceSize,
): tf.Tensor[] {
  const { layerNormEps, numAttentionHeads } = config;
  const activation = activationByName(config.hiddenAct);
  const states = [x];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = parameters.at('encoder.layers').at(index);
    const before = states[index]!;
    const attentionInput = layerNorm(layer.at('layer_norm1'), before, layerNormEps);
    const attended = tf.add(
      before,
      selfAttention(layer.at('self_attn'), attentionInput, numAttentionHeads, size),
    );
    const mlpInput = layerNorm(layer.at('layer_norm2'), attended, layerNormEps);
    const inner = activation(linear(layer.at('mlp.fc1'), mlpInput));
    states.push(tf.add(attended, linear(layer.at('mlp.fc2'), inner)));
  }
  return states;
}
