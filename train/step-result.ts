import type { HostTensorMap } from '../src/engine/types.ts';

/** One optimizer step: what it saw and what came of it. */
export interface StepResult {
  /** Mean over all supervised tokens of the step. */
  readonly loss: number;
  /** Euclidean norm of all gradients, before clipping. */
  readonly gradNorm: number;
  /** Where NaN or infinity came up; parameters and moments are then those before the step. */
  readonly fault?: StepFault;
}

/** The first tensor of a step that is not finite: the loss, else the first gradient in the order of the parameters. */
export interface StepFault {
  /** `loss`, or `gradient of <parameter>`. */
  readonly tensor: string;
  /** NaN or infinity: the loss itself, or the sum of the gradient's squares. */
  readonly value: number;
}

/** How a step is run besides its tensors. */
export interface StepSettings {
  /** Of all micro-batches together. */
  readonly supervisedTokens: number;
  readonly learningRate: number;
  /** Counts updates of the parameters from 1 (for the bias corrections); a step that was skipped made none. */
  readonly step: number;
  /**
   * Whether a single micro-batch is added up like several, so that a run that accumulates does not compile (and hold
   * the weights of) another graph for a step of one; needs a state made for accumulation.
   */
  readonly accumulate?: boolean;
}

/**
 * @param outputs `gradNorm` [] and `squareSums` [gradients] of the graph that updates
 * @param names the parameters of `squareSums`
 */
export function stepResult(
  loss: number,
  { gradNorm, squareSums }: HostTensorMap,
  names: readonly string[],
): StepResult {
  const result = { loss, gradNorm: gradNorm!.data[0]! };
  if (!Number.isFinite(loss)) return { ...result, fault: { tensor: 'loss', value: loss } };
  if (Number.isFinite(result.gradNorm)) return result;
  const sums = squareSums!.data;
  const first = sums.findIndex((sum) => !Number.isFinite(sum));
  const fault =
    first === -1
      ? { tensor: 'norm of all gradients', value: result.gradNorm }
      : { tensor: `gradient of ${names[first]}`, value: sums[first]! };
  return { ...result, fault };
}
