import * as tf from '@tensorflow/tfjs';

/** What does not change during training, per group of parameters. */
export interface AdamWSettings {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
}

/** What changes from step to step: scalars, the same for all parameters of a group. */
export interface AdamWSchedule {
  readonly learningRate: tf.Tensor;
  readonly biasCorrection1: tf.Tensor;
  readonly biasCorrection2Sqrt: tf.Tensor;
}

/** The corrections of the moments' start at zero, on the host in float64. @param step counts from 1 */
export function biasCorrections(
  step: number,
  [beta1, beta2]: readonly [number, number],
): { biasCorrection1: number; biasCorrection2Sqrt: number } {
  return { biasCorrection1: 1 - beta1 ** step, biasCorrection2Sqrt: Math.sqrt(1 - beta2 ** step) };
}

/**
 * One step of AdamW (Loshchilov and Hutter 2019) for one parameter, operation by operation as `torch.optim.AdamW`
 * without `foreach`. All tensors have the parameter's shape.
 */
export function adamwUpdate(
  {
    parameter,
    gradient,
    expAvg,
    expAvgSq,
  }: Readonly<Record<'parameter' | 'gradient' | 'expAvg' | 'expAvgSq', tf.Tensor>>,
  { learningRate, biasCorrection1, biasCorrection2Sqrt }: AdamWSchedule,
  { betas: [beta1, beta2], eps, weightDecay }: AdamWSettings,
): { parameter: tf.Tensor; expAvg: tf.Tensor; expAvgSq: tf.Tensor } {
  const decayed =
    weightDecay === 0 ? parameter : tf.mul(parameter, tf.sub(1, tf.mul(learningRate, weightDecay)));
  const newExpAvg = tf.add(expAvg, tf.mul(tf.sub(gradient, expAvg), 1 - beta1));
  const newExpAvgSq = tf.add(tf.mul(expAvgSq, beta2), tf.mul(tf.square(gradient), 1 - beta2));
  const denominator = tf.add(tf.div(tf.sqrt(newExpAvgSq), biasCorrection2Sqrt), eps);
  const stepSize = tf.div(learningRate, biasCorrection1);
  return {
    parameter: tf.sub(decayed, tf.mul(tf.div(newExpAvg, denominator), stepSize)),
    expAvg: newExpAvg,
    expAvgSq: newExpAvgSq,
  };
}

/** The sum of the squares of each gradient, `[gradients]`. */
export function squareSums(gradients: readonly tf.Tensor[]): tf.Tensor {
  return tf.stack(gradients.map((gradient) => tf.sum(tf.square(gradient))));
}

/** Euclidean norm of all gradients taken together, a scalar. @param sums from `squareSums` */
export function globalNorm(sums: tf.Tensor): tf.Tensor {
  return tf.sqrt(tf.sum(sums));
}

/**
 * The scalar that gradients are multiplied with so that their norm is at most `maxNorm`, as
 * `torch.nn.utils.clip_grad_norm_` computes it. @param norm from `globalNorm`
 */
export function clipScale(norm: tf.Tensor, maxNorm: number): tf.Tensor {
  return tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1);
}
