import { expect, it } from 'vitest';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { compilingEngines } from '../support/compiling-engines.ts';
import { languageModelStep, runSteps, texts } from '../support/language-model-step.ts';

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

/** Trains all weights, embeddings included, on two threads. */
async function trainOnce(type: (typeof compilingEngines)[number]) {
  const random = new RandomGenerator(4);
  // Few ids are frequent, as in text: many rows of the embedding's gradient add up.
  const same = texts(config, 16, 160, () => random.uniform() ** 12);
  const engine = await createEngine({ type, threads: 2, precision: 'fp32' });
  const step = new TrainStep(engine, languageModelStep(config, 'determinism'));
  const state = createTrainState(engine, initDecoderWeights(config, 1));
  const losses = await runSteps(step, state, () => same, { to: 12, learningRate: 1e-3 });
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
