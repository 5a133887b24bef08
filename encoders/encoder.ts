import type * as tf from '@tensorflow/tfjs';
import type { Parameters } from '../src/engine/parameters.ts';
import type { HostTensorMap, InputSpec, TensorMap } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import type { ImagePreprocessing } from './image-preprocessing.ts';
import type { WaveformPreprocessing } from './waveform-preprocessing.ts';

/** Shapes of the tensors that an encoder needs, by their published names. */
export type TensorShapes = Readonly<Record<string, readonly number[]>>;

/** Decoded images, row-major `[count, height, width, 3]` in RGB order. */
export interface Frames {
  readonly data: Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
}

/** Equally long pieces of 16 kHz mono sound, row-major `[count, samples]`, usually in -1 to 1. */
export interface Waveforms {
  readonly data: Float32Array;
  readonly count: number;
  readonly samples: number;
}

/** How much sound shares one mean and one variance when it is normalised. */
export type NormalisationScope = 'clip' | 'sample' | 'batch';

export interface WaveformPolicy {
  /** Subtract each clip's own mean first, as the published loader does. */
  readonly meanRemoval: boolean;
  readonly normalisation: NormalisationScope;
  /** Consecutive clips that belong to one sample. */
  readonly clipsPerSample: number;
}

/** What an encoder computes. */
export interface EncoderOutput {
  /** One vector an image or clip, `[images or clips, outputDimension]`: what fusion takes. */
  readonly features: tf.Tensor;
  /**
   * Values on the way, by the names under which Hugging Face's classes return them (`hiddenStates`: a tensor a layer,
   * the input of the first one before them). For comparison with references; what is not asked for is not computed
   * in compiled graphs.
   */
  readonly intermediates: Readonly<Record<string, tf.Tensor | readonly tf.Tensor[]>>;
}

/** What visual and audio encoders have in common; made by an `EncoderDefinition`. */
interface EncoderBase {
  readonly type: string;
  /** Length of a feature vector. */
  readonly outputDimension: number;
  /** Every tensor that the features depend on, and no other. */
  readonly tensorShapes: TensorShapes;
  /** Tensors behind the features that only `intermediates` need; `forward` does without where they are missing. */
  readonly intermediateTensorShapes?: TensorShapes;
  /** Other names under which a tensor may be stored, by its own name. */
  readonly tensorAliases: Readonly<Record<string, readonly string[]>>;
  /** Prefixes that a checkpoint may put before every name, e.g. `hubert.` in a fine-tuned model. */
  readonly tensorPrefixes: readonly string[];
  /** Fresh weights; a function of the configuration and the seed only. */
  init(seed: number): HostTensorMap;
  /** What `preprocess` produces and `forward` takes; the first axis counts images or clips. */
  readonly inputs: Readonly<Record<string, InputSpec>>;
  forward(parameters: Parameters, inputs: TensorMap): EncoderOutput;
}

export interface VisualEncoder extends EncoderBase {
  readonly modality: 'visual';
  /** What `preprocess` does, for whoever writes it down in another form. */
  readonly preprocessing: ImagePreprocessing;
  preprocess(frames: Frames): HostTensorMap;
}

export interface AudioEncoder extends EncoderBase {
  readonly modality: 'audio';
  /** What `preprocess` does besides the policy. */
  readonly preprocessing: WaveformPreprocessing;
  preprocess(waveforms: Waveforms, policy: WaveformPolicy): HostTensorMap;
}

export type Encoder = VisualEncoder | AudioEncoder;

/** The parsed JSON files of a Hugging Face model folder. */
export interface EncoderFiles {
  /** `config.json` */
  readonly config: unknown;
  /** `preprocessor_config.json` */
  readonly preprocessor: unknown;
}

/** An entry of the registry: one architecture. */
export interface EncoderDefinition {
  readonly type: string;
  readonly modality: Encoder['modality'];
  /** @throws InputError `ENCODER_CONFIG_INVALID` with every fault of the two files */
  create(files: EncoderFiles): Encoder;
}

/** Faults of a checkpoint that are named in one message. */
const faultsShown = 10;

/**
 * Picks an encoder's tensors out of a checkpoint, under the names of `tensorShapes` and `intermediateTensorShapes`:
 * resolves prefixes and older names, leaves everything else (a text tower, a training head) aside.
 * @throws InputError `ENCODER_WEIGHTS_MISMATCH` with the missing and wrongly shaped tensors
 */
export function selectEncoderTensors<Stored extends { readonly shape: readonly number[] }>(
  encoder: Encoder,
  checkpoint: ReadonlyMap<string, Stored>,
): Record<string, Stored> {
  const selected: Record<string, Stored> = {};
  const faults: string[] = [];
  const wanted = { ...encoder.intermediateTensorShapes, ...encoder.tensorShapes };
  for (const [name, shape] of Object.entries(wanted)) {
    const candidates = [name, ...(encoder.tensorAliases[name] ?? [])].flatMap((candidate) =>
      ['', ...encoder.tensorPrefixes].map((prefix) => prefix + candidate),
    );
    const stored = candidates
      .map((candidate) => checkpoint.get(candidate))
      .find((tensor) => tensor !== undefined);
    if (stored === undefined) {
      if (name in encoder.tensorShapes) faults.push(`${name} is missing`);
    } else if (stored.shape.join() !== shape.join()) {
      faults.push(`${name} has shape [${stored.shape}] instead of [${shape}]`);
    } else selected[name] = stored;
  }
  if (faults.length > 0) {
    const shown = faults.slice(0, faultsShown).join('; ');
    const others = faults.length > faultsShown ? `; and ${faults.length - faultsShown} others` : '';
    throw new InputError(
      'ENCODER_WEIGHTS_MISMATCH',
      `The weights do not fit the ${encoder.type} encoder that config.json describes: ${shown}${others}.`,
    );
  }
  return selected;
}
