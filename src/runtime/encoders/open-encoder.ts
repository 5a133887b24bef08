import type { Frames, WaveformPolicy, Waveforms } from '../../../encoders/encoder.ts';
import type { FeatureEncoder } from '../../data/features.ts';
import type { Engine } from '../../engine/types.ts';
import type { JsonValue } from '../../io/json.ts';
import type { WantedModel } from '../model-folder.ts';

/** What encoders of each kind take. */
export interface EncoderInputs {
  readonly visual: Frames;
  readonly audio: Waveforms;
}
export type Modality = keyof EncoderInputs;

export interface EncoderStart {
  /** Runs built-in encoders; ONNX files of users run in onnxruntime, whatever this is. */
  readonly engine: Engine;
  /** Threads for ONNX files of users; null takes all cores. */
  readonly threads: number | null;
  /** How sound is prepared; pictures do not depend on it. */
  readonly policy: WaveformPolicy;
}

/** An encoder that computes features. Nothing is loaded before the first use, so that a filled cache costs nothing. */
export interface RunningEncoder<Input> extends FeatureEncoder<Input> {
  /** Frees what is loaded; a later use loads it again. */
  dispose(): Promise<void>;
}

/** A frozen encoder whose files were found and checked: one of the registry, or a user's own. */
export interface OpenEncoder<Input> {
  /** Length of a feature vector. */
  readonly outputDimension: number;
  readonly parameterCount: number;
  /** Settings that stand in a file of their own instead of the configuration; null where there are none. */
  readonly description: JsonValue;
  start(options: EncoderStart): RunningEncoder<Input>;
}

/** Where the encoder of a configuration comes from. */
export interface EncoderSource<Input> {
  /** The model that has to be on this machine; undefined where all files are named. */
  readonly model: WantedModel | undefined;
  /** @param folder where `model` was found */
  open(folder: string | undefined): Promise<OpenEncoder<Input>>;
}
