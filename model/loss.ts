import * as tf from '@tensorflow/tfjs';
import type { HostTensor } from '../src/engine/types.ts';

/** Label of a token that is not trained on. */
export const ignoredLabel = -100;

/**
 * The rows whose next token is trained on, on the host. Logits at token t predict the label at t + 1, so a row is
 * supervised where its successor in the same sample has a label.
 *
 * @param labels int32 `[batch, tokens]`, `ignoredLabel` where there is nothing to learn
 * @returns `positions [n]`, indices into `[batch * tokens]` rows, and `targets [n]`, the ids they should predict
 */
export function supervisedPositions(labels: HostTensor): { positions: Int32Array; targets: Int32Array } {
  const [batch, tokens] = labels.shape as [number, number];
  const positions: number[] = [];
  const targets: number[] = [];
  for (let row = 0; row < batch; row++) {
    for (let token = 0; token + 1 < tokens; token++) {
      const label = labels.data[row * tokens + token + 1]!;
      if (label === ignoredLabel) continue;
      positions.push(row * tokens + token);
      targets.push(label);
    }
  }
  return { positions: Int32Array.from(positions), targets: Int32Array.from(targets) };
}

/** The largest divisor that is no larger than the square root. */
function largestDivisor(count: number): number {
  let divisor = Math.floor(Math.sqrt(count));
  while (count % divisor !== 0) divisor--;
  return divisor;
}

/**
 * Sums of the rows of `x [n, vocab]`, `[n, 1]`, in two stages: an engine that adds up one number after the other (wasm)
 * would lose two digits over a vocabulary of 150,000.
 */
function sumRows(x: tf.Tensor): tf.Tensor {
  const [rows, vocabSize] = x.shape as [number, number];
  const parts = largestDivisor(vocabSize);
  const partSums = tf.sum(tf.reshape(x, [rows, parts, vocabSize / parts]), -1);
  return tf.sum(partSums, -1, true);
}

/**
 * `log(sum(exp(logits)))` of each row, `[n]`. The own gradient, the softmax, comes from the exponentials of the forward
 * pass, so that no table of log-probabilities is made.
 */
function logSumExp(logits: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((...[scores, save]: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const most = tf.max(scores as tf.Tensor, -1, true);
    const exponentials = tf.exp(tf.sub(scores as tf.Tensor, most));
    const sums = sumRows(exponentials);
    (save as tf.GradSaveFunc)([exponentials, sums]);
    const value = tf.squeeze(tf.add(tf.log(sums), most), [1]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [e, s] = saved as [tf.Tensor, tf.Tensor];
      return tf.mul(e, tf.div(tf.expandDims(dy, 1), s));
    };
    return { value, gradFunc };
  });
  return operation(logits);
}

/** The scores of the targets, `[n]`, picked from the table of all. */
function pickTargets(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  // Cast, because the wasm backend ignores the type that oneHot is asked for.
  const chosen = tf.cast(tf.oneHot(targets, logits.shape[1]!), 'float32');
  return tf.sum(tf.mul(logits, chosen), -1);
}

/**
 * Whether the target is the most likely token of a row; of equally likely ones all count.
 *
 * @param logits `[n, vocab]`
 * @param targets int32 `[n]`
 * @returns float32 `[n]`, 1 where it is, else 0
 */
export function targetHits(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return tf.cast(tf.greaterEqual(pickTargets(logits, targets), tf.max(logits, -1)), 'float32');
}

/**
 * Weighted cross-entropy of next-token predictions. The caller divides by the number of supervised tokens of the
 * whole batch, which may be spread over several calls.
 *
 * @param logits `[n, vocab]`
 * @param targets int32 `[n]`, ids below vocab
 * @param weights float32 `[n]`, 1 for a supervised token and 0 for padding
 * @param targetLogits `[n]`, the scores of the targets where they are known (`targetLogits` of the decoder): the table of
 *   all scores then need not be gone through for them, forwards and backwards
 * @returns `lossSum`, a scalar, the sum of weight x loss; `tokenLoss [n]`, unweighted
 */
export function crossEntropy(
  logits: tf.Tensor,
  targets: tf.Tensor,
  weights: tf.Tensor,
  targetLogits: tf.Tensor = pickTargets(logits, targets),
): { lossSum: tf.Scalar; tokenLoss: tf.Tensor } {
  const tokenLoss = tf.sub(logSumExp(logits), targetLogits);
  return { lossSum: tf.sum(tf.mul(tokenLoss, weights)), tokenLoss };
}
