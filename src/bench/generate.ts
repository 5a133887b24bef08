import { publishedQformer } from '../../fusion/qformer.ts';
import { loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import { inputModes } from '../../model/modes.ts';
import type { Engine, HostTensor } from '../engine/types.ts';
import { Generator } from '../runtime/generator.ts';
import { openDecoder } from '../runtime/pretrained.ts';
import type { BenchCase, Measurement } from './case.ts';
import type { DecoderSize } from './decoder-sizes.ts';
import { randomModel } from './random-model.ts';

/** Tokens of the prompt and of the longer answer, and the adapters. */
export const generateShape = { promptTokens: 112, newTokens: 32, rank: 16, alpha: 32, targets: loraTargets };
const { promptTokens, newTokens, rank, alpha, targets } = generateShape;

/**
 * Greedy answers of a decoder with adapters kept apart (r = 16 on seven projections): one prompt of 112 tokens, cached
 * decoding. A run answers with one token, then with 32; the difference is the time of the 31 others.
 */
export async function openGenerate(engine: Engine, size: DecoderSize): Promise<BenchCase> {
  const folder = await randomModel(size);
  const started = performance.now();
  const decoder = await openDecoder(folder);
  const adapter = initAdapter(adapterTensorShapes(decoderTensorShapes(decoder.config), { rank, targets }), 2);
  const config: AffectGptConfig = {
    decoder: decoder.config,
    mode: inputModes.textonly,
    lora: { rank, alpha, dropout: 0 },
    fusion: {
      visualSize: null,
      audioSize: null,
      hiddenSize: decoder.config.hiddenSize,
      frames: 8,
      patches: 1,
      audioClips: 8,
      multi: 'none',
      video: 'attention',
      audio: 'attention',
      image: 'mean',
      queryTokens: { multi: 1, video: 1, audio: 1, image: 1 },
      qformer: publishedQformer,
    },
  };
  const generator = new Generator(engine, {
    config,
    weights: decoder.weights,
    trainable: Object.fromEntries(Object.entries(adapter).map(([name, { shape }]) => [name, shape])),
  });
  const int32 = (data: Int32Array): HostTensor => ({ dtype: 'int32', shape: [1, promptTokens], data });
  const positions = Int32Array.from({ length: promptTokens }, (_, i) => i);
  const prompt = {
    inputs: { inputIds: int32(positions.map((i) => (i * 7919) % decoder.config.vocabSize)) },
    attentionMask: int32(new Int32Array(promptTokens).fill(1)),
    positions,
  };
  const state = engine.createState(adapter);
  const answer = async (maxNewTokens: number): Promise<number> => {
    const before = performance.now();
    await generator.answer(state, prompt, {
      maxNewTokens,
      stop: [],
      sampling: { method: 'greedy' },
      padToken: 0,
    });
    return performance.now() - before;
  };
  await answer(2);
  return {
    bench: 'generate',
    size,
    firstMs: performance.now() - started,
    tokens: 1,
    flops: null,
    async run(): Promise<Measurement> {
      const promptMs = await answer(1);
      return { promptMs, ms: ((await answer(newTokens)) - promptMs) / (newTokens - 1) };
    },
    async dispose() {
      state.dispose();
      await generator.dispose();
    },
  };
}
