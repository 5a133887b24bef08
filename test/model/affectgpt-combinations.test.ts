import { describe, expect, it } from 'vitest';
import type { PoolingType, PrefusionType } from '../../fusion/config.ts';
import { initFusion } from '../../fusion/parameters.ts';
import { publishedQformer } from '../../fusion/qformer.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  checkAffectGptConfig,
  featureInputSpecs,
  lossInputSpecs,
  placeholderRuns,
} from '../../model/affectgpt.ts';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { ignoredLabel } from '../../model/loss.ts';
import { type InputModeName, inputModes, type SlotName } from '../../model/modes.ts';
import { type BatchFeatures, collatePrompts, collateTraining } from '../../src/data/collate.ts';
import type { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';

const engine = await createEngine({ type: 'cpu' });
const tokenizer = {
  padId: 20,
  placeholderIds: { image: 24, audio: 25, frame: 26, face: 27, multi: 28 },
} as PromptTokenizer;

const decoder = parseDecoderConfig({
  model_type: 'qwen2',
  vocab_size: 24,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true,
  initializer_range: 0.3,
});
const targets = ['q_proj', 'v_proj'] as const;
const frozen = initDecoderWeights(decoder, 1);
const adapter = initAdapter(adapterTensorShapes(decoderTensorShapes(decoder), { rank: 2, targets }), 2);

function modelOf(mode: InputModeName, multi: PrefusionType, pooling: PoolingType): AffectGptConfig {
  const config: AffectGptConfig = {
    decoder,
    mode: inputModes[mode],
    lora: { rank: 2, alpha: 4, dropout: 0 },
    fusion: {
      visualSize: 6,
      audioSize: 5,
      hiddenSize: decoder.hiddenSize,
      frames: 4,
      patches: 1,
      audioClips: 3,
      multi,
      video: pooling,
      audio: pooling,
      image: 'mean',
      queryTokens: { multi: 2, video: 3, audio: 2, image: 1 },
      qformer: { ...publishedQformer, hiddenSize: 4, numAttentionHeads: 2, intermediateSize: 4 },
    },
  };
  checkAffectGptConfig(config);
  return config;
}

/** Two samples of the features that a mode needs. */
function featuresOf(config: AffectGptConfig): BatchFeatures {
  const random = new RandomGenerator(5);
  const entries = Object.entries(featureInputSpecs(config)).map(([name, spec]): [string, HostTensor] => {
    const shape = [2, ...(spec.shape.slice(1) as number[])];
    const count = shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'float32', shape, data: random.split(name).normalFloat32(count) }];
  });
  return Object.fromEntries(entries);
}

/** A prompt with every placeholder of the mode, then text. */
const promptOf = (config: AffectGptConfig, text: readonly number[]): number[] => [
  3,
  ...placeholderRuns(config, tokenizer.placeholderIds).flatMap(({ id, tokens }) =>
    new Array<number>(tokens).fill(id),
  ),
  ...text,
];

/** Which slots a tensor outside the language model serves. */
function slotsServedBy(name: string): SlotName[] {
  if (/^(multi_|attention_mlp|fc_att)/.test(name)) return ['multi'];
  if (/^(video_|affectgpt_proj)/.test(name)) return ['face', 'frame'];
  return name.startsWith('audio_') ? ['audio'] : ['image'];
}

/** One optimizer step and an answer of three tokens. */
async function trainAndAsk(config: AffectGptConfig) {
  const fusion = initFusion(config.fusion, 3);
  const trainable: HostTensorMap = { ...adapter, ...fusion };
  const shapes = Object.fromEntries(Object.entries(trainable).map(([name, { shape }]) => [name, shape]));
  const features = featuresOf(config);
  const samples = [[4, 5], [6]].map((text, i) => {
    const prompt = promptOf(config, text);
    const ids = Int32Array.from([...prompt, 7 + i, 9, 20]);
    return { name: `${i}`, sequence: { ids, labels: ids.slice().fill(ignoredLabel, 0, prompt.length) } };
  });
  const options = { model: config, tokenizer, attendFinalEos: false };
  const { inputs, supervisedTokens } = collateTraining(samples, features, options);
  const step = new TrainStep(engine, {
    name: 'combination',
    lossSum: ({ inputs: given, parameters }) =>
      affectGptLoss(config, new Parameters(parameters), given as unknown as AffectGptLossInputs).lossSum,
    inputs: lossInputSpecs(config, false),
    trainable: shapes,
    weights: frozen,
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 },
    clipNorm: null,
    decayUnusedParameters: false,
  });
  const generator = new Generator(engine, { config, weights: frozen, trainable: shapes });
  const state = createTrainState(engine, trainable);
  const { loss } = await step.run(state, [inputs], { supervisedTokens, learningRate: 1e-3, step: 1 });
  const after = await state.read(Object.keys(fusion));
  const prompts = collatePrompts([promptOf(config, [4, 5]), promptOf(config, [6])], features, options);
  const answers = await generator.answer(state, prompts, {
    maxNewTokens: 3,
    stop: [],
    sampling: { method: 'greedy' },
    padToken: tokenizer.padId,
  });
  state.dispose();
  await step.dispose();
  await generator.dispose();
  const changed = Object.keys(fusion).filter((name) =>
    fusion[name]!.data.some((value, i) => value !== after[name]!.data[i]),
  );
  return { loss, changed, names: Object.keys(fusion), answers };
}

const modes = Object.keys(inputModes) as InputModeName[];
const poolings: PoolingType[] = ['attention', 'mean', 'qformer'];

/** Pre-fusions that change what a mode computes; one that it does not use is built all the same. */
const prefusionsOf = (mode: InputModeName): PrefusionType[] =>
  inputModes[mode].fused === null ? ['none', 'qformer'] : ['attention', 'qformer'];

describe.each(poolings)('with %s pooling', (pooling) => {
  it.each(modes)('%s trains the modules that it uses, and answers', async (mode) => {
    for (const multi of prefusionsOf(mode)) {
      const config = modelOf(mode, multi, pooling);
      const { loss, changed, names, answers } = await trainAndAsk(config);
      expect(loss).toBeGreaterThan(0);
      // The key biases of Q-Formers have no gradient but rounding noise.
      const used = names.filter((name) =>
        slotsServedBy(name).some((slot) => config.mode.slots.includes(slot)),
      );
      const certain = (name: string): boolean => !name.endsWith('self.key.bias');
      expect(changed.filter(certain), multi).toEqual(used.filter(certain));
      expect(changed.every((name) => used.includes(name))).toBe(true);
      expect(answers.map(({ tokens }) => tokens.length)).toEqual([3, 3]);
    }
  });
});

describe('a mode with fused modalities', () => {
  it.each(modes.filter((mode) => inputModes[mode].fused !== null))('%s needs a pre-fusion', (mode) => {
    expect(() => modelOf(mode, 'none', 'mean')).toThrow(/pre-fusion/);
  });
});
