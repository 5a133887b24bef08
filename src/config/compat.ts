import { z } from 'zod';

/**
 * The quirks of the published code that change numbers. `reference` sets them as published, `fixed` as one would
 * want them; this table is the only place that knows either. A switch on which both presets agree is still a
 * choice: its other value exists for comparisons.
 */
export const COMPAT_PRESETS = {
  reference: {
    bosAtInference: false,
    attendFinalEos: false,
    faceColorOrder: 'bgr',
    audioNormalisation: 'sample',
    audioTail: 'div8',
    audioMeanRemoval: true,
    decayUnusedParameters: false,
    stopSequences: 'published',
    wheelTable: 'published',
  },
  fixed: {
    bosAtInference: true,
    attendFinalEos: true,
    faceColorOrder: 'rgb',
    audioNormalisation: 'sample',
    audioTail: 'div7',
    audioMeanRemoval: false,
    decayUnusedParameters: false,
    stopSequences: 'text',
    wheelTable: 'corrected',
  },
} as const;

export type CompatPreset = keyof typeof COMPAT_PRESETS;

/** What holds where a configuration says nothing: only those that reproduce a published row ask for `reference`. */
const { fixed } = COMPAT_PRESETS;

const switchesSchema = z.strictObject({
  bosAtInference: z
    .boolean()
    .default(fixed.bosAtInference)
    .describe(
      'Whether the beginning-of-sequence token stands before the prompt when the model answers, as it always does in training. The published inference leaves it out.',
    ),
  attendFinalEos: z
    .boolean()
    .default(fixed.attendFinalEos)
    .describe(
      'Whether the end-of-sequence token that closes a training sequence takes part in attention. The published code pads with the same token and so masks the last real one as well; it is supervised either way.',
    ),
  faceColorOrder: z
    .enum(['bgr', 'rgb'])
    .default(fixed.faceColorOrder)
    .describe(
      'Colour order in which face crops reach the visual encoder; crops stored in the other order (`data.faces.colorOrder`) are swapped. The published model was trained on BGR crops, although its encoder expects RGB.',
    ),
  audioNormalisation: z
    .enum(['sample', 'clip', 'batch'])
    .default(fixed.audioNormalisation)
    .describe(
      'Over what the waveform gets one mean and one variance before the audio encoder: the eight clips of a `sample` (published inference), each `clip`, or all clips of a `batch` (published training). `batch` makes features depend on their neighbours and is refused together with `data.featureCache`.',
    ),
  audioTail: z
    .enum(['div8', 'div7'])
    .default(fixed.audioTail)
    .describe(
      'Step between the starts of the eight two-second clips: (duration - 2 s) / 8, as published, which never hears the last eighth, or / 7, which reaches the end.',
    ),
  audioMeanRemoval: z
    .boolean()
    .default(fixed.audioMeanRemoval)
    .describe(
      'Whether the mean of each two-second clip is subtracted from it before normalisation, as the published code does as a side effect of computing a spectrogram.',
    ),
  decayUnusedParameters: z
    .boolean()
    .default(fixed.decayUnusedParameters)
    .describe(
      'Whether weight decay also shrinks trainable tensors that the chosen inputs never use. They have no gradient and the published optimizer skips them.',
    ),
  stopSequences: z
    .enum(['published', 'text'])
    .default(fixed.stopSequences)
    .describe(
      'What ends an answer besides the end-of-sequence tokens: `published` knows `###` as one token or as `##` and `#`, and misses other spellings such as a leading space; `text` stops as soon as the answer contains `###`, however it was tokenized.',
    ),
  wheelTable: z
    .enum(['published', 'corrected'])
    .default(fixed.wheelTable)
    .describe(
      'Table of word forms used to score emotion labels. The published one sends `fear` to `fearless` and 16 other words to their opposites; the corrected one, published later by its authors, does not. `affectgpt eval mer-unibench --checkpoint` scores with it under the protocol `strict`, unless `--wheel-table` names one; `paper` takes the published one.',
    ),
});

/** Every switch with its value; what the rest of the program reads. */
export type Compat = z.infer<typeof switchesSchema>;

/** Names of the switches in the order of the reference page. */
export const COMPAT_SWITCHES = Object.keys(switchesSchema.shape) as (keyof Compat)[];

export function isCompatPreset(value: unknown): value is CompatPreset {
  return typeof value === 'string' && Object.hasOwn(COMPAT_PRESETS, value);
}

/** `compat` of a configuration: a preset's name or a map of switches (missing ones as in `fixed`). */
export const compatSchema = z
  .union([z.enum(['reference', 'fixed']), switchesSchema])
  .transform((value): Compat => (typeof value === 'string' ? { ...COMPAT_PRESETS[value] } : value));
