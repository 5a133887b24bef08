import type * as tf from '@tensorflow/tfjs';
import type { AdapterContext } from '../lora/linear.ts';
import { Parameters } from '../src/engine/parameters.ts';
import type { HostTensor, HostTensorMap, InputSpec, TensorMap } from '../src/engine/types.ts';
import {
  causalBias,
  type DecoderConfig,
  decoderForward,
  embedTokens,
  logits,
  ropeTables,
  targetLogits,
} from './decoder.ts';
import { crossEntropy, supervisedPositions } from './loss.ts';

/** Inputs of `languageModelLossSum`: dimensions batch, tokens and supervised. */
export function languageModelInputs(config: DecoderConfig): Record<string, InputSpec> {
  return {
    ids: { dtype: 'int32', shape: ['batch', 'tokens'] },
    cos: { dtype: 'float32', shape: [1, 1, 'tokens', config.headDim] },
    sin: { dtype: 'float32', shape: [1, 1, 'tokens', config.headDim] },
    attentionBias: { dtype: 'float32', shape: ['batch', 1, 'tokens', 'tokens'] },
    positions: { dtype: 'int32', shape: ['supervised'] },
    targets: { dtype: 'int32', shape: ['supervised'] },
    targetWeights: { dtype: 'float32', shape: ['supervised'] },
  };
}

/**
 * The inputs for a batch of right-padded token rows, on the host.
 *
 * @param ids int32 `[batch, tokens]`
 * @param attentionMask `[batch, tokens]`, 0 at padding
 * @param labels int32 `[batch, tokens]`, `ignoredLabel` where nothing is learnt
 */
export function languageModelBatch(
  config: DecoderConfig,
  ids: HostTensor,
  attentionMask: HostTensor,
  labels: HostTensor,
): HostTensorMap {
  const { positions, targets } = supervisedPositions(labels);
  const shape = [positions.length];
  return {
    ids,
    ...ropeTables(
      config,
      Array.from({ length: ids.shape[1]! }, (_, position) => position),
    ),
    attentionBias: causalBias(attentionMask),
    positions: { dtype: 'int32', shape, data: positions },
    targets: { dtype: 'int32', shape, data: targets },
    targetWeights: { dtype: 'float32', shape, data: new Float32Array(positions.length).fill(1) },
  };
}

/** Sum of the next-token losses at the supervised rows; the decoder alone, without other modalities. */
export function languageModelLossSum(
  config: DecoderConfig,
  { inputs, parameters: tensors }: { inputs: TensorMap; parameters: TensorMap },
  adapter?: AdapterContext,
): tf.Scalar {
  const parameters = new Parameters(tensors);
  const { hidden } = decoderForward(parameters, config, {
    inputsEmbeds: embedTokens(parameters, inputs.ids!),
    cos: inputs.cos!,
    sin: inputs.sin!,
    attentionBias: inputs.attentionBias!,
    adapter,
    rows: inputs.positions!,
  });
  return crossEntropy(
    logits(parameters, config, hidden),
    inputs.targets!,
    inputs.targetWeights!,
    targetLogits(parameters, config, hidden, inputs.targets!),
  ).lossSum;
}
