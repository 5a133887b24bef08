import { expect, it } from 'vitest';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { compilingEngines } from '../support/compiling-engines.ts';

const config = parseDecoderConfig({
  model_type: 'qwen2',
  tie_word_embeddings: true,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 720,
});
const [batch, tokens, steps] = [16, 160, 12];

/** Trains all weights, embeddings included, on two threads. */
async function trainOnce(type: (typeof compilingEngines)[number]) {
  const random = new RandomGenerator(4);
  const host = (value: () => number): HostTensor => ({
    dtype: 'int32',
    shape: [batch, tokens],
    data: Int32Array.from({ length: batch * tokens }, value),
  });
  // Few ids are frequent, as in text: many rows of the embedding's gradient add up.
  const ids = host(() => Math.floor(random.uniform() ** 12 * config.vocabSize));
  const inputs = languageModelBatch(
    config,
    ids,
    host(() => 1),
    ids,
  );
  const engine = await createEngine({ type, threads: 2, precision: 'fp32' });
  const step = new TrainStep(engine, {
    name: 'determinism',
    lossSum: (tensors) => languageModelLossSum(config, tensors),
    inputs: languageModelInputs(config),
    trainable: decoderTensorShapes(config),
    weights: {},
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 },
    clipNorm: 1,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, initDecoderWeights(config, 1));
  const losses: number[] = [];
  for (let index = 1; index <= steps; index++) {
    const at = { supervisedTokens: batch * (tokens - 1), learningRate: 1e-3, step: index };
    losses.push((await step.run(state, [inputs], at)).loss);
  }
  const parameters = await state.read(Object.keys(decoderTensorShapes(config)));
  await step.dispose();
  return { losses, parameters };
}

it.each(compilingEngines)(
  'the same training gives the same bits on several threads of %s, embeddings included',
  async (type) => {
    const first = await trainOnce(type);
    for (let again = 0; again < 2; again++) {
      const { losses, parameters } = await trainOnce(type);
      expect(losses).toEqual(first.losses);
      for (const [name, { data }] of Object.entries(first.parameters)) {
        expect(
          Buffer.compare(Buffer.from(data.buffer), Buffer.from(parameters[name]!.data.buffer)),
          name,
        ).toBe(0);
      }
    }
  },
);
