import { z } from 'zod';
import type { HostTensor } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import type { Frames } from './encoder.ts';
import { centreCrop, type Image, type ImageSize, type Resampling, resizeImage } from './image-resize.ts';
import { count, only, parseModelFile } from './model-file.ts';

/** What `preprocessor_config.json` says about images. */
export interface ImagePreprocessing {
  /** Length of the shorter edge after resizing, or an exact size; null where images are not resized. */
  readonly resize: { readonly shortestEdge: number } | ImageSize | null;
  readonly resampling: Resampling;
  /** The middle that is kept; null for all. */
  readonly crop: ImageSize | null;
  /** Bytes are multiplied by this before the mean is taken off. */
  readonly rescaleFactor: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const square = (edge: number): ImageSize => ({ height: edge, width: edge });
const openaiNorm = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};
const half = [0.5, 0.5, 0.5];

const shortestEdge = (edge: number) => ({ shortestEdge: edge });

/** Hugging Face's image processors: what a size that is one number means to them, and defaults of absent keys. */
const processors = {
  CLIPImageProcessor: { sizeOf: shortestEdge, do_center_crop: true, ...openaiNorm },
  BitImageProcessor: { sizeOf: shortestEdge, do_center_crop: true, ...openaiNorm },
  SiglipImageProcessor: { sizeOf: square, do_center_crop: false, image_mean: half, image_std: half },
};

export type ImageProcessorName = keyof typeof processors;

const exactSize = z.strictObject({ height: count, width: count });
const channels = z.union([
  z.array(z.number()).length(3),
  z.number().transform((value) => [value, value, value]),
]);
const resamplings: Readonly<Record<number, Resampling>> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };

/** Both forms: plain integers (2021) and named edges (since 2022). */
const schema = z.looseObject({
  do_resize: z.boolean().default(true),
  size: z
    .union(
      [
        count,
        z.strictObject({ shortest_edge: count }).transform((size) => shortestEdge(size.shortest_edge)),
        exactSize,
      ],
      'has to be a number of pixels, {"shortest_edge"}, or {"height", "width"}',
    )
    .default(224),
  resample: z
    .number()
    .default(3)
    .transform((code, context) => {
      const resampling = resamplings[code];
      if (resampling !== undefined) return resampling;
      context.addIssue(`is ${code}; supported are 1 (lanczos), 2 (bilinear) and 3 (bicubic)`);
      return z.NEVER;
    }),
  do_center_crop: z.boolean().optional(),
  crop_size: z
    .union([count.transform(square), exactSize], 'has to be a number of pixels or {"height", "width"}')
    .default(square(224)),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: channels.optional(),
  image_std: channels.refine((std) => std.every((value) => value > 0), 'has to be positive').optional(),
  // Frames are RGB, so `do_convert_rgb` has nothing to do; these would have.
  do_pad: only(false),
  do_flip_channel_order: only(false),
  do_grayscale: only(false),
});

/** Which class reads the file: as it says itself (older and faster variants do the same), else the model's own. */
function processorName(json: object, own: ImageProcessorName): ImageProcessorName {
  const named = 'image_processor_type' in json ? json.image_processor_type : undefined;
  const older = 'feature_extractor_type' in json ? json.feature_extractor_type : undefined;
  const type = named ?? older ?? own;
  const name = String(type)
    .replace(/(Fast|Pil)$/, '')
    .replace(/FeatureExtractor$/, 'ImageProcessor');
  if (name in processors) return name as ImageProcessorName;
  throw new InputError(
    'ENCODER_CONFIG_INVALID',
    `The preprocessor_config.json is for the image processor ${JSON.stringify(type)} (image_processor_type); ` +
      `supported are ${Object.keys(processors).join(', ')}.`,
  );
}

/**
 * Reads `preprocessor_config.json` as Hugging Face does; null stands for the default.
 * @param own the image processor of the model, for files that do not name one
 * @throws InputError `ENCODER_CONFIG_INVALID`
 */
export function parseImagePreprocessing(json: unknown, own: ImageProcessorName): ImagePreprocessing {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
  const given = isObject
    ? Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
    : json;
  const parsed = parseModelFile(schema, given, 'preprocessor_config.json');
  const defaults = processors[processorName(given as object, own)];
  const size = typeof parsed.size === 'number' ? defaults.sizeOf(parsed.size) : parsed.size;
  const isCropped = parsed.do_center_crop ?? defaults.do_center_crop;
  return {
    resize: parsed.do_resize ? size : null,
    resampling: parsed.resample,
    crop: isCropped ? parsed.crop_size : null,
    rescaleFactor: parsed.do_rescale ? parsed.rescale_factor : 1,
    mean: parsed.do_normalize ? (parsed.image_mean ?? defaults.image_mean) : [0, 0, 0],
    std: parsed.do_normalize ? (parsed.image_std ?? defaults.image_std) : [1, 1, 1],
  };
}

/**
 * The size of every preprocessed image, or null where images keep their own. With only the shorter edge given it is
 * that of square images, which frames and faces are.
 */
export function preprocessedSize({ resize, crop }: ImagePreprocessing): ImageSize | null {
  if (crop !== null || resize === null) return crop;
  return 'shortestEdge' in resize ? square(resize.shortestEdge) : resize;
}

/** Size after resizing; the longer edge keeps the aspect ratio, rounded down. */
function resizedSize({ height, width }: Image, resize: NonNullable<ImagePreprocessing['resize']>): ImageSize {
  if (!('shortestEdge' in resize)) return resize;
  const edge = resize.shortestEdge;
  return width <= height
    ? { height: Math.trunc((edge * height) / width), width: edge }
    : { height: edge, width: Math.trunc((edge * width) / height) };
}

/** Resizes and crops one image. */
export function resizeAndCrop(image: Image, { resize, resampling, crop }: ImagePreprocessing): Image {
  const resized = resize === null ? image : resizeImage(image, resizedSize(image, resize), resampling);
  return crop === null ? resized : centreCrop(resized, crop);
}

/**
 * Frames as an image tower wants them: resized, cropped, scaled and normalised per channel, with the roundings to
 * single precision that Hugging Face's processors (of Pillow and NumPy) make.
 * @returns float32 `[frames, 3, height, width]`
 * @throws InputError `IMAGE_SIZE_MISMATCH` where the result has not the tower's size
 */
export function preprocessFrames(frames: Frames, settings: ImagePreprocessing, size: ImageSize): HostTensor {
  const { count: images, height, width } = frames;
  const plane = size.height * size.width;
  const result = new Float32Array(images * 3 * plane);
  const { fround } = Math;
  // A byte has 256 values: every normalised value is computed once per channel.
  const normalised = settings.mean.map((mean, channel) =>
    Float32Array.from({ length: 256 }, (_, byte) => {
      const centred = fround(fround(byte * settings.rescaleFactor) - fround(mean));
      return centred / fround(settings.std[channel]!);
    }),
  );
  for (let frame = 0; frame < images; frame++) {
    const begin = frame * height * width * 3;
    const data = frames.data.subarray(begin, begin + height * width * 3);
    const image = resizeAndCrop({ data, height, width }, settings);
    if (image.height !== size.height || image.width !== size.width) {
      throw new InputError(
        'IMAGE_SIZE_MISMATCH',
        `preprocessor_config.json makes ${image.height}x${image.width} pixels of an image of ${height}x${width}, ` +
          `but the tower takes ${size.height}x${size.width}. Set do_resize and do_center_crop, or give square images.`,
      );
    }
    for (let channel = 0; channel < 3; channel++) {
      const table = normalised[channel]!;
      const offset = (frame * 3 + channel) * plane;
      for (let i = 0; i < plane; i++) result[offset + i] = table[image.data[i * 3 + channel]!]!;
    }
  }
  return { dtype: 'float32', shape: [images, 3, size.height, size.width], data: result };
}
