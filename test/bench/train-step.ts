import { loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { ignoredLabel } from '../../model/loss.ts';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { openDecoder } from '../../src/runtime/pretrained.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { machine, peakMemory, summarise } from './machine.ts';
import { qwen2HalfBillion, randomDecoder } from './random-model.ts';

/** Shapes of the step; all have r = 16 on seven projections, 3 x 128 tokens with 40 supervised each. */
const sizes = {
  s: {
    hidden_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 1024,
    vocab_size: 1024,
  },
  m: {
    hidden_size: 896,
    num_hidden_layers: 4,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    intermediate_size: 4864,
    vocab_size: 8192,
  },
  l: qwen2HalfBillion,
} as const;

export type TrainStepSize = keyof typeof sizes;
export const trainStepSizes = Object.keys(sizes) as TrainStepSize[];

const batch = 3;
const tokens = 128;
const supervised = 40;

export interface BenchOptions {
  readonly engine: EngineName;
  readonly size: TrainStepSize;
  readonly threads: number;
  /** Steps measured after the first. */
  readonly runs: number;
}

/** Forward, backward and AdamW of a LoRA step in float32; times in milliseconds. */
export async function benchTrainStep({ engine: type, size, threads, runs }: BenchOptions) {
  const config = parseDecoderConfig({ model_type: 'qwen2', tie_word_embeddings: true, ...sizes[size] });
  const random = new RandomGenerator(1);
  const integers = (below: number): HostTensor => ({
    dtype: 'int32',
    shape: [batch, tokens],
    data: Int32Array.from({ length: batch * tokens }, () => Math.floor(random.uniform() * below)),
  });
  const ids = integers(config.vocabSize);
  const labels = {
    ...ids,
    data: ids.data.map((id, i) => (i % tokens < tokens - supervised ? ignoredLabel : id)) as Int32Array,
  };
  const mask: HostTensor = {
    dtype: 'int32',
    shape: [batch, tokens],
    data: new Int32Array(batch * tokens).fill(1),
  };

  const adapter = initAdapter(
    adapterTensorShapes(decoderTensorShapes(config), { rank: 16, targets: loraTargets }),
    2,
  );
  const engine = await createEngine({ type, threads });
  const started = performance.now();
  const step = new TrainStep(engine, {
    name: `bench-${size}`,
    lossSum: (tensors) => languageModelLossSum(config, tensors, { scale: 2 }),
    inputs: languageModelInputs(config),
    trainable: Object.fromEntries(Object.entries(adapter).map(([name, { shape }]) => [name, shape])),
    // The large one is read from disk, as a user's is.
    weights:
      size === 'l'
        ? (await openDecoder(await randomDecoder('qwen2.5-0.5b', qwen2HalfBillion))).weights
        : initDecoderWeights(config, 3),
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 },
    clipNorm: null,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, adapter);
  const inputs = languageModelBatch(config, ids, mask, labels);
  const once = (index: number) =>
    step.run(state, [inputs], { supervisedTokens: batch * supervised, learningRate: 1e-4, step: index + 1 });
  await once(0);
  const firstStep = performance.now() - started;
  const times: number[] = [];
  let loss = Number.NaN;
  for (let run = 0; run < runs; run++) {
    const before = performance.now();
    ({ loss } = await once(run + 1));
    times.push(performance.now() - before);
  }
  const { median_ms, min_ms } = summarise(times);
  return {
    bench: 'train-step',
    size,
    engine: type,
    threads,
    dtype: 'float32',
    median_ms,
    min_ms,
    tokens_per_s: Number(((batch * tokens * 1000) / median_ms).toFixed(1)),
    peak_rss_mb: peakMemory(),
    first_step_ms: Math.round(firstStep),
    loss,
    machine,
  };
}
