import { describe, expect, it } from 'vitest';
import { initFusion } from '../../fusion/parameters.ts';
import { publishedQformer } from '../../fusion/qformer.ts';
import { type AffectGptConfig, featureInputSpecs, placeholderRuns } from '../../model/affectgpt.ts';
import { initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { inputModes } from '../../model/modes.ts';
import { type BatchFeatures, collatePrompts, type PromptBatch } from '../../src/data/collate.ts';
import type { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { encodeInPieces, fixedPiece } from '../../src/runtime/encoders/batches.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { compilingEngines } from '../support/compiling-engines.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import { watchSizes } from '../support/sizes-asked.ts';

const tokenizer = {
  padId: 20,
  placeholderIds: { image: 24, audio: 25, frame: 26, face: 27, multi: 28 },
} as PromptTokenizer;

const decoder = parseDecoderConfig({
  model_type: 'qwen2',
  vocab_size: 24,
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
  initializer_range: 0.4,
});

const config: AffectGptConfig = {
  decoder,
  mode: inputModes.multiface_audio_face_text,
  lora: null,
  fusion: {
    ...{ visualSize: 6, audioSize: 5, hiddenSize: decoder.hiddenSize, frames: 4, patches: 1, audioClips: 3 },
    ...{ multi: 'attention', video: 'mean', audio: 'mean', image: 'mean', qformer: publishedQformer },
    queryTokens: { multi: 1, video: 1, audio: 1, image: 1 },
  },
};
const weights = { ...initDecoderWeights(decoder, 1), ...initFusion(config.fusion, 3) };

/** Prompts of these lengths, each with its vectors. */
function promptsOf(lengths: readonly number[]): PromptBatch {
  const random = new RandomGenerator(9);
  const features = Object.entries(featureInputSpecs(config)).map(([name, spec]): [string, HostTensor] => {
    const shape = [lengths.length, ...(spec.shape.slice(1) as number[])];
    const count = shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'float32', shape, data: random.split(name).normalFloat32(count) }];
  });
  const slots = placeholderRuns(config, tokenizer.placeholderIds).map(({ id }) => id);
  const prompts = lengths.map((length, row) => {
    const words = random.split(`${row}`);
    const text = Array.from({ length: length - slots.length - 1 }, () => words.integer(20));
    return [3, ...slots, ...text];
  });
  return collatePrompts(prompts, Object.fromEntries(features) as BatchFeatures, { model: config, tokenizer });
}

/** What shares its beginning with others is read once, in pieces of one to three tokens. */
const continuations = [[4, 5, 6], [4, 5, 6, 7, 8], [4, 9], [10], [11, 12, 13, 1]];

async function askAll(type: (typeof compilingEngines)[number], fixedSizes: boolean) {
  const { engine, asked } = watchSizes(
    await createEngine({ type, threads: 1, precision: 'fp32' }),
    fixedSizes,
  );
  const generator = new Generator(engine, { config, weights, trainable: {} });
  const state = engine.createState({});
  const scores: number[] = [];
  const answers = [];
  for (const prompts of [promptsOf([61, 40, 58]), promptsOf([50, 57, 33])]) {
    const answer = await generator.answer(state, prompts, {
      ...{ maxNewTokens: 40, stop: [], sampling: { method: 'greedy' }, padToken: tokenizer.padId },
      observe: async ({ tokens, logits }) => {
        // Scores after the padding of a prompt say nothing.
        const isToken = (i: number) =>
          tokens !== null || prompts.attentionMask.data[Math.floor(i / decoder.vocabSize)] === 1;
        scores.push(...logits.filter((_, i) => isToken(i)));
      },
    });
    answers.push(...answer.map(({ tokens }) => tokens));
  }
  const answerSizes = asked['generate.decoder']!.size;
  const likelihoods = await generator.logLikelihoods(state, promptsOf([61, 40, 58]), continuations);
  await generator.dispose();
  return { answers, scores, likelihoods: likelihoods.flatMap((row) => [...row]), answerSizes, asked };
}

const expected = await askAll('onnxruntime', false);

describe.each(compilingEngines)('answers with sizes rounded up, on %s', async (type) => {
  const rounded = await askAll(type, true);

  it('are those of exact sizes, token for token', () => {
    // Of more than a few tokens, or they would show little.
    expect(new Set(expected.answers.flat()).size).toBeGreaterThan(6);
    expect(rounded.answers).toEqual(expected.answers);
  });

  it('are chosen by the same scores, those of each token of the prompts among them', () => {
    expect(rounded.scores).toHaveLength(expected.scores.length);
    expect(maxAbsDifference(rounded.scores, expected.scores)).toBeLessThan(1e-4);
  });

  it('and likelihoods of continuations are the same', () => {
    expect(maxAbsDifference(rounded.likelihoods, expected.likelihoods)).toBeLessThan(1e-4);
  });

  it('take a program for prompts and two for what follows, instead of one for each token', () => {
    expect(expected.answerSizes).toBeGreaterThan(40);
    expect(rounded.answerSizes).toBe(3);
    // Likelihoods need the scores of the last token of prompts alone, and read two tokens, or three as four, at once.
    expect(rounded.asked['generate.decoder']!.size).toBeLessThanOrEqual(6);
    expect(rounded.asked['generate.modalities']!.size).toBe(1);
  });
});

it('pictures and clips go through an encoder in pieces of few sizes, and what fills one up is dropped', async () => {
  const sizes: number[] = [];
  const double = async ({ x }: Record<string, HostTensor>): Promise<HostTensor> => {
    sizes.push(x!.shape[0]!);
    return { ...x!, data: (x!.data as Float32Array).map((value) => 2 * value + 1) };
  };
  for (const count of [8, 1, 11, 6]) {
    const x = Float32Array.from({ length: 2 * count }, (_, i) => i);
    const features = await encodeInPieces(
      { x: { dtype: 'float32', shape: [count, 2], data: x } },
      double,
      fixedPiece,
    );
    expect(features.shape).toEqual([count, 2]);
    expect(features.data).toEqual(x.map((value) => 2 * value + 1));
  }
  expect(sizes).toEqual([8, 1, 8, 4, 8]);
});
