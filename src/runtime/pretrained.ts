import type { Encoder } from '../../encoders/encoder.ts';
import { selectEncoderTensors } from '../../encoders/encoder.ts';
import { createEncoder } from '../../encoders/registry.ts';
import { type DecoderConfig, decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import type { WeightSource } from '../engine/types.ts';
import { firstOf, InputError } from '../errors.ts';
import { openCheckpoint } from '../io/checkpoint-folder.ts';
import { contentIdentity } from '../io/checksum.ts';
import { readFloat32, type SafetensorsEntry } from '../io/safetensors.ts';
import { readModelJson } from './model-folder.ts';

/** Frozen weights of a model folder, by name. */
export type Weights = Readonly<Record<string, WeightSource>>;

/** Faults of a checkpoint that are named in one message. */
const faultsShown = 12;

/**
 * A tensor of a file as the engine takes it: by reference, unless its elements have to be put in order first.
 * @throws InputError `WEIGHT_TYPE` for integers
 */
export async function weightSource(entry: SafetensorsEntry): Promise<WeightSource> {
  const { dtype, shape, file, begin, end, strides } = entry;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new InputError(
      'WEIGHT_TYPE',
      `${file}: the tensor "${entry.name}" is ${dtype}; weights have to be F32, F16 or BF16.`,
    );
  }
  if (strides !== undefined) return { dtype: 'float32', shape, data: await readFloat32(entry) };
  return { storage: dtype, shape, file, begin, end };
}

/** Adds the folder to what model code, which knows no files, finds wrong with their contents. */
function inFolder<Result>(folder: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(error.code, `${folder}: ${error.message}`, { cause: error });
  }
}

/** A decoder on disk. */
export interface PretrainedDecoder {
  readonly folder: string;
  readonly config: DecoderConfig;
  readonly weights: Weights;
}

/**
 * Opens a decoder in Hugging Face layout; weights stay in their files.
 * @throws InputError `DECODER_WEIGHTS_MISMATCH` with all missing and wrongly shaped tensors
 */
export async function openDecoder(folder: string): Promise<PretrainedDecoder> {
  const json = await readModelJson(folder, 'config.json');
  const config = inFolder(folder, () => parseDecoderConfig(json));
  const checkpoint = await openCheckpoint(folder);
  const weights: Record<string, WeightSource> = {};
  const faults: string[] = [];
  for (const [name, shape] of Object.entries(decoderTensorShapes(config))) {
    const entry = checkpoint.get(name);
    if (entry === undefined) faults.push(`${name} is missing`);
    else if (entry.shape.join() !== shape.join()) {
      faults.push(`${name} has shape [${entry.shape}], config.json asks for [${shape}]`);
    } else weights[name] = await weightSource(entry);
  }
  if (faults.length > 0) {
    throw new InputError(
      'DECODER_WEIGHTS_MISMATCH',
      `The weights in ${folder} do not fit its config.json: ${firstOf(faults, faultsShown, '; ')}.`,
    );
  }
  return { folder, config, weights };
}

/** A frozen encoder on disk. */
export interface PretrainedEncoder<Kind extends Encoder = Encoder> {
  readonly folder: string;
  readonly encoder: Kind;
  readonly weights: Weights;
  /** What the features of this encoder depend on besides their input; part of cache keys. */
  readonly identity: unknown;
}

/**
 * Opens an encoder in Hugging Face layout.
 * @param type key of the encoder registry
 * @throws InputError `ENCODER_UNKNOWN`, `ENCODER_CONFIG_INVALID`, `ENCODER_WEIGHTS_MISMATCH`, `ENCODER_MODALITY`
 */
export async function openEncoder<Modality extends Encoder['modality']>(
  type: string,
  folder: string,
  modality: Modality,
): Promise<PretrainedEncoder<Extract<Encoder, { modality: Modality }>>> {
  const files = {
    config: await readModelJson(folder, 'config.json'),
    preprocessor: await readModelJson(folder, 'preprocessor_config.json'),
  };
  const encoder = inFolder(folder, () => createEncoder(type, files));
  if (encoder.modality !== modality) {
    throw new InputError(
      'ENCODER_MODALITY',
      `The encoder "${type}" is ${encoder.modality}, a ${modality} one is needed.`,
    );
  }
  const checkpoint = await openCheckpoint(folder);
  const selected = inFolder(folder, () => selectEncoderTensors(encoder, checkpoint));
  const weights: Record<string, WeightSource> = {};
  for (const [name, entry] of Object.entries(selected)) weights[name] = await weightSource(entry);
  const weightFiles = [...new Set(Object.values(selected).map((entry) => entry.file))].sort();
  const contents = await Promise.all(weightFiles.map(async (file) => (await contentIdentity(file)).sha256));
  return {
    folder,
    encoder: encoder as Extract<Encoder, { modality: Modality }>,
    weights,
    identity: { type, ...files, contents },
  };
}
