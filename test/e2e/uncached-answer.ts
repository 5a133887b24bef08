import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { type AffectGptInputs, adapterContext, embedInputs } from '../../model/affectgpt.ts';
import { embedTokens, logits } from '../../model/decoder.ts';
import { type GenerationStep, generate } from '../../model/generation.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { openRun } from '../../src/predict/open-run.ts';
import type { Prediction } from '../../src/predict/predictor.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { formatOf, openSamples } from '../../src/runtime/samples.ts';
import { loadWeights } from '../../train/checkpoint.ts';
import { int32, runDecoder } from '../support/decoder.ts';
import { readTensors, toTensors } from '../support/fixture.ts';

/**
 * Greedy answer of a trained run to a question about one sample, computed eagerly, alone in its batch, and by a
 * decoder that reads prompt and answer again for every token. `labels` is left out.
 */
export async function uncachedAnswer(
  run: string,
  manifest: string,
  name: string,
  question: string,
): Promise<Omit<Prediction, 'labels'>> {
  const { config, checkpoint } = await openRun(run);
  const model = await openAffectGpt(config);
  const engine = await createEngine({ type: 'cpu' });
  const records = await readManifest(manifest);
  const common = { config, model, engine, notify: () => {} };
  const { source } = await openSamples({ ...common, records, forTraining: false });
  const { parameters: trained } = await loadWeights(checkpoint, model.trainable);
  const decoder = await readTensors(join(config.model.llm, 'model.safetensors'));
  await tf.setBackend('cpu');
  const tensors = toTensors({ ...decoder, ...trained });
  const parameters = new Parameters(tensors);
  const adapter = adapterContext(model.config)!;
  const { stop } = formatOf(config);
  const prompt = await source.loadPrompts([name], question);
  const inputs = toTensors(prompt.inputs) as unknown as AffectGptInputs;
  let { inputsEmbeds } = embedInputs(model.config, parameters, inputs);
  const step: GenerationStep = async ({ tokens }) => {
    if (tokens !== null) {
      const next = embedTokens(parameters, tf.tensor2d(tokens, [1, 1], 'int32'));
      inputsEmbeds = tf.concat([inputsEmbeds, next], 1);
    }
    const length = inputsEmbeds.shape[1]!;
    const mask = int32(new Int32Array(length).fill(1), [1, length]);
    const { hidden } = runDecoder(tensors, model.config.decoder, { inputsEmbeds, mask }, { adapter });
    const last = tf.slice(hidden, [length - 1, 0], [1, hidden.shape[1]!]);
    return logits(parameters, model.config.decoder, last).dataSync() as Float32Array;
  };
  const [answer] = await generate(step, {
    batch: 1,
    maxNewTokens: config.generation.maxNewTokens,
    stop: model.tokenizer.stopSequences(stop),
    sampling: { method: 'greedy' },
    padToken: 0,
  });
  const { tokens, finish } = answer!;
  const text = model.tokenizer.answer(tokens, stop);
  return { name, question, text, tokens: tokens.length, finish };
}
