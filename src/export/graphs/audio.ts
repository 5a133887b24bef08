import type { AudioEncoder, WaveformPolicy } from '../../../encoders/encoder.ts';
import { varianceFloor } from '../../../encoders/waveform-preprocessing.ts';
import { type AudioTail, clipCount, clipSamples, sampleRate } from '../../data/media/audio.ts';
import type { Emitter, GraphInterface } from '../../engine/onnxruntime/emitter.ts';
import { encoderFunction } from '../../runtime/encoders/built-in.ts';
import type { PretrainedEncoder } from '../../runtime/pretrained.ts';
import { Arithmetic, cast, range, sizeOf, unsqueeze } from './arithmetic.ts';
import { type ExportGraph, type ExportWeights, modelGraph } from './model-graph.ts';

/** How sound is cut and normalised. */
export interface SoundRule {
  readonly tail: AudioTail;
  readonly policy: WaveformPolicy;
}

/** Bits of the two parts into which fractions are divided, so that no product leaves 64 bits. */
const highBits = 25;
const lowBits = 26;

/**
 * What `audioClipStarts` computes, exactly: `floor(16000 * k * F / parts)` for k = 0 to 7, F the double
 * `length / 16000 - 2`. F is a multiple of 2^-51 (its minuend is 2 or more), so its fraction is an integer of 51 bits, and
 * the product is done in two parts, as by hand.
 *
 * @param length int64 scalar
 * @returns int64 `[8]`
 */
export function audioClipStartsGraph(emitter: Emitter, length: string, tail: AudioTail): string {
  const real = new Arithmetic(emitter, 'float64');
  const seconds = real.maximum(real.subtract(real.divide(real.from(length), sampleRate), 2), 0);
  const wholeSeconds = real.floor(seconds);
  const scaled = real.multiply(real.subtract(seconds, wholeSeconds), 2 ** highBits);
  const high = real.floor(scaled);
  const low = real.multiply(real.subtract(scaled, high), 2 ** lowBits);

  const { add, multiply, divide, from } = new Arithmetic(emitter, 'int64');
  const factors = Array.from({ length: clipCount }, (_, k) => sampleRate * k);
  const factor = emitter.constant('int64', factors, [clipCount]);
  const carried = divide(multiply(factor, from(low)), 2 ** lowBits);
  const ofFraction = divide(add(multiply(factor, from(high)), carried), 2 ** highBits);
  const product = add(multiply(factor, from(wholeSeconds)), ofFraction);
  return divide(product, tail === 'div8' ? clipCount : clipCount - 1);
}

/**
 * What `audioClips` does.
 * @param samples float32 `[length]`
 * @returns float32 `[8, 32000]`
 */
export function audioClipsGraph(emitter: Emitter, samples: string, tail: AudioTail): string {
  const starts = audioClipStartsGraph(emitter, sizeOf(emitter, samples, 0), tail);
  const { add } = new Arithmetic(emitter, 'int64');
  const positions = add(unsqueeze(emitter, starts, [1]), range(emitter, 0, clipSamples));
  // What is too short is filled with zeros.
  const silence = emitter.integers([0, clipSamples]);
  const padded = emitter.add('Pad', [samples, silence, emitter.constant('float32', [0], [])]);
  return emitter.add('Gather', [padded, positions], { axis: 0 });
}

/**
 * What `preprocessWaveforms` does, for the clips of one sample.
 * @param clips float32 `[8, 32000]`
 */
export function preprocessClipsGraph(
  emitter: Emitter,
  clips: string,
  { meanRemoval, normalisation }: WaveformPolicy,
  normalise: boolean,
): string {
  const math = new Arithmetic(emitter, 'float64');
  const { subtract, multiply, divide, add, mean, squareRoot, from } = math;
  let values = clips;
  if (meanRemoval) {
    const exact = from(values);
    values = cast(emitter, subtract(exact, mean(exact, [1])), 'float32');
  }
  if (!normalise) return values;
  const axes = normalisation === 'clip' ? [1] : [0, 1];
  const exact = from(values);
  const centred = subtract(exact, mean(exact, axes));
  const variance = mean(multiply(centred, centred), axes);
  const scale = divide(1, squareRoot(add(variance, varianceFloor)));
  return cast(emitter, multiply(centred, scale), 'float32');
}

/** `samples` float32 `[length]`, 16 kHz mono, to `features` float32 `[8, size]`, one vector a clip of two seconds. */
export function audioGraph(
  pretrained: PretrainedEncoder<AudioEncoder>,
  weights: ExportWeights,
  { tail, policy }: SoundRule,
): ExportGraph {
  const { preprocessing, outputDimension } = pretrained.encoder;
  const graphInterface: GraphInterface = {
    inputs: [{ name: 'samples', type: 'float32', shape: ['length'] }],
    prepare: (emitter) => ({
      inputValues: preprocessClipsGraph(
        emitter,
        audioClipsGraph(emitter, 'samples', tail),
        policy,
        preprocessing.doNormalize,
      ),
    }),
    finish: (_, { features }) => [
      {
        info: { name: 'features', type: 'float32', shape: [clipCount, outputDimension] },
        value: features!,
      },
    ],
  };
  return modelGraph('audio', encoderFunction(pretrained), weights, graphInterface);
}
