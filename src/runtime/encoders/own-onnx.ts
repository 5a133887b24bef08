import path from 'node:path';
import {
  type ImagePreprocessing,
  parseImagePreprocessing,
  preprocessedSize,
  preprocessFrames,
} from '../../../encoders/image-preprocessing.ts';
import {
  clipSamples,
  parseWaveformPreprocessing,
  preprocessWaveforms,
} from '../../../encoders/waveform-preprocessing.ts';
import { suggest } from '../../config/suggest.ts';
import { describeValue, type OnnxValue } from '../../engine/onnxruntime/model-outline.ts';
import { feedableTypes, realTypes } from '../../engine/onnxruntime/user-model.ts';
import type { HostTensor, HostTensorMap } from '../../engine/types.ts';
import { InputError } from '../../errors.ts';
import { isJsonObject, type JsonValue } from '../../io/json.ts';
import { readModelJson } from '../model-folder.ts';
import {
  descriptionSchemas,
  type ImagePreprocessingKeys,
  type OnnxAudioDescription,
  type OnnxVisualDescription,
} from './description.ts';
import { DescriptionFaults, type ReadDescription, readDescription } from './description-file.ts';
import { checkOutput, listValues, OnnxEncoder, type OnnxModel, openOnnxModel } from './onnx-model.ts';
import type { EncoderInputs, Modality, OpenEncoder } from './open-encoder.ts';

/** The keys of a `preprocessor_config.json`, which may stand in the description or in a file beside it. */
async function preprocessorKeys(file: string, given: string | object): Promise<unknown> {
  if (typeof given !== 'string') return given;
  const target = path.resolve(path.dirname(file), given);
  return readModelJson(path.dirname(target), path.basename(target));
}

/** @throws InputError `ENCODER_CONFIG_INVALID` naming the description */
function inDescription<Result>(file: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(error.code, `${file}, preprocessing: ${error.message}`, { cause: error });
  }
}

/** What is written in a description is all that is done; a file has the defaults of its image processor. */
function imageSettings(json: unknown, inline: boolean): ImagePreprocessing {
  const keys = inline
    ? { ...(json as ImagePreprocessingKeys), do_center_crop: 'crop_size' in (json as object) }
    : asSiglip(json);
  return parseImagePreprocessing(keys, 'SiglipImageProcessor');
}

/** ViT's image processor is SigLIP's with another filter where the file names none. */
function asSiglip(json: unknown): unknown {
  if (!isJsonObject(json)) return json;
  const type = String(json.image_processor_type ?? json.feature_extractor_type ?? '');
  if (!/^ViT(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/.test(type)) return json;
  return { resample: 2, ...json, image_processor_type: 'SiglipImageProcessor' };
}

type OnnxDescription = OnnxVisualDescription | OnnxAudioDescription;

/** An input that a description names, and what it will be given; null stands for the number of images or clips. */
interface NamedInput {
  readonly key: string;
  readonly name: string;
  readonly shape: readonly (number | null)[];
  readonly types: readonly string[];
}

/** Looks at the inputs that a description names, and at those that it does not. */
function checkInputs(faults: DescriptionFaults, { outline }: OnnxModel, named: readonly NamedInput[]): void {
  const { inputs, file } = outline;
  const names = inputs.map(({ name }) => name);
  for (const { key, name, shape, types } of named) {
    const value = inputs.find((input) => input.name === name);
    if (value === undefined) {
      const meant = suggest(name, names);
      const hint = meant === undefined ? '' : `, did you mean "${meant}"?`;
      faults.add(key, `"${name}" is no input of ${file}${hint}; ${listValues(inputs)}`);
    } else {
      if (!types.includes(value.type)) {
        faults.add(key, `${describeValue(value)} is not of type ${types.join(' or ')}`);
      }
      if (!fits(value, shape)) {
        const given = shape.map((size) => size ?? 'n').join(', ');
        faults.add(key, `is given [${given}], but ${file} takes ${describeValue(value)}`);
      }
    }
  }
  const left = inputs.filter(({ name }) => named.every((one) => one.name !== name));
  // Where a name is wrong, the right one is left over: that was said.
  if (left.length > 0 && named.every(({ name }) => names.includes(name))) {
    faults.add(
      'input',
      `${file} also takes ${left.map(describeValue).join(' and ')}, which nothing is given for`,
    );
  }
}

/** Whether a shape that is known up to the batch (null) is one that the model takes. */
const fits = ({ shape }: OnnxValue, given: readonly (number | null)[]): boolean =>
  shape === undefined ||
  (shape.length === given.length &&
    shape.every((size, axis) => typeof size === 'string' || given[axis] === null || given[axis] === size));

/** `[n, 3, height, width]` to `[n, height, width, 3]`. */
function channelsLast({ dtype, shape, data }: HostTensor): HostTensor {
  const [images, channels, height, width] = shape as [number, number, number, number];
  const plane = height * width;
  const result = new Float32Array(data.length);
  for (let image = 0; image < images; image++) {
    for (let channel = 0; channel < channels; channel++) {
      const from = (image * channels + channel) * plane;
      for (let i = 0; i < plane; i++) {
        result[(image * plane + i) * channels + channel] = data[from + i]!;
      }
    }
  }
  return { dtype, shape: [images, height, width, channels], data: result };
}

/** What visual and audio encoders have in common once input and preprocessing are known. */
function finish<Description extends OnnxDescription>(
  { file, description }: ReadDescription<Description>,
  faults: DescriptionFaults,
  model: OnnxModel,
  preprocessing: unknown,
) {
  const outputDimension = checkOutput(faults, model, description.output, description.size);
  faults.throwAny('ENCODER_DESCRIPTION_MISMATCH', `The encoder ${file} does not fit its ONNX file:`);
  // Where the size is unknown, that was a fault.
  const size = outputDimension!;
  return {
    outputDimension: size,
    parameterCount: model.outline.parameterCount,
    description: description as JsonValue,
    output: { ...description.output, size, toldBy: file },
    identity: { type: 'onnx', description, preprocessing, model: model.identity },
  };
}

async function openVisual(descriptionFile: string): Promise<OpenEncoder<EncoderInputs['visual']>> {
  const read = await readDescription(descriptionFile, descriptionSchemas.onnx.visual, 'visual');
  const { file, description, lineOf } = read;
  const { input } = description;
  const json = await preprocessorKeys(file, description.preprocessing);
  const inline = typeof description.preprocessing !== 'string';
  const settings = inDescription(file, () => imageSettings(json, inline));
  const size = preprocessedSize(settings);
  if (size === null) {
    throw new InputError(
      'ENCODER_CONFIG_INVALID',
      `${file}, preprocessing: images are neither resized nor cropped, so their size is not known. Set do_resize and size.`,
    );
  }
  const model = await openOnnxModel(path.resolve(path.dirname(file), description.file));
  const faults = new DescriptionFaults(file, lineOf);
  const { height, width } = size;
  const shape = input.layout === 'nchw' ? [null, 3, height, width] : [null, height, width, 3];
  checkInputs(faults, model, [{ key: 'input.name', name: input.name, shape, types: realTypes }]);
  const { output, identity, ...opened } = finish(read, faults, model, json);
  return {
    ...opened,
    start: ({ threads }) =>
      new OnnxEncoder({
        ...{ identity, model, output, threads },
        prepare: (frames) => {
          const images = preprocessFrames(frames, settings, size);
          return { [input.name]: input.layout === 'nchw' ? images : channelsLast(images) };
        },
      }),
  };
}

async function openAudio(descriptionFile: string): Promise<OpenEncoder<EncoderInputs['audio']>> {
  const read = await readDescription(descriptionFile, descriptionSchemas.onnx.audio, 'audio');
  const { file, description, lineOf } = read;
  const { name, layout, mask } = description.input;
  const json = await preprocessorKeys(file, description.preprocessing);
  const settings = inDescription(file, () => parseWaveformPreprocessing(json));
  const model = await openOnnxModel(path.resolve(path.dirname(file), description.file));
  const faults = new DescriptionFaults(file, lineOf);
  const middle = layout === 'nt' ? [] : [1];
  checkInputs(faults, model, [
    { key: 'input.name', name, shape: [null, ...middle, clipSamples], types: realTypes },
    ...(mask === undefined
      ? []
      : [{ key: 'input.mask', name: mask, shape: [null, clipSamples], types: feedableTypes }]),
  ]);
  const { output, identity, ...opened } = finish(read, faults, model, json);
  return {
    ...opened,
    start: ({ threads, policy }) =>
      new OnnxEncoder({
        ...{ identity: { ...identity, policy }, model, output, threads },
        prepare: (clips) => {
          const { dtype, shape, data } = preprocessWaveforms(clips, policy, settings.doNormalize);
          const [count, samples] = shape as [number, number];
          const inputs: HostTensorMap = { [name]: { dtype, shape: [count, ...middle, samples], data } };
          if (mask === undefined) return inputs;
          return { ...inputs, [mask]: { dtype: 'int32', shape, data: new Int32Array(data.length).fill(1) } };
        },
      }),
  };
}

/**
 * Opens a user's ONNX file by its description.
 * @throws InputError `ENCODER_DESCRIPTION_INVALID` (what is written), `ENCODER_DESCRIPTION_MISMATCH` (what does not fit the
 * ONNX file), `ENCODER_CONFIG_INVALID` (preprocessing), and those of `openOnnxModel`
 */
export const openOwnOnnx: {
  readonly [M in Modality]: (descriptionFile: string) => Promise<OpenEncoder<EncoderInputs[M]>>;
} = { visual: openVisual, audio: openAudio };
