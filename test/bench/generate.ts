import { publishedQformer } from '../../fusion/qformer.ts';
import { loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import { inputModes } from '../../model/modes.ts';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { openDecoder } from '../../src/runtime/pretrained.ts';
import { machine, peakMemory, summarise } from './machine.ts';
import { qwen2HalfBillion, randomDecoder } from './random-model.ts';

export interface GenerateOptions {
  readonly engine: EngineName;
  readonly threads: number;
  /** Answers measured after the first. */
  readonly runs: number;
}

const promptTokens = 112;
const newTokens = 32;

/** Greedy answers of Qwen2.5-0.5B with adapters kept apart (r = 16 on seven projections): one prompt, cached decoding. */
export async function benchGenerate({ engine: type, threads, runs }: GenerateOptions) {
  const decoder = await openDecoder(await randomDecoder('qwen2.5-0.5b', qwen2HalfBillion));
  const adapter = initAdapter(
    adapterTensorShapes(decoderTensorShapes(decoder.config), { rank: 16, targets: loraTargets }),
    2,
  );
  const config: AffectGptConfig = {
    decoder: decoder.config,
    mode: inputModes.textonly,
    lora: { rank: 16, alpha: 32, dropout: 0 },
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
  const engine = await createEngine({ type, threads });
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
    const started = performance.now();
    await generator.answer(state, prompt, {
      maxNewTokens,
      stop: [],
      sampling: { method: 'greedy' },
      padToken: 0,
    });
    return performance.now() - started;
  };
  const firstAnswer = await answer(1);
  const prompts: number[] = [];
  const perToken: number[] = [];
  for (let run = 0; run < runs; run++) {
    const first = await answer(1);
    prompts.push(first);
    perToken.push(((await answer(newTokens)) - first) / (newTokens - 1));
  }
  await generator.dispose();
  const summary = summarise(perToken);
  return {
    bench: 'generate',
    size: 'l',
    engine: type,
    threads,
    dtype: 'float32',
    ...summary,
    tokens_per_s: Number((1000 / summary.median_ms).toFixed(2)),
    prompt_ms: summarise(prompts).median_ms,
    peak_rss_mb: peakMemory(),
    first_answer_ms: Math.round(firstAnswer),
    machine,
  };
}
