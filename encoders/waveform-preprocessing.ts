import { z } from 'zod';
import type { HostTensor } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import type { WaveformPolicy, Waveforms } from './encoder.ts';
import { oneOf, only, parseModelFile } from './model-file.ts';

/** Two seconds at 16 kHz: the length of every clip. */
export const clipSamples = 32_000;

/** Added to the variance, as in Hugging Face's Wav2Vec2FeatureExtractor. */
export const varianceFloor = 1e-7;

/** What `preprocessor_config.json` says about sound. */
export interface WaveformPreprocessing {
  /** Zero mean and unit variance. */
  readonly doNormalize: boolean;
}

const schema = z.looseObject({
  feature_extractor_type: oneOf('Wav2Vec2FeatureExtractor'),
  do_normalize: z.boolean().default(true),
  feature_size: only(1),
  sampling_rate: only(16_000),
});

/**
 * Reads `preprocessor_config.json` of a Wav2Vec2FeatureExtractor. Padding and `return_attention_mask` have nothing to
 * do: clips are equally long, so that a mask would hide nothing.
 * @throws InputError `ENCODER_CONFIG_INVALID`
 */
export function parseWaveformPreprocessing(json: unknown): WaveformPreprocessing {
  return { doNormalize: parseModelFile(schema, json, 'preprocessor_config.json').do_normalize };
}

function meanOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Subtracts the mean and divides by the standard deviation, in place. */
function standardise(values: Float32Array): void {
  const mean = meanOf(values);
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / values.length + varianceFloor);
  for (let i = 0; i < values.length; i++) values[i] = (values[i]! - mean) * scale;
}

/**
 * Clips as HuBERT-like models want them: optionally without each clip's mean, then zero mean and unit variance
 * over a clip, over the clips of a sample (what the published inference does) or over all clips given (what the
 * published training does, which makes features depend on neighbours).
 * @param normalise false leaves out the second part, for extractors whose `do_normalize` is false
 * @returns float32 `[clips, samples]`
 * @throws InputError `CLIP_COUNT` where the clips are not whole samples
 */
export function preprocessWaveforms(
  { data, count, samples }: Waveforms,
  policy: WaveformPolicy,
  normalise: boolean,
): HostTensor {
  if (count % policy.clipsPerSample !== 0) {
    throw new InputError(
      'CLIP_COUNT',
      `${count} audio clips cannot be ${policy.clipsPerSample} clips a sample: give whole samples.`,
    );
  }
  const result = data.slice(0, count * samples);
  const parts = (length: number): Float32Array[] =>
    Array.from({ length: result.length / length }, (_, i) => result.subarray(i * length, (i + 1) * length));
  if (policy.meanRemoval) {
    for (const clip of parts(samples)) {
      const mean = meanOf(clip);
      for (let i = 0; i < clip.length; i++) clip[i] = clip[i]! - mean;
    }
  }
  if (normalise) {
    const clipsTogether = { clip: 1, sample: policy.clipsPerSample, batch: count }[policy.normalisation];
    for (const part of parts(clipsTogether * samples)) standardise(part);
  }
  return { dtype: 'float32', shape: [count, samples], data: result };
}
