import { describe, expect, it } from 'vitest';
import { loraTargets } from '../../lora/config.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { WeightSource } from '../../src/engine/types.ts';
import { modelShapes } from '../../src/runtime/model-shapes.ts';
import { publishedEncoders } from '../../src/runtime/published-shapes.ts';
import { checkpointBytes, featureBytesPerSample } from '../../train/dry-run/disk.ts';
import { forecastFromShapes } from '../../train/dry-run/forecast.ts';
import { forecastMemory } from '../../train/dry-run/memory.ts';
import { countTokens } from '../../train/dry-run/tokens.ts';

const load = (config: string, ...set: string[]) => loadConfig({ config, set }).config;
// A folder that is not there, so that the data of whoever runs this is not looked at.
const away = 'data.root=./no-such-folder';

describe('the published default from shapes alone', async () => {
  const report = await forecastFromShapes(load('prefusion-attn.yaml', away));
  const { parts, trainable } = report.parameters;

  it('has exactly the published number of trainable parameters', () => {
    expect(trainable).toBe(57_168_644);
    const trained = Object.fromEntries(parts.map((part) => [part.part, part.trainable]));
    expect(trained).toEqual({
      'visual encoder': 0,
      'audio encoder': 0,
      decoder: 0,
      LoRA: 40_370_176,
      // video_attention_mlp and audio_attention_mlp
      pooling: 769 + 1025,
      // multi_audio_embs, multi_video_embs, attention_mlp, fc_att
      'pre-fusion': 1_049_600 + 787_456 + 2_098_176 + 2050,
      // image_llama_proj, affectgpt_proj, audio_llama_proj, multi_llama_proj
      projectors: 2_756_096 + 2_756_096 + 3_673_600 + 3_673_600,
    });
    expect(40_370_176 + 16_798_468).toBe(trainable);
  });

  it('tells disk exactly: LoRA, the rest, two moments each', () => {
    const { checkpoint, checkpoints, featureCache, featureBytesPerSample: perSample } = report.disk;
    expect(checkpoint).toEqual({
      adapter: 4 * 40_370_176,
      others: 4 * 16_798_468,
      optimizer: 8 * 57_168_644,
      total: 12 * 57_168_644,
    });
    expect(checkpoints.bytes).toBe(4 * checkpoint.total);
    expect(perSample).toBe(4 * (8 * 768 + 8 * 1024));
    expect(featureCache!.bytes).toBe(31_327 * perSample);
    expect(report.data).toEqual({
      samples: 31_327,
      heldOut: null,
      validated: null,
      countedFrom: 'published set',
    });
  });

  it('counts frozen weights once in float32 and calls the whole an estimate', () => {
    const { exact, estimate } = report.memory;
    expect(exact).toEqual({
      frozenWeights: 4 * 7_615_616_512,
      trainable: 4 * 57_168_644,
      gradients: 0,
      moments: 8 * 57_168_644,
    });
    expect(estimate!.at).toEqual({ batch: 3, tokens: 1024, supervised: 1536 });
    const { frozenWeights, trainable, moments } = exact;
    expect(estimate!.total).toBeGreaterThan(frozenWeights + 3 * (trainable + moments));
    expect(estimate!.total).toBeLessThan(2 * frozenWeights);
  });
});

describe('shapes of what a configuration changes', () => {
  it.each([
    ['lora.rank=8', 20_185_088 + 16_798_468],
    ['lora.rank=32', 80_740_352 + 16_798_468],
    ['train.parts.decoder=frozen', 16_798_468],
    ['train.parts.projectors=frozen', 57_168_644 - 12_859_392],
    ['train.parts.decoder=full', 7_615_616_512 + 16_798_468],
  ])('%s trains %i parameters', async (setting, parameters) => {
    const config = load('prefusion-attn.yaml', away, setting, 'engine.type=cpu');
    const report = await forecastFromShapes(config);
    expect(report.parameters.trainable).toBe(parameters);
    expect(report.memory.estimate).toBeNull();
    expect(report.parameters.frozen + parameters).toBe(
      303_966_208 + 315_437_696 + 7_615_616_512 + 16_798_468 + loraOf(setting),
    );
  });

  const loraOf = (setting: string): number => {
    if (/decoder=(frozen|full)/.test(setting)) return 0;
    return setting.startsWith('lora.rank') ? 40_370_176 * (Number(setting.split('=')[1]) / 16) : 40_370_176;
  };

  it.each([
    // Vision tower with its projection; without what only the class token or a head needs where they are not used.
    ['openai/clip-vit-large-patch14', 768],
    ['facebook/dinov2-large', 1024],
    ['google/siglip-so400m-patch14-384', 1152],
  ])('%s gives features of %i', async (model, size) => {
    const { type } = publishedEncoders[model as keyof typeof publishedEncoders];
    const config = load(
      ...(['prefusion-attn-0.5b', away, `model.visualEncoder={type: ${type}, model: ${model}}`] as const),
    );
    const shapes = await modelShapes(config);
    expect(shapes.config.fusion.visualSize).toBe(size);
    expect(shapes.visualParameters).toBeGreaterThan(300e6);
    expect(featureBytesPerSample(shapes.config)).toBe(4 * 8 * (size + 1024));
  });

  it.each([
    ['microsoft/wavlm-large', 'wavlm', 1024, 315e6],
    ['facebook/data2vec-audio-base-960h', 'data2vec', 768, 93e6],
  ])('%s gives its features', async (model, type, size, parameters) => {
    const config = load('prefusion-attn', away, `model.audioEncoder={type: ${type}, model: ${model}}`);
    const shapes = await modelShapes(config);
    expect(shapes.config.fusion.audioSize).toBe(size);
    expect(Math.abs(shapes.audioParameters! / parameters - 1)).toBeLessThan(0.01);
  });

  it('names every model of which nothing is known', async () => {
    const config = load(
      ...([
        'prefusion-attn',
        away,
        'model.llm=someone/something',
        'model.audioEncoder.model=nowhere',
      ] as const),
    );
    await expect(forecastFromShapes(config)).rejects.toMatchObject({
      code: 'MODEL_SHAPES_UNKNOWN',
      message: expect.stringMatching(/model\.llm "someone\/something", model\.audioEncoder\.model "nowhere"/),
    });
  });
});

/**
 * Largest resident memory of LoRA steps (r = 16 on seven projections, three samples, up to 40 tokens learnt of each) on
 * weights in bf16 files, onnxruntime with 2 threads, 2026-11-21. The one of 24 layers and 128 tokens is size l of
 * docs/benchmarks.md.
 */
const measured: [layers: number, vocabulary: number, tokens: number, megabytes: number][] = [
  [4, 8192, 16, 942],
  [4, 8192, 128, 1248],
  [4, 8192, 512, 2573],
  [24, 151_936, 16, 2718],
  [24, 151_936, 128, 2905],
  [24, 151_936, 256, 3082],
];

describe('the estimate of memory', () => {
  it.each(measured)(
    'of %i layers, vocabulary %i, %i tokens is near %i MB',
    async (layers, vocabulary, tokens, mb) => {
      const config = parseDecoderConfig({
        ...{ model_type: 'qwen2', hidden_size: 896, num_attention_heads: 14, num_key_value_heads: 2 },
        ...{ intermediate_size: 4864, tie_word_embeddings: true },
        ...{ num_hidden_layers: layers, vocab_size: vocabulary },
      });
      const shapes = decoderTensorShapes(config);
      const weights = Object.fromEntries(
        Object.entries(shapes).map(([name, shape]): [string, WeightSource] => [
          name,
          { storage: 'BF16', shape, file: '', begin: 0, end: 0 },
        ]),
      );
      const { estimate } = await forecastMemory({
        step: {
          name: 'forecast',
          lossSum: (tensors) => languageModelLossSum(config, tensors, { scale: 2 }),
          inputs: languageModelInputs(config),
          trainable: adapterTensorShapes(shapes, { rank: 16, targets: loraTargets }),
          weights,
          optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 },
          clipNorm: null,
          decayUnusedParameters: false,
        },
        accumulate: false,
        at: { batch: 3, tokens, supervised: 3 * Math.min(40, tokens - 2) },
        isOnnxruntime: true,
      });
      expect(Math.abs(estimate!.total / 1e6 / mb - 1)).toBeLessThan(0.06);
    },
  );
});

describe('tokens of an epoch', () => {
  const lengths: Record<string, number> = { a: 10, b: 20, c: 30, d: 40, e: 50 };
  const lengthOf = (name: string) => ({ tokens: lengths[name]!, supervisedTokens: lengths[name]! / 10 });

  it('are counted with the padding of the batches that training draws', () => {
    const one = countTokens({
      names: Object.keys(lengths),
      seed: 1,
      batchSize: 1,
      accumulation: 2,
      lengthOf,
    });
    expect(one.summary).toMatchObject({
      ...{ samples: 5, stepsPerEpoch: 3, meanTokens: 30, longestTokens: 50, mostSupervised: 5 },
      ...{ meanTokensPerStep: 50, paddingShare: 0 },
    });
    expect(one.widest).toEqual({ names: ['e'], tokens: 50 });
    const all = countTokens({
      names: Object.keys(lengths),
      seed: 1,
      batchSize: 5,
      accumulation: 1,
      lengthOf,
    });
    expect(all.summary).toMatchObject({ stepsPerEpoch: 1, longestTokensPerStep: 150 });
    expect(all.summary.paddingShare).toBeCloseTo(1 - 150 / 250, 12);
  });
});

describe('bytes of a checkpoint', () => {
  it('keep adapters apart', () => {
    const bytes = checkpointBytes({ 'm.lora_A.weight': [2, 3], 'affectgpt_proj.bias': [5] });
    expect(bytes).toEqual({ adapter: 24, others: 20, optimizer: 88, total: 132 });
  });
});
