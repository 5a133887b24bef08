import * as tf from '@tensorflow/tfjs';
import { linear } from '../lora/linear.ts';
import { Parameters } from '../src/engine/parameters.ts';
import type { ImageSize } from './image-resize.ts';
import { constant, type Initialiser, type TensorPlan } from './tensor-plan.ts';

/** How many whole patches fit; the pixels that remain at the far edges are not used. */
export function patchGrid({ height, width }: ImageSize, patchSize: number): ImageSize {
  return { height: Math.floor(height / patchSize), width: Math.floor(width / patchSize) };
}

/** A convolution over patches that do not overlap. */
export function patchPlan(
  name: string,
  hiddenSize: number,
  patchSize: number,
  init: Initialiser,
  hasBias: boolean,
): TensorPlan {
  return {
    [`${name}.weight`]: { shape: [hiddenSize, 3, patchSize, patchSize], init },
    ...(hasBias && { [`${name}.bias`]: { shape: [hiddenSize], init: constant(0) } }),
  };
}

/**
 * Patches as rows times the flattened kernel: `pixelValues [images, 3, height, width]` to `[images, patches, hidden]`,
 * row by row. `parameters`: `weight [hidden, 3, patch, patch]` and a bias or none.
 */
export function embedPatches(parameters: Parameters, pixelValues: tf.Tensor, patchSize: number): tf.Tensor {
  const [images, , height, width] = pixelValues.shape as [number, number, number, number];
  const grid = patchGrid({ height, width }, patchSize);
  const used = [images, 3, grid.height * patchSize, grid.width * patchSize];
  const isWhole = used[2] === height && used[3] === width;
  const pixels = isWhole ? pixelValues : tf.slice(pixelValues, [0, 0, 0, 0], used);
  const unfolded = tf.transpose(
    tf.reshape(pixels, [images, 3, grid.height, patchSize, grid.width, patchSize]),
    [0, 2, 4, 1, 3, 5],
  );
  const length = 3 * patchSize * patchSize;
  const patches = grid.height * grid.width;
  const rows = tf.reshape(unfolded, [images * patches, length]);
  const weight = parameters.get('weight');
  const hiddenSize = weight.shape[0]!;
  const kernel = new Parameters({
    weight: tf.reshape(weight, [hiddenSize, length]),
    ...(parameters.has('bias') && { bias: parameters.get('bias') }),
  });
  return tf.reshape(linear(kernel, rows), [images, patches, hiddenSize]);
}
