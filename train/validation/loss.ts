import type * as tf from '@tensorflow/tfjs';
import type { CompiledFunction, Engine, HostTensorMap, State } from '../../src/engine/types.ts';
import { NumericError } from '../../src/errors.ts';
import { listNames } from '../bad-step.ts';
import type { StepOptions } from '../step.ts';
import type { TaskBatch } from '../task.ts';

/** Samples that are computed together. */
export interface NamedBatch extends TaskBatch {
  readonly names: readonly string[];
}

/** What the validation graph is made of. */
export interface ValidationGraph
  extends Pick<StepOptions, 'name' | 'lossSum' | 'inputs' | 'trainable' | 'weights'> {
  /** In place of `lossSum`: that and more of the same pass, by name. */
  readonly measured?: (
    tensors: Parameters<StepOptions['lossSum']>[0],
  ) => { readonly lossSum: tf.Scalar } & Record<string, tf.Tensor>;
}

/**
 * The loss of held-out samples under the parameters of a training state: a graph of the forward pass alone, without
 * dropout. It is compiled at its first use and kept. On top of the training step it holds the frozen weights once more,
 * as the engine keeps them, and for the time of a batch the activations of one pass, none of which waits for a backward
 * pass; trained tensors are those of the state.
 */
export class ValidationLoss {
  readonly #engine: Engine;
  readonly #options: ValidationGraph;
  #compiled: Promise<CompiledFunction> | undefined;

  /** @param options of the training step, `inputs` without those of dropout */
  constructor(engine: Engine, options: ValidationGraph) {
    this.#engine = engine;
    this.#options = options;
  }

  /**
   * @param batches asked for one after the other
   * @param observe told everything that was measured of a batch
   * @returns the mean over all supervised tokens, and their number; undefined where it was stopped
   * @throws NumericError `VALIDATION_LOSS_NOT_FINITE` naming the samples of the batch
   */
  async mean(
    state: State,
    batches: AsyncIterable<NamedBatch>,
    isStopped: () => boolean,
    observe: (batch: NamedBatch, measured: HostTensorMap) => void = () => {},
  ): Promise<{ readonly loss: number; readonly supervisedTokens: number } | undefined> {
    this.#compiled ??= this.#compile();
    const compiled = await this.#compiled;
    let sum = 0;
    let supervisedTokens = 0;
    for await (const batch of batches) {
      if (isStopped()) return undefined;
      if (batch.supervisedTokens === 0) continue;
      const outputs = await compiled.run(batch.inputs, state);
      const loss = outputs.lossSum!.data[0]!;
      if (!Number.isFinite(loss)) {
        throw new NumericError(
          'VALIDATION_LOSS_NOT_FINITE',
          `The validation loss of ${listNames(batch.names)} is ${loss}: the trained weights no longer give numbers for these samples. Go on from an earlier checkpoint with a lower learning rate, or look at the samples.`,
        );
      }
      observe(batch, outputs);
      sum += loss;
      supervisedTokens += batch.supervisedTokens;
    }
    return { loss: sum / supervisedTokens, supervisedTokens };
  }

  async dispose(): Promise<void> {
    await (await this.#compiled)?.dispose();
    this.#compiled = undefined;
  }

  #compile(): Promise<CompiledFunction> {
    const { name, lossSum, inputs, trainable, weights } = this.#options;
    const { measured = (tensors) => ({ lossSum: lossSum(tensors) }) } = this.#options;
    return this.#engine.compile(
      (tensors) => ({
        outputs: measured({
          inputs: tensors.inputs,
          parameters: { ...tensors.weights, ...tensors.state },
        }),
      }),
      {
        name: `${name}.validation`,
        inputs,
        state: Object.fromEntries(
          Object.entries(trainable).map(([parameter, shape]) => [parameter, { dtype: 'float32', shape }]),
        ),
        weights,
      },
    );
  }
}
