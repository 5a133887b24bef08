import * as tf from '@tensorflow/tfjs';
import { type LoraSettings, loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { ignoredLabel } from '../../model/loss.ts';
import { rowKeys } from '../../src/engine/dropout.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import type { AdapterDescription } from '../../train/checkpoint.ts';
import type { TrainingTask } from '../../train/task.ts';

const config = parseDecoderConfig({
  model_type: 'qwen2',
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 24,
  vocab_size: 20,
  tie_word_embeddings: true,
});

const settings: LoraSettings = { rank: 2, alpha: 4, dropout: 0.1, targets: [...loraTargets] };

/** For `adapter_config.json`. */
export const tinyAdapter: AdapterDescription = { settings, baseModel: 'tiny' };

const int32 = (data: Int32Array, shape: number[]): HostTensor => ({ dtype: 'int32', shape, data });

/** A text of 4 to 8 tokens of which 1 to 5 are supervised, from its name; of 6 and 3 where all are to be of a size. */
function sequence(name: string, isOfOneSize: boolean): { ids: number[]; labels: number[] } {
  const random = new RandomGenerator(5).split(name);
  const length = isOfOneSize ? 6 : 4 + random.integer(5);
  const ids = Array.from({ length }, () => random.integer(config.vocabSize));
  const prompt = isOfOneSize ? 3 : length - 1 - random.integer(length - 3);
  return { ids, labels: ids.map((id, i) => (i < prompt ? ignoredLabel : id)) };
}

/**
 * A one-layer Qwen2 decoder that learns texts through LoRA with dropout on all seven projections, and its last norm.
 *
 * @param eps of AdamW
 * @param isOfOneSize whether all texts are, as suits an engine that compiles for each size
 */
export function tinyDecoderTask(samples: number, eps = 1e-8, isOfOneSize = false): TrainingTask {
  const weights = initDecoderWeights(config, 3);
  const adapter = initAdapter(adapterTensorShapes(decoderTensorShapes(config), settings), 2);
  const initialParameters: HostTensorMap = { ...adapter, 'model.norm.weight': weights['model.norm.weight']! };
  // Adapters start out without effect; from here all gradients are above rounding noise at once.
  for (const [name, { shape, data }] of Object.entries(adapter)) {
    if (!name.endsWith('lora_B.weight')) continue;
    const values = new RandomGenerator(4).split(name).normalFloat32(data.length, 0, 0.3);
    initialParameters[name] = { dtype: 'float32', shape, data: values };
  }
  return {
    stepOptions: {
      name: 'tiny',
      lossSum: ({ inputs, parameters }) => {
        const [batch, tokens] = inputs.ids!.shape as [number, number];
        const dropped = { rate: settings.dropout, rowKeys: tf.reshape(inputs.rowKeys!, [batch * tokens]) };
        return languageModelLossSum(config, { inputs, parameters }, { scale: 2, dropout: dropped });
      },
      inputs: { ...languageModelInputs(config), rowKeys: { dtype: 'int32', shape: ['batch', 'tokens'] } },
      trainable: Object.fromEntries(
        Object.entries(initialParameters).map(([name, { shape }]) => [name, shape]),
      ),
      weights: Object.fromEntries(
        Object.entries(weights).filter(([name]) => initialParameters[name] === undefined),
      ),
      optimizer: { betas: [0.9, 0.999], eps, weightDecay: 0.05 },
      clipNorm: 1,
      decayUnusedParameters: false,
    },
    initialParameters,
    names: Array.from({ length: samples }, (_, i) => `text-${i}`),
    loadBatch: async (names, { epoch, step }) => {
      const texts = names.map((name) => sequence(`${name} in epoch ${epoch}`, isOfOneSize));
      const tokens = Math.max(...texts.map(({ ids }) => ids.length));
      const shape = [names.length, tokens];
      const rows = (row: (text: (typeof texts)[number]) => number[], padding: number) =>
        Int32Array.from(
          texts.flatMap((text) => [...row(text), ...Array(tokens).fill(padding)].slice(0, tokens)),
        );
      const inputs = languageModelBatch(
        config,
        int32(
          rows(({ ids }) => ids, 0),
          shape,
        ),
        int32(
          rows(({ ids }) => ids.map(() => 1), 0),
          shape,
        ),
        int32(
          rows(({ labels }) => labels, ignoredLabel),
          shape,
        ),
      );
      const keys = int32(rowKeys({ seed: 9, step, names, tokens }), shape);
      return {
        inputs: { ...inputs, rowKeys: keys },
        supervisedTokens: inputs.targets!.data.length,
        tokens: texts.reduce((sum, { ids }) => sum + ids.length, 0),
      };
    },
  };
}

/**
 * Fits `weight [3]` to one number per sample: a graph that compiles at once, for tests of the loop around it.
 *
 * @param badSample a sample whose number is NaN
 */
export function tinyLineTask(samples: number, badSample?: string): TrainingTask {
  const names = Array.from({ length: samples }, (_, i) => `point-${i}`);
  return {
    stepOptions: {
      name: 'line',
      lossSum: ({ inputs, parameters }) =>
        tf.sum(
          tf.square(
            tf.sub(tf.squeeze(tf.matMul(inputs.x!, tf.reshape(parameters.weight!, [3, 1])), [1]), inputs.y!),
          ),
        ) as tf.Scalar,
      inputs: {
        x: { dtype: 'float32', shape: ['batch', 3] },
        y: { dtype: 'float32', shape: ['batch'] },
      },
      trainable: { weight: [3] },
      weights: {},
      optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
      clipNorm: null,
      decayUnusedParameters: false,
    },
    initialParameters: { weight: { dtype: 'float32', shape: [3], data: new Float32Array(3) } },
    names,
    loadBatch: async (batch) => {
      const x = new Float32Array(batch.length * 3);
      const y = new Float32Array(batch.length);
      batch.forEach((name, row) => {
        const random = new RandomGenerator(8).split(name);
        x.set(random.normalFloat32(3), 3 * row);
        y[row] = name === badSample ? Number.NaN : random.uniform();
      });
      return {
        inputs: {
          x: { dtype: 'float32', shape: [batch.length, 3], data: x },
          y: { dtype: 'float32', shape: [batch.length], data: y },
        },
        supervisedTokens: batch.length,
        tokens: 2 * batch.length,
      };
    },
  };
}
