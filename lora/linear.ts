import * as tf from '@tensorflow/tfjs';
import { dropout } from '../src/engine/dropout.ts';
import type { Parameters } from '../src/engine/parameters.ts';
import { InputError } from '../src/errors.ts';

/** How adapters apply, the same for all linear layers of a call. */
export interface AdapterContext {
  /** alpha / rank. */
  readonly scale: number;
  /** In training only: dropped are elements of the adapter's input. `rowKeys` int32 `[rows]`, one per row of x. */
  readonly dropout?: { readonly rate: number; readonly rowKeys: tf.Tensor };
}

/**
 * The linear layer, `x W^T + bias`, plus a low-rank adapter where the parameters hold one:
 * `scale * (dropout(x) A^T) B^T` (Hu et al. 2021, as PEFT computes it). The only place that knows of adapters.
 *
 * @param parameters `weight [out, in]`, `bias [out]` or none, `lora_A.weight [rank, in]` and
 *   `lora_B.weight [out, rank]` or neither
 * @param x `[rows, in]`
 * @returns `[rows, out]`
 * @throws InputError `PARAMETER_MISSING`, or `ADAPTER_SCALE_MISSING` where there is an adapter and no context
 */
export function linear(parameters: Parameters, x: tf.Tensor, adapter?: AdapterContext): tf.Tensor {
  let y = tf.matMul(x, parameters.get('weight'), false, true);
  if (parameters.has('bias')) y = tf.add(y, parameters.get('bias'));
  if (!parameters.has('lora_A.weight')) return y;
  if (adapter === undefined) {
    throw new InputError(
      'ADAPTER_SCALE_MISSING',
      `"${parameters.prefix}" has a low-rank adapter, but the model was called without the adapter's scale ` +
        '(alpha / rank). Pass it, or leave the adapter tensors out of the parameters to run the bare model.',
    );
  }
  const input =
    adapter.dropout === undefined ? x : dropout(x, { ...adapter.dropout, module: parameters.prefix });
  const low = tf.matMul(input, parameters.get('lora_A.weight'), false, true);
  // Scaled while it is [rows, rank], the smallest it gets.
  return tf.add(y, tf.matMul(tf.mul(low, adapter.scale), parameters.get('lora_B.weight'), false, true));
}
