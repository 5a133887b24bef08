import type { VisualEncoder } from '../../../encoders/encoder.ts';
import type { ImagePreprocessing } from '../../../encoders/image-preprocessing.ts';
import type { Emitter, GraphInterface } from '../../engine/onnxruntime/emitter.ts';
import { encoderFunction } from '../../runtime/encoders/built-in.ts';
import type { PretrainedEncoder } from '../../runtime/pretrained.ts';
import { Arithmetic, cast } from './arithmetic.ts';
import { type ExportGraph, type ExportWeights, modelGraph } from './model-graph.ts';
import { resizeAndCropGraph } from './resize.ts';

/**
 * What `preprocessFrames` does, with its roundings to single precision.
 *
 * @param frames uint8 `[frames, height, width, 3]`, RGB
 * @returns float32 `[frames, 3, height, width]`
 */
export function preprocessFramesGraph(
  emitter: Emitter,
  frames: string,
  settings: ImagePreprocessing,
): string {
  const bytes = resizeAndCropGraph(emitter, frames, settings);
  const scaled = cast(
    emitter,
    new Arithmetic(emitter, 'float64').multiply(bytes, settings.rescaleFactor),
    'float32',
  );
  const channels = (values: readonly number[]): string => emitter.constant('float32', values, [3, 1, 1]);
  const { subtract, divide } = new Arithmetic(emitter, 'float32');
  return divide(subtract(scaled, channels(settings.mean)), channels(settings.std));
}

/** `frames` uint8 `[frames, height, width, 3]` to `features` float32 `[frames, size]`, preprocessing included. */
export function visionGraph(
  pretrained: PretrainedEncoder<VisualEncoder>,
  weights: ExportWeights,
): ExportGraph {
  const { preprocessing, outputDimension } = pretrained.encoder;
  const graphInterface: GraphInterface = {
    inputs: [{ name: 'frames', type: 'uint8', shape: ['frames', 'height', 'width', 3] }],
    prepare: (emitter) => ({ pixelValues: preprocessFramesGraph(emitter, 'frames', preprocessing) }),
    finish: (_, { features }) => [
      {
        info: { name: 'features', type: 'float32', shape: ['frames', outputDimension] },
        value: features!,
      },
    ],
  };
  return modelGraph('vision', encoderFunction(pretrained), weights, graphInterface);
}
