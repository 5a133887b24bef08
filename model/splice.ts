import * as tf from '@tensorflow/tfjs';
import type { HostTensor } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';

/**
 * Puts modality vectors in the place of placeholder tokens. Gradients reach the vectors.
 * @param embeds token embeddings `[rows, hidden]`, rows = batch * tokens
 * @param vectors `[count, hidden]`
 * @param slotIndex int32 `[rows]`: which vector a placeholder row takes; any valid index elsewhere
 * @param isSlot float32 `[rows, 1]`: 1 in placeholder rows, else 0
 * @returns `[rows, hidden]`
 */
export function splice(
  embeds: tf.Tensor,
  vectors: tf.Tensor,
  slotIndex: tf.Tensor,
  isSlot: tf.Tensor,
): tf.Tensor {
  const taken = tf.gather(vectors, slotIndex as tf.Tensor1D, 0);
  return tf.add(tf.mul(embeds, tf.sub(1, isSlot)), tf.mul(taken, isSlot));
}

/** A placeholder of the prompt and how many tokens it was repeated to. */
export interface PlaceholderRun {
  readonly id: number;
  readonly tokens: number;
}

/** Where vectors go, for `splice`; all `[batch, tokens]`. */
export interface SlotPlacement {
  /** int32, the ids with placeholders replaced by 0: they need not be in the embedding table. */
  readonly inputIds: HostTensor;
  /** int32, row of the vectors `[batch * sum of run lengths]`. */
  readonly slotIndex: HostTensor;
  /** float32, 1 at placeholders. */
  readonly isSlot: HostTensor;
}

/**
 * Finds the placeholders of a batch, on the host. The vectors of a sample are consecutive rows, in the order of
 * `runs`, whatever the order in the text.
 * @param ids int32 `[batch, tokens]`
 * @throws InputError `PLACEHOLDER_MISMATCH` where a run is missing, broken or of another length
 */
export function placeSlots(ids: HostTensor, runs: readonly PlaceholderRun[]): SlotPlacement {
  const [batch, tokens] = ids.shape as [number, number];
  const inputIds = Int32Array.from(ids.data);
  const slotIndex = new Int32Array(batch * tokens);
  const isSlot = new Float32Array(batch * tokens);
  const perSample = runs.reduce((sum, run) => sum + run.tokens, 0);
  for (let sample = 0; sample < batch; sample++) {
    const row = inputIds.slice(sample * tokens, (sample + 1) * tokens);
    let vector = sample * perSample;
    for (const run of runs) {
      const first = row.indexOf(run.id);
      const last = row.lastIndexOf(run.id);
      const length = row.reduce((count, id) => count + (id === run.id ? 1 : 0), 0);
      if (length !== run.tokens || last - first + 1 !== length) {
        throw new InputError(
          'PLACEHOLDER_MISMATCH',
          `Row ${sample} of the batch holds the placeholder with id ${run.id} ${length} times; it has to stand there ` +
            `${run.tokens} times in one run, once for each vector that replaces it.`,
        );
      }
      for (let token = first; token <= last; token++) {
        const at = sample * tokens + token;
        inputIds[at] = 0;
        slotIndex[at] = vector++;
        isSlot[at] = 1;
      }
    }
  }
  const shape = [batch, tokens];
  return {
    inputIds: { dtype: 'int32', shape, data: inputIds },
    slotIndex: { dtype: 'int32', shape, data: slotIndex },
    isSlot: { dtype: 'float32', shape, data: isSlot },
  };
}
