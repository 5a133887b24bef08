import { type DecoderConfig, decoderTensorShapes } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import type { HostTensor, HostTensorMap, State } from '../../src/engine/types.ts';
import type { StepOptions, TrainStep } from '../../train/step.ts';

/** A batch of texts as long as one another, all of whose tokens are learnt. */
export interface Texts {
  readonly inputs: HostTensorMap;
  readonly supervisedTokens: number;
}

/** @param draw the ids, one after the other, as fractions of the vocabulary */
export function texts(config: DecoderConfig, batch: number, tokens: number, draw: () => number): Texts {
  const host = (value: () => number): HostTensor => ({
    dtype: 'int32',
    shape: [batch, tokens],
    data: Int32Array.from({ length: batch * tokens }, value),
  });
  const ids = host(() => Math.floor(draw() * config.vocabSize));
  const attended = host(() => 1);
  return {
    inputs: languageModelBatch(config, ids, attended, ids),
    supervisedTokens: batch * (tokens - 1),
  };
}

/** The step that trains all weights of a decoder on texts. */
export const languageModelStep = (config: DecoderConfig, name: string): StepOptions => ({
  name,
  lossSum: (tensors) => languageModelLossSum(config, tensors),
  inputs: languageModelInputs(config),
  trainable: decoderTensorShapes(config),
  weights: {},
  optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 },
  clipNorm: 1,
  decayUnusedParameters: false,
});

/** Does the steps `from` to `to`, each on the texts that it is given. Returns their losses. */
export async function runSteps(
  step: TrainStep,
  state: State,
  textsOf: (step: number) => Texts,
  {
    from = 1,
    to,
    learningRate,
  }: { readonly from?: number; readonly to: number; readonly learningRate: number },
): Promise<number[]> {
  const losses: number[] = [];
  for (let index = from; index <= to; index++) {
    const { inputs, supervisedTokens } = textsOf(index);
    losses.push((await step.run(state, [inputs], { supervisedTokens, learningRate, step: index })).loss);
  }
  return losses;
}
