import { z } from 'zod';
import type { Modality } from './open-encoder.ts';

const text = () => z.string().min(1);
const count = () => z.int().min(1);

const output = z
  .strictObject({
    name: text().describe('Name of the output of the ONNX file that holds the features.'),
    pooling: z
      .enum(['none', 'mean', 'first'])
      .describe(
        'How it becomes one vector an image or clip: `none` (it is `[n, size]` already), `mean` over its tokens, or the `first` token; the last two take `[n, tokens, size]`.',
      ),
  })
  .describe('Where the features come from.');

const size = count()
  .optional()
  .describe('Length of a feature vector. Needed only where the ONNX file does not say it.');

const file = text().describe(
  'The ONNX file, relative to this one. Files of external data lie beside it under the names it was exported with.',
);

const edges = z.union([count(), z.strictObject({ height: count(), width: count() })]);
const channels = () => z.array(z.number()).length(3);

const imagePreprocessing = z.strictObject({
  size: z
    .union([edges, z.strictObject({ shortest_edge: count() })])
    .describe('Size after resizing: one number for a square, `{height, width}`, or `{shortest_edge}`.'),
  crop_size: edges.optional().describe('The middle that is kept after resizing. Left out: everything.'),
  resample: z
    .int()
    .min(1)
    .max(3)
    .default(3)
    .describe('Filter, antialiased, as Pillow numbers it: 1 Lanczos, 2 bilinear, 3 bicubic.'),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255)
    .describe('Bytes are multiplied by this first.'),
  image_mean: channels().describe('Taken off each channel (red, green, blue) after that.'),
  image_std: channels().describe('What each channel is then divided by.'),
});

const soundPreprocessing = z.strictObject({
  sampling_rate: z
    .literal(16_000)
    .default(16_000)
    .describe('Samples a second; 16000, at which all sound is decoded.'),
  do_normalize: z
    .boolean()
    .describe('Whether sound gets zero mean and unit variance, over what `compat.audioNormalisation` says.'),
});

const preprocessing = <Inline extends z.ZodType>(inline: Inline, what: string) =>
  z
    .union([text(), inline])
    .describe(
      `${what}: the path of a \`preprocessor_config.json\`, relative to this file, or these keys of one.`,
    );

const onnxVisual = z.strictObject({
  modality: z.literal('visual').describe('`visual` or `audio`.'),
  file,
  input: z
    .strictObject({
      name: text().describe('Name of the input that takes the images.'),
      layout: z
        .enum(['nchw', 'nhwc'])
        .default('nchw')
        .describe('Order of its axes: `nchw` (`[n, 3, height, width]`) or `nhwc` (`[n, height, width, 3]`).'),
    })
    .describe('What the model takes.'),
  preprocessing: preprocessing(imagePreprocessing, 'How frames and faces are prepared'),
  output,
  size,
});

const onnxAudio = z.strictObject({
  modality: z.literal('audio').describe('`visual` or `audio`.'),
  file,
  input: z
    .strictObject({
      name: text().describe('Name of the input that takes the waveforms.'),
      layout: z
        .enum(['nt', 'nct'])
        .default('nt')
        .describe('Its axes: `nt` (`[n, samples]`) or `nct` (`[n, 1, samples]`).'),
      mask: text()
        .optional()
        .describe('Name of an input `[n, samples]` that is filled with ones, such as `attention_mask`.'),
    })
    .describe('What the model takes.'),
  preprocessing: preprocessing(soundPreprocessing, 'How the clips of two seconds are prepared'),
  output,
  size,
});

const transformers = (modality: Modality) =>
  z.strictObject({
    modality: z.literal(modality).describe('`visual` or `audio`.'),
    model: text().describe('Hugging Face id, or a folder relative to this file.'),
    file: text()
      .optional()
      .describe(
        'The ONNX file inside the model. Left out: as for a model that is named without a description.',
      ),
    output: output.default(defaultOutput).describe('Where the features come from.'),
    size,
  });

/** Of a `transformers` encoder that is named without a description. */
export const defaultOutput = { name: 'last_hidden_state', pooling: 'mean' } as const;

/** The descriptions that a user may write, by the `type` of the configuration. */
export const descriptionSchemas = {
  onnx: { visual: onnxVisual, audio: onnxAudio },
  transformers: { visual: transformers('visual'), audio: transformers('audio') },
} as const;

export type ImagePreprocessingKeys = z.infer<typeof imagePreprocessing>;
export type OnnxVisualDescription = z.infer<typeof onnxVisual>;
export type OnnxAudioDescription = z.infer<typeof onnxAudio>;
export type TransformersDescription = z.infer<ReturnType<typeof transformers>>;
export type OutputDescription = z.infer<typeof output>;

/** Whether a `model` of the configuration names a description instead of a model. */
export const isDescriptionFile = (model: string): boolean => /\.ya?ml$/i.test(model);
