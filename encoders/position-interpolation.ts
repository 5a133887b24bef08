import * as tf from '@tensorflow/tfjs';
import type { ImageSize } from './image-resize.ts';

/** Keys' cubic with a = -0.75, as PyTorch's bicubic interpolation (Pillow's has -0.5). */
function cubic(distance: number): number {
  const a = -0.75;
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/**
 * Weights `[outputSize, inputSize]` that resample one axis as
 * `torch.nn.functional.interpolate(size=..., mode='bicubic', align_corners=False, antialias=False)` does: four
 * neighbours each, those beyond an edge replaced by the edge.
 */
export function bicubicWeights(inputSize: number, outputSize: number): Float32Array {
  const weights = new Float32Array(outputSize * inputSize);
  for (let position = 0; position < outputSize; position++) {
    const source = (inputSize / outputSize) * (position + 0.5) - 0.5;
    const nearest = Math.floor(source);
    for (let neighbour = nearest - 1; neighbour <= nearest + 2; neighbour++) {
      const index = Math.min(Math.max(neighbour, 0), inputSize - 1);
      weights[position * inputSize + index]! += cubic(source - neighbour);
    }
  }
  return weights;
}

/**
 * Learned positions of one grid of patches, interpolated to another: `[from.height * from.width, hidden]` to
 * `[to.height * to.width, hidden]`. A linear map whose weights follow from the sizes alone; between equal grids the
 * positions are left as they are.
 */
export function interpolatePositions(positions: tf.Tensor, from: ImageSize, to: ImageSize): tf.Tensor {
  if (from.height === to.height && from.width === to.width) return positions;
  const hidden = positions.shape[1]!;
  const vertical = tf.tensor2d(bicubicWeights(from.height, to.height), [to.height, from.height]);
  const horizontal = tf.tensor2d(bicubicWeights(from.width, to.width), [to.width, from.width]);
  const rows = tf.matMul(vertical, tf.reshape(positions, [from.height, from.width * hidden]));
  const columnsFirst = tf.transpose(tf.reshape(rows, [to.height, from.width, hidden]), [1, 0, 2]);
  const resized = tf.matMul(horizontal, tf.reshape(columnsFirst, [from.width, to.height * hidden]));
  const rowsFirst = tf.transpose(tf.reshape(resized, [to.width, to.height, hidden]), [1, 0, 2]);
  return tf.reshape(rowsFirst, [to.height * to.width, hidden]);
}
