import type * as tf from '@tensorflow/tfjs';
import type { Parameters } from '../src/engine/parameters.ts';
import { InputError } from '../src/errors.ts';
import type { EncoderOutput, VisualEncoder } from './encoder.ts';
import { type ImagePreprocessing, preprocessedSize, preprocessFrames } from './image-preprocessing.ts';
import type { ImageSize } from './image-resize.ts';
import { drawTensors, type TensorPlan, tensorShapes } from './tensor-plan.ts';

/** What makes one image tower different from another. */
export interface VisualEncoderParts {
  readonly type: string;
  readonly outputDimension: number;
  readonly plan: TensorPlan;
  readonly intermediatePlan?: TensorPlan;
  readonly tensorAliases?: VisualEncoder['tensorAliases'];
  readonly tensorPrefixes?: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** Size of the images that `forward` takes. */
  readonly imageSize: ImageSize;
  /** `pixelValues [images, 3, height, width]` */
  forward(parameters: Parameters, pixelValues: tf.Tensor): EncoderOutput;
}

/** An encoder that is given preprocessed pixels and nothing else. */
export function makeVisualEncoder(parts: VisualEncoderParts): VisualEncoder {
  const { plan, imageSize, preprocessing } = parts;
  return {
    type: parts.type,
    modality: 'visual',
    outputDimension: parts.outputDimension,
    tensorShapes: tensorShapes(plan),
    intermediateTensorShapes: tensorShapes(parts.intermediatePlan ?? {}),
    tensorAliases: parts.tensorAliases ?? {},
    tensorPrefixes: parts.tensorPrefixes ?? [],
    init: (seed) => drawTensors(plan, seed),
    inputs: { pixelValues: { dtype: 'float32', shape: ['images', 3, imageSize.height, imageSize.width] } },
    preprocessing,
    preprocess: (frames) => ({ pixelValues: preprocessFrames(frames, preprocessing, imageSize) }),
    forward: (parameters, { pixelValues }) => parts.forward(parameters, pixelValues!),
  };
}

/**
 * The only size that a tower with fixed positions takes.
 * @throws InputError `IMAGE_SIZE_MISMATCH` where `preprocessor_config.json` makes another one
 */
export function fixedImageSize(preprocessing: ImagePreprocessing, imageSize: number): ImageSize {
  const made = preprocessedSize(preprocessing);
  if (made !== null && (made.height !== imageSize || made.width !== imageSize)) {
    throw new InputError(
      'IMAGE_SIZE_MISMATCH',
      `preprocessor_config.json makes images of ${made.height}x${made.width} pixels, but config.json says the tower ` +
        `takes ${imageSize}x${imageSize} (image_size); its positions are not interpolated.`,
    );
  }
  return { height: imageSize, width: imageSize };
}
