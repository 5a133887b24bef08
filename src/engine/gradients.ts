import * as tf from '@tensorflow/tfjs';
import type { TensorMap } from './types.ts';

/**
 * Value of a scalar function and its gradients with respect to every parameter. Unlike `tf.valueAndGrads`, which
 * throws, it gives null for a parameter that the value does not depend on (published models train some that are
 * never used, and AdamW skips those).
 *
 * @param fn is called once, with `parameters` itself; parameters may also be reached by other references
 */
export function valueAndGradients(
  fn: (parameters: TensorMap) => tf.Scalar,
  parameters: TensorMap,
): { value: tf.Scalar; gradients: Record<string, tf.Tensor | null> } {
  const names = Object.keys(parameters);
  const tensors = names.map((name) => parameters[name]!);
  const { value, grads } = tf.engine().gradients<tf.Scalar>(() => fn(parameters), tensors, undefined, true);
  const gradients: Record<string, tf.Tensor | null> = {};
  names.forEach((name, i) => {
    gradients[name] = grads[i] ?? null;
  });
  return { value, gradients };
}
