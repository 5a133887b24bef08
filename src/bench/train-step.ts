import { loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { ignoredLabel } from '../../model/loss.ts';
import { stepCost, stepFlops } from '../../train/flops.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine, HostTensor } from '../engine/types.ts';
import { openDecoder } from '../runtime/pretrained.ts';
import type { BenchCase, Measurement } from './case.ts';
import { type DecoderSize, decoderSizes } from './decoder-sizes.ts';
import { randomModel } from './random-model.ts';

/** Sequences, tokens of each, how many of those are learnt, and the adapters. */
export const trainStepShape = {
  batch: 3,
  tokens: 128,
  supervised: 40,
  rank: 16,
  alpha: 32,
  targets: loraTargets,
};
const { batch, tokens, supervised, rank, alpha } = trainStepShape;

/**
 * Floating-point operations of the step, forward and backward; see `train/flops.ts` for what counts. The adapters are
 * all that is trained, so backward ends at the first layer's queries, keys and values.
 */
export function trainStepFlops(size: DecoderSize): number {
  const config = parseDecoderConfig(decoderSizes[size]);
  const trainable = adapterTensorShapes(decoderTensorShapes(config), { rank, targets: loraTargets });
  const lengths = Array.from({ length: batch }, () => tokens);
  return stepFlops(stepCost(config, trainable, false), { lengths, supervisedTokens: batch * supervised });
}

/** Forward, backward and AdamW of a LoRA step in float32: r = 16 on seven projections, 3 x 128 tokens, 40 supervised each. */
export async function openTrainStep(engine: Engine, size: DecoderSize): Promise<BenchCase> {
  const config = parseDecoderConfig(decoderSizes[size]);
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
  const trainable = adapterTensorShapes(decoderTensorShapes(config), { rank, targets: loraTargets });
  // Read from disk, as a user's is.
  const folder = await randomModel(size);
  const started = performance.now();
  const { weights } = await openDecoder(folder);
  const step = new TrainStep(engine, {
    name: `bench-${size}`,
    lossSum: (tensors) => languageModelLossSum(config, tensors, { scale: alpha / rank }),
    inputs: languageModelInputs(config),
    trainable,
    weights,
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 },
    clipNorm: null,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, initAdapter(trainable, 2));
  const inputs = languageModelBatch(config, ids, mask, labels);
  let index = 0;
  const run = async (): Promise<Measurement> => {
    const before = performance.now();
    index++;
    const { loss } = await step.run(state, [inputs], {
      supervisedTokens: batch * supervised,
      learningRate: 1e-4,
      step: index,
    });
    return { ms: performance.now() - before, loss };
  };
  await run();
  return {
    bench: 'train-step',
    size,
    firstMs: performance.now() - started,
    tokens: batch * tokens,
    flops: trainStepFlops(size),
    run,
    async dispose() {
      state.dispose();
      await step.dispose();
    },
  };
}
