import * as tf from '@tensorflow/tfjs';
import { constant, normal, type TensorPlan } from '../encoders/tensor-plan.ts';
import { attend, gelu, layerNorm, repeatForBatch, type SequenceSize } from '../encoders/transformer.ts';
import { linear } from '../lora/linear.ts';
import { dropout } from '../src/engine/dropout.ts';
import type { Parameters } from '../src/engine/parameters.ts';

export interface QformerConfig {
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly layerNormEps: number;
  /** Layers 0, n, 2n, … read the features; the others see queries alone. */
  readonly crossAttentionFrequency: number;
  /** Rate of dropout on hidden states and on attention probabilities while training. */
  readonly dropout: number;
}

/** Two layers of the size of bert-base that both read the features, as published. */
export const publishedQformer: QformerConfig = {
  hiddenSize: 768,
  numHiddenLayers: 2,
  numAttentionHeads: 12,
  intermediateSize: 3072,
  layerNormEps: 1e-12,
  crossAttentionFrequency: 1,
  dropout: 0.1,
};

/** Standard deviation of fresh weights and queries. */
const initialSpread = 0.02;

const readsFeatures = ({ crossAttentionFrequency }: QformerConfig, layer: number): boolean =>
  layer % crossAttentionFrequency === 0;

/**
 * The tensors of a Q-Former that reads features of length `featureSize`, named as published:
 * `{name}_Qformer.bert.…` and `{name}_query_tokens`.
 */
export function qformerTensorPlan(
  config: QformerConfig,
  name: string,
  queryTokens: number,
  featureSize: number,
): TensorPlan {
  const { hiddenSize, intermediateSize } = config;
  const plan: TensorPlan = {};
  const norm = (path: string): void => {
    plan[`${path}.weight`] = { shape: [hiddenSize], init: constant(1) };
    plan[`${path}.bias`] = { shape: [hiddenSize], init: constant(0) };
  };
  const dense = (path: string, outputs: number, inputs: number): void => {
    plan[`${path}.weight`] = { shape: [outputs, inputs], init: normal(initialSpread) };
    plan[`${path}.bias`] = { shape: [outputs], init: constant(0) };
  };
  plan[`${name}_query_tokens`] = { shape: [1, queryTokens, hiddenSize], init: normal(initialSpread) };
  const bert = `${name}_Qformer.bert`;
  norm(`${bert}.embeddings.LayerNorm`);
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `${bert}.encoder.layer.${index}`;
    const blocks: [string, number][] = [['attention', hiddenSize]];
    if (readsFeatures(config, index)) blocks.push(['crossattention', featureSize]);
    for (const [block, width] of blocks) {
      dense(`${layer}.${block}.self.query`, hiddenSize, hiddenSize);
      dense(`${layer}.${block}.self.key`, hiddenSize, width);
      dense(`${layer}.${block}.self.value`, hiddenSize, width);
      dense(`${layer}.${block}.output.dense`, hiddenSize, hiddenSize);
      norm(`${layer}.${block}.output.LayerNorm`);
    }
    dense(`${layer}.intermediate_query.dense`, intermediateSize, hiddenSize);
    dense(`${layer}.output_query.dense`, hiddenSize, intermediateSize);
    norm(`${layer}.output_query.LayerNorm`);
  }
  return plan;
}

/**
 * The Q-Former of BLIP-2 (Li et al. 2023): learned queries read a sequence of features. Norms come after each block.
 * @param parameters the tensors below `{name}_Qformer.bert`
 * @param queries `[1, queryTokens, hidden]`
 * @param features `[batch, length, featureSize]`
 * @param sampleKeys int32 `[batch]`, one dropout key a sample; without it nothing is dropped
 * @returns `[batch, queryTokens, hidden]`
 */
export function qformerForward(
  config: QformerConfig,
  parameters: Parameters,
  queries: tf.Tensor,
  features: tf.Tensor,
  sampleKeys?: tf.Tensor,
): tf.Tensor {
  const { hiddenSize, numAttentionHeads, layerNormEps } = config;
  const [batch, length, featureSize] = features.shape as [number, number, number];
  const tokens = queries.shape[1]!;
  const querySize = { batch, tokens };
  const featureRows = tf.reshape(features, [batch * length, featureSize]);

  /** Drops elements of any tensor whose leading axis is (a multiple of) the batch: one mask row a sample. */
  const drop = (x: tf.Tensor, elements: number, module: string): tf.Tensor => {
    if (sampleKeys === undefined || config.dropout === 0) return x;
    const settings = { rate: config.dropout, rowKeys: sampleKeys, module: parameters.name(module) };
    return tf.reshape(dropout(tf.reshape(x, [batch, elements]), settings), x.shape);
  };
  const dropHidden = (x: tf.Tensor, module: string): tf.Tensor => drop(x, tokens * hiddenSize, module);

  /** One attention block: project, attend, project back, add and norm. */
  const attention = (path: string, x: tf.Tensor, memory: tf.Tensor, memorySize: SequenceSize): tf.Tensor => {
    const block = parameters.at(path);
    const context = attend(
      linear(block.at('self.query'), x),
      linear(block.at('self.key'), memory),
      linear(block.at('self.value'), memory),
      numAttentionHeads,
      querySize,
      memorySize,
      (probabilities) =>
        drop(probabilities, numAttentionHeads * tokens * memorySize.tokens, `${path}.self.dropout`),
    );
    const projected = dropHidden(linear(block.at('output.dense'), context), `${path}.output.dropout`);
    return layerNorm(block.at('output.LayerNorm'), tf.add(projected, x), layerNormEps);
  };

  const normedQueries = layerNorm(parameters.at('embeddings.LayerNorm'), queries, layerNormEps);
  let x = tf.reshape(repeatForBatch(normedQueries, batch), [batch * tokens, hiddenSize]);
  x = dropHidden(x, 'embeddings.dropout');
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const path = `encoder.layer.${index}`;
    x = attention(`${path}.attention`, x, x, querySize);
    if (readsFeatures(config, index)) {
      x = attention(`${path}.crossattention`, x, featureRows, { batch, tokens: length });
    }
    const layer = parameters.at(path);
    const inner = gelu(linear(layer.at('intermediate_query.dense'), x));
    const outer = dropHidden(linear(layer.at('output_query.dense'), inner), `${path}.output_query.dropout`);
    x = layerNorm(layer.at('output_query.LayerNorm'), tf.add(outer, x), layerNormEps);
  }
  return tf.reshape(x, [batch, tokens, hiddenSize]);
}
