import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import type { FusionConfig } from '../../fusion/config.ts';
import { fusionTensorShapes } from '../../fusion/parameters.ts';
import { flattenPatches, poolFeatures } from '../../fusion/pooling.ts';
import { fromPeftName } from '../../lora/names.ts';
import {
  type AffectGptConfig,
  type AffectGptLoss,
  type AffectGptLossInputs,
  affectGptLoss,
  checkAffectGptConfig,
  placeholderRuns,
} from '../../model/affectgpt.ts';
import { causalBias, parseDecoderConfig, ropeTables } from '../../model/decoder.ts';
import { supervisedPositions } from '../../model/loss.ts';
import { type InputModeName, inputModes } from '../../model/modes.ts';
import { placeSlots } from '../../model/splice.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensor, HostTensorMap, TensorMap } from '../../src/engine/types.ts';
import { adamwUpdate, biasCorrections } from '../../train/adamw.ts';
import { fixturePath, maxAbsDifference, readJson, readTensors, toTensor, toTensors } from './fixture.ts';

/** Results of the published code on tiny models, `test/fixtures/affectgpt_reference`. */

const folder = fixturePath('affectgpt_reference');
/** Ids of the five added tokens, in the order in which the published code adds them. */
export const placeholderIds = { image: 151665, audio: 151666, frame: 151667, face: 151668, multi: 151669 };

interface VariantFacts {
  readonly mode: InputModeName;
  readonly config: Readonly<Record<string, string | number>>;
  readonly loss: number;
  readonly grad_none: readonly string[];
  readonly grad_norms?: Readonly<Record<string, number>>;
  readonly 'five_steps_lr_1e-3': { readonly losses: readonly number[]; readonly loss_after: number };
}

export interface ReferenceFacts {
  readonly sizes: Readonly<
    Record<'d_v' | 'd_a' | 'hidden' | 'lora_r' | 'qf_hidden' | 'qf_heads' | 'qf_inter', number>
  >;
  readonly lora_alpha: number;
  readonly tiny_model_configs: Readonly<Record<'qwen2' | 'clip_vision' | 'hubert', object>>;
  readonly variants: Readonly<Record<string, VariantFacts>>;
  readonly end_to_end_loss_encoders_eval: number;
  readonly raw: { readonly end_to_end_loss_encoders_eval: number };
}

export const readReferenceFacts = async (): Promise<ReferenceFacts> =>
  (await readJson(`${folder}/golden.json`)) as ReferenceFacts;

export const readReferenceTensors = (file: string): Promise<HostTensorMap> =>
  readTensors(`${folder}/${file}`);

/** Our name of a tensor of the published language model. */
function languageModelName(name: string): string {
  return fromPeftName(name) ?? name.replace('llama_model.base_model.model.', '').replace('.base_layer.', '.');
}

/** The decoder and its adapters under our names. */
export async function readLanguageModel(): Promise<TensorMap> {
  const stored = await readReferenceTensors('llm.safetensors');
  return toTensors(
    Object.fromEntries(Object.entries(stored).map(([name, tensor]) => [languageModelName(name), tensor])),
  );
}

/** Entries of a safetensors file below a prefix such as `param/`, under our names. */
export function below(tensors: HostTensorMap, prefix: string): HostTensorMap {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [languageModelName(name.slice(prefix.length)), tensor]),
  );
}

/** The configuration of a variant in our terms. */
export function referenceConfig(facts: ReferenceFacts, variant: VariantFacts, patches = 1): AffectGptConfig {
  const { sizes } = facts;
  const { config } = variant;
  const fusion = {
    visualSize: sizes.d_v,
    audioSize: sizes.d_a,
    hiddenSize: sizes.hidden,
    frames: 8,
    patches,
    audioClips: 8,
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
    qformer: {
      hiddenSize: sizes.qf_hidden,
      numHiddenLayers: 2,
      numAttentionHeads: sizes.qf_heads,
      intermediateSize: sizes.qf_inter,
      layerNormEps: 1e-12,
      dropout: 0.1,
    },
  } as FusionConfig;
  return {
    decoder: parseDecoderConfig(facts.tiny_model_configs.qwen2),
    fusion,
    mode: inputModes[variant.mode],
    lora: { rank: sizes.lora_r, alpha: facts.lora_alpha, dropout: 0 },
  };
}

/** Ids, labels and mask of a batch as the decoder wants them. */
export function textInputs(config: AffectGptConfig, batch: HostTensorMap): Omit<AffectGptLossInputs, 'face'> {
  const ids = batch.input_ids!;
  const tokens = ids.shape[1]!;
  const placement = placeSlots(ids, placeholderRuns(config, placeholderIds));
  const rope = ropeTables(
    config.decoder,
    Array.from({ length: tokens }, (_, i) => i),
  );
  const { positions, targets } = supervisedPositions(batch.labels!);
  return {
    inputIds: toTensor(placement.inputIds),
    slotIndex: toTensor(placement.slotIndex),
    isSlot: toTensor(placement.isSlot),
    cos: toTensor(rope.cos),
    sin: toTensor(rope.sin),
    attentionBias: toTensor(causalBias(batch.attention_masks!)),
    positions: tf.tensor1d(positions, 'int32'),
    targets: tf.tensor1d(targets, 'int32'),
    targetWeights: tf.ones([targets.length]),
  };
}

export interface Variant {
  readonly facts: VariantFacts;
  readonly config: AffectGptConfig;
  readonly stored: HostTensorMap;
  readonly inputs: AffectGptLossInputs;
  readonly frozen: TensorMap;
  /** LoRA and everything outside the language model. */
  readonly trainable: TensorMap;
}

export async function loadVariant(
  facts: ReferenceFacts,
  languageModel: TensorMap,
  name: string,
): Promise<Variant> {
  const stored = await readReferenceTensors(`variant-${name}.safetensors`);
  const batch = below(stored, 'input/');
  const visual = batch.face ?? batch.frame ?? batch.image!;
  const patches = visual.shape.length === 4 ? visual.shape[2]! : 1;
  const variant = facts.variants[name]!;
  const config = referenceConfig(facts, variant, patches);
  checkAffectGptConfig(config);
  const entries = Object.entries(languageModel);
  const features = Object.fromEntries(
    config.mode.needs.map((feature) => [feature, toTensor(batch[feature]!)]),
  );
  return {
    facts: variant,
    config,
    stored,
    inputs: { ...textInputs(config, batch), ...features },
    frozen: Object.fromEntries(entries.filter(([tensor]) => !tensor.includes('.lora_'))),
    trainable: {
      ...Object.fromEntries(entries.filter(([tensor]) => tensor.includes('.lora_'))),
      ...toTensors(below(stored, 'param/')),
    },
  };
}

/** The published mean loss with its gradients. `inspect` sees everything on the way before it is disposed. */
function lossAndGradients(variant: Variant, trainable: TensorMap, inspect?: (result: AffectGptLoss) => void) {
  const parameters = new Parameters({ ...variant.frozen, ...trainable });
  const count = variant.inputs.targets.shape[0]!;
  const { value, gradients } = valueAndGradients(() => {
    const result = affectGptLoss(variant.config, parameters, variant.inputs);
    inspect?.(result);
    return tf.div(result.lossSum, count) as tf.Scalar;
  }, trainable);
  return { loss: value.dataSync()[0]!, gradients };
}

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** The fixture's rule: 2e-4 of the largest value, plus 1e-7. */
export function expectReference(name: string, actual: tf.Tensor, expected: HostTensor): void {
  expect(actual.size, name).toBe(expected.data.length);
  const tolerance = 2e-4 * largest(expected.data) + 1e-7;
  expect(maxAbsDifference(actual.dataSync(), expected.data), name).toBeLessThanOrEqual(tolerance);
}

/** Softmax ignores a Q-Former's key biases: what is stored of them is rounding noise. */
const isNoise = (name: string): boolean => /attention\.self\.key\.bias$/.test(name);

/** Everything that the forward pass recorded, by the names in the fixture. */
function recordedOutputs(variant: Variant, { inputsEmbeds, hidden, modalities }: AffectGptLoss): TensorMap {
  const { config, inputs, trainable } = variant;
  const outputs: TensorMap = { inputs_embeds: inputsEmbeds, last_hidden_state: hidden };
  const visual = config.mode.needs.filter((feature) => feature === 'face' || feature === 'frame');
  const suffix = (feature: string): string => (visual.length > 1 ? `.${feature}` : '');
  // The published code computes these branches whether their tokens are used or not.
  const branches = [...visual.map((feature) => ['video', feature] as const), ['audio', 'audio'] as const];
  for (const [branch, feature] of branches) {
    if (inputs[feature] === undefined) continue;
    const pooled =
      modalities.pooled[feature] ??
      poolFeatures(config.fusion, branch, new Parameters(trainable), inputs[feature]);
    const ending = branch === 'video' ? suffix(feature) : '';
    outputs[`encode_${branch}.hidden${ending}`] = flattenPatches(inputs[feature]);
    outputs[`encode_${branch}.llm${ending}`] = pooled.tokens;
    if (pooled.scores !== undefined) outputs[`${branch}_attention_mlp${ending}`] = pooled.scores;
  }
  const { prefused } = modalities;
  if (prefused !== undefined) {
    outputs['encode_multi.hidden'] = prefused.fused;
    outputs['encode_multi.llm'] = prefused.tokens;
    outputs.multi_video_embs = prefused.visual;
    outputs.multi_audio_embs = prefused.audio;
    if (prefused.mixed !== undefined) outputs.attention_mlp = prefused.mixed;
    if (prefused.weights !== undefined) outputs.fc_att = prefused.weights;
  }
  const image = modalities.tokens.get('image');
  if (image !== undefined) outputs['encode_image.llm'] = image;
  return outputs;
}

/** Checks names, every recorded output, the loss and all gradients. */
export function checkForwardAndGradients(variant: Variant): void {
  const { config, facts, stored, trainable } = variant;
  const ours = Object.entries(trainable).filter(([name]) => !name.includes('.lora_'));
  expect(fusionTensorShapes(config.fusion)).toEqual(
    Object.fromEntries(ours.map(([name, tensor]) => [name, tensor.shape])),
  );

  const { loss, gradients } = lossAndGradients(variant, trainable, (result) => {
    const outputs = recordedOutputs(variant, result);
    const expected = below(stored, 'out/');
    delete expected['encode_image.hidden']; // The repeated input of the projector, which we repeat after it.
    expect(Object.keys(outputs).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, tensor] of Object.entries(expected)) expectReference(name, outputs[name]!, tensor);
  });
  expect(Math.abs(loss / facts.loss - 1)).toBeLessThan(1e-5);

  const unused = Object.keys(gradients).filter((name) => gradients[name] === null);
  expect(unused.sort()).toEqual([...facts.grad_none].sort());
  for (const [stored_, gradient] of Object.entries(below(stored, 'grad/'))) {
    const [name, rows] = stored_.split('[:');
    if (isNoise(name!)) continue;
    let actual = gradients[name!]!;
    if (rows !== undefined) {
      const used = Number.parseInt(rows, 10);
      const [kept, rest] = tf.split(actual, [used, actual.shape[0]! - used]);
      expect(largest(rest!.dataSync()), `${name} beyond row ${used}`).toBe(0);
      actual = kept!;
    }
    expectReference(`gradient of ${name}`, actual, gradient);
  }
  for (const [published, norm] of Object.entries(facts.grad_norms ?? {})) {
    const name = languageModelName(published);
    if (isNoise(name)) continue;
    const actual = tf.norm(gradients[name]!).dataSync()[0]!;
    expect(Math.abs(actual - norm), `norm of the gradient of ${name}`).toBeLessThanOrEqual(
      2e-4 * norm + 1e-7,
    );
  }
}

/** Checks five AdamW steps: losses before each and after the last, and the resulting parameters. */
export function checkFiveSteps(variant: Variant): void {
  const betas = [0.9, 0.999] as const;
  const { losses, loss_after: lossAfter } = variant.facts['five_steps_lr_1e-3'];
  let trainable = variant.trainable;
  const moments: TensorMap = {};
  const seen: number[] = [];
  for (let step = 1; step <= losses.length; step++) {
    const { loss, gradients } = lossAndGradients(variant, trainable);
    seen.push(loss);
    const corrections = biasCorrections(step, betas);
    const schedule = {
      learningRate: tf.scalar(1e-3),
      biasCorrection1: tf.scalar(corrections.biasCorrection1),
      biasCorrection2Sqrt: tf.scalar(corrections.biasCorrection2Sqrt),
    };
    const next: TensorMap = {};
    for (const [name, parameter] of Object.entries(trainable)) {
      const gradient = gradients[name];
      if (gradient === null || gradient === undefined) {
        next[name] = parameter;
        continue;
      }
      const weightDecay = parameter.rank >= 2 ? 0.05 : 0;
      const updated = adamwUpdate(
        {
          parameter,
          gradient,
          expAvg: moments[`${name}/1`] ?? tf.zerosLike(parameter),
          expAvgSq: moments[`${name}/2`] ?? tf.zerosLike(parameter),
        },
        schedule,
        { betas, eps: 1e-8, weightDecay },
      );
      next[name] = updated.parameter;
      moments[`${name}/1`] = updated.expAvg;
      moments[`${name}/2`] = updated.expAvgSq;
    }
    trainable = next;
  }
  seen.push(lossAndGradients(variant, trainable).loss);
  [...losses, lossAfter].forEach((expected, step) => {
    expect(Math.abs(seen[step]! / expected - 1), `loss after ${step} steps`).toBeLessThan(1e-5);
  });
  for (const [name, { data }] of Object.entries(below(variant.stored, 'after5/'))) {
    if (isNoise(name)) continue;
    const actual = trainable[name]!.dataSync();
    const differences = Array.from(data, (value, i) => Math.abs(value - actual[i]!));
    expect(Math.max(...differences), name).toBeLessThanOrEqual(1.2e-2);
    expect(differences.filter((d) => d <= 2e-5).length / differences.length, name).toBeGreaterThanOrEqual(
      0.995,
    );
  }
}
