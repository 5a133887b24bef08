import { z } from 'zod';
import type { HostTensor } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { type Frames, parseModelFile } from './encoder.ts';
import { centreCrop, type Image, resizeBicubic } from './image-resize.ts';

/** What `preprocessor_config.json` says about images. */
export interface ImagePreprocessing {
  /** Length of the shorter edge after resizing, or an exact size; null where images are not resized. */
  readonly resize:
    | { readonly shortestEdge: number }
    | { readonly height: number; readonly width: number }
    | null;
  readonly crop: { readonly height: number; readonly width: number } | null;
  /** Bytes are multiplied by this before the mean is taken off. */
  readonly rescaleFactor: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const pixels = z.int().positive();
const exactSize = z.object({ height: pixels, width: pixels });
const bicubic = 3;

/** Both forms: plain integers (2021) and named edges (since 2022). */
const schema = z.looseObject({
  do_resize: z.boolean().default(true),
  size: z
    .union([
      pixels.transform((shortestEdge) => ({ shortestEdge })),
      z.object({ shortest_edge: pixels }).transform((size) => ({ shortestEdge: size.shortest_edge })),
      exactSize,
    ])
    .optional(),
  resample: z.literal(bicubic, 'only 3 (bicubic) is supported').default(bicubic),
  do_center_crop: z.boolean().default(true),
  crop_size: z.union([pixels.transform((edge) => ({ height: edge, width: edge })), exactSize]).optional(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.array(z.number()).length(3),
  image_std: z.array(z.number().positive()).length(3),
});

/** @throws InputError `ENCODER_CONFIG_INVALID` */
export function parseImagePreprocessing(json: unknown): ImagePreprocessing {
  const parsed = parseModelFile(schema, json, 'preprocessor_config.json');
  return {
    resize: parsed.do_resize ? (parsed.size ?? { shortestEdge: 224 }) : null,
    crop: parsed.do_center_crop ? (parsed.crop_size ?? { height: 224, width: 224 }) : null,
    rescaleFactor: parsed.do_rescale ? parsed.rescale_factor : 1,
    mean: parsed.do_normalize ? parsed.image_mean : [0, 0, 0],
    std: parsed.do_normalize ? parsed.image_std : [1, 1, 1],
  };
}

/** Size after resizing; the longer edge keeps the aspect ratio, rounded down. */
function resizedSize({ height, width }: Image, resize: NonNullable<ImagePreprocessing['resize']>) {
  if (!('shortestEdge' in resize)) return resize;
  const edge = resize.shortestEdge;
  return width <= height
    ? { height: Math.trunc((edge * height) / width), width: edge }
    : { height: edge, width: Math.trunc((edge * width) / height) };
}

/** Resizes and crops one image. @throws InputError `IMAGE_TOO_SMALL` where the crop does not fit */
export function resizeAndCrop(image: Image, { resize, crop }: ImagePreprocessing): Image {
  const target = resize === null ? image : resizedSize(image, resize);
  const resized = resizeBicubic(image, target.height, target.width);
  if (crop === null) return resized;
  if (resized.height < crop.height || resized.width < crop.width) {
    throw new InputError(
      'IMAGE_TOO_SMALL',
      `preprocessor_config.json asks for a crop of ${crop.height}x${crop.width} pixels out of an image of ` +
        `${resized.height}x${resized.width}; enable do_resize or use larger images.`,
    );
  }
  return centreCrop(resized, crop.height, crop.width);
}

/**
 * Frames as an image tower wants them: resized, cropped, scaled and normalised per channel.
 * @returns float32 `[frames, 3, imageSize, imageSize]`
 * @throws InputError `IMAGE_SIZE_MISMATCH` where the result has not the tower's size
 */
export function preprocessFrames(
  frames: Frames,
  settings: ImagePreprocessing,
  imageSize: number,
): HostTensor {
  const { count, height, width } = frames;
  const plane = imageSize * imageSize;
  const result = new Float32Array(count * 3 * plane);
  // A byte has 256 values: every normalised value is computed once per channel.
  const normalised = settings.mean.map((mean, channel) =>
    Float32Array.from(
      { length: 256 },
      (_, byte) => (byte * settings.rescaleFactor - mean) / settings.std[channel]!,
    ),
  );
  for (let frame = 0; frame < count; frame++) {
    const begin = frame * height * width * 3;
    const data = frames.data.subarray(begin, begin + height * width * 3);
    const image = resizeAndCrop({ data, height, width }, settings);
    if (image.height !== imageSize || image.width !== imageSize) {
      throw new InputError(
        'IMAGE_SIZE_MISMATCH',
        `preprocessor_config.json makes images of ${image.height}x${image.width} pixels, but config.json says ` +
          `the tower takes ${imageSize}x${imageSize}.`,
      );
    }
    for (let channel = 0; channel < 3; channel++) {
      const table = normalised[channel]!;
      const offset = (frame * 3 + channel) * plane;
      for (let i = 0; i < plane; i++) result[offset + i] = table[image.data[i * 3 + channel]!]!;
    }
  }
  return { dtype: 'float32', shape: [count, 3, imageSize, imageSize], data: result };
}
