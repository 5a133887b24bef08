import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { preprocessWaveforms } from '../../../encoders/waveform-preprocessing.ts';
import { sampleRate } from '../../data/media/audio.ts';
import { describeValue } from '../../engine/onnxruntime/model-outline.ts';
import { feedableTypes } from '../../engine/onnxruntime/user-model.ts';
import type { HostTensor, HostTensorMap } from '../../engine/types.ts';
import { InputError } from '../../errors.ts';
import { isJsonObject, type JsonValue } from '../../io/json.ts';
import { readModelJson } from '../model-folder.ts';
import {
  defaultOutput,
  descriptionSchemas,
  isDescriptionFile,
  type TransformersDescription,
} from './description.ts';
import { DescriptionFaults, type ReadDescription, readDescription } from './description-file.ts';
import { checkOutput, OnnxEncoder, type OnnxModel, openOnnxModel } from './onnx-model.ts';
import type { EncoderInputs, EncoderSource, Modality, OpenEncoder } from './open-encoder.ts';
import { loadTransformers, type PackageTensor, type Prepared } from './transformers-package.ts';

/**
 * Where a model keeps the ONNX file of a modality: the first of these that is there. Models of two towers (CLIP, SigLIP,
 * CLAP) and of encoder and decoder (Whisper) have one for each.
 */
const usualFiles = {
  visual: ['onnx/vision_model.onnx', 'onnx/model.onnx'],
  audio: ['onnx/audio_model.onnx', 'onnx/encoder_model.onnx', 'onnx/model.onnx'],
} as const;

/** Pattern of the files in full precision. */
const anyOnnxFile = 'onnx/*model.onnx';

/** @throws InputError `MODEL_FILE_MISSING` */
function onnxFile(folder: string, modality: Modality, given: string | undefined): string {
  const names = given === undefined ? usualFiles[modality] : [given];
  const found = names.map((name) => path.join(folder, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new InputError(
    'MODEL_FILE_MISSING',
    `${folder} has no ${names.join(' and no ')}: it is no ${modality} model in the layout of transformers.js. ` +
      'Name one that is, or the file inside it in a description (docs/own-encoders.md).',
  );
}

/** The tensors of several results joined along the first axis, under the names that the model has inputs for. */
function joinInputs(results: readonly Prepared[], { outline }: OnnxModel, toldBy: string): HostTensorMap {
  const joined: Record<string, HostTensor> = {};
  for (const { name } of outline.inputs) {
    const parts = results.map((result) => result[name] as PackageTensor | undefined);
    const [first] = parts;
    if (first === undefined) {
      const made = Object.entries(results[0]!).filter(([, value]) => isTensor(value));
      throw new InputError(
        'ENCODER_INPUT',
        `${toldBy}: ${outline.file} takes ${outline.inputs.map(describeValue).join(' and ')}, ` +
          `but the model's preprocessor makes ${made.map(([key]) => key).join(', ')} only. Choose another ONNX file of the model by "file" in a description.`,
      );
    }
    const data = new Float32Array(parts.reduce((sum, part) => sum + part!.data.length, 0));
    let offset = 0;
    for (const part of parts) {
      for (let i = 0; i < part!.data.length; i++) data[offset + i] = Number(part!.data[i]);
      offset += part!.data.length;
    }
    const count = parts.reduce((sum, part) => sum + part!.dims[0]!, 0);
    joined[name] = { dtype: 'float32', shape: [count, ...first.dims.slice(1)], data };
  }
  return joined;
}

const isTensor = (value: unknown): boolean => typeof value === 'object' && value !== null && 'dims' in value;

/** What is told of an encoder that is named by a model alone. */
function plainDescription(model: string, modality: Modality): ReadDescription<TransformersDescription> {
  return { file: model, description: { modality, model, output: defaultOutput }, lineOf: () => undefined };
}

/** Opens the ONNX file and the preprocessor's settings, and checks what can be checked before the first run. */
async function openParts(read: ReadDescription<TransformersDescription>, folder: string, modality: Modality) {
  const { file: toldBy, description, lineOf } = read;
  const preprocessor = await readModelJson(folder, 'preprocessor_config.json');
  const model = await openOnnxModel(onnxFile(folder, modality, description.file));
  const faults = new DescriptionFaults(toldBy, lineOf);
  const unusable = model.outline.inputs.filter(({ type }) => !feedableTypes.includes(type));
  for (const value of unusable) {
    faults.add('file', `its input ${describeValue(value)} is of no type that can be given`);
  }
  const rate = isJsonObject(preprocessor) ? preprocessor.sampling_rate : undefined;
  if (modality === 'visual' && rate !== undefined) faults.add('model', 'its preprocessor is for sound');
  if (modality === 'audio' && rate === undefined) faults.add('model', 'its preprocessor is not for sound');
  if (modality === 'audio' && rate !== undefined && rate !== sampleRate) {
    faults.add('model', `its preprocessor takes sound of ${rate} Hz; sound is decoded at ${sampleRate}`);
  }
  const size = checkOutput(faults, model, description.output, description.size);
  const how = isDescriptionFile(toldBy)
    ? ''
    : ' (taken without a description: mean over "last_hidden_state"; for anything else write one, see docs/own-encoders.md)';
  faults.throwAny('ENCODER_DESCRIPTION_MISMATCH', `The encoder ${toldBy}${how} does not fit its ONNX file:`);
  const transformers = loadTransformers();
  const { model: _where, ...settings } = description;
  return {
    model,
    transformers,
    // Where the size is unknown, that was a fault.
    output: { ...description.output, size: size!, toldBy },
    opened: {
      outputDimension: size!,
      parameterCount: model.outline.parameterCount,
      description: isDescriptionFile(toldBy) ? (description as JsonValue) : null,
    },
    identity: {
      type: 'transformers',
      ...{ settings, preprocessor, transformers: transformers.env.version, model: model.identity },
    },
  };
}

const localOnly = { local_files_only: true } as const;

/** @throws InputError `ENCODER_PREPROCESSOR` with what the package says, where it does not get along with the model */
async function inPackage<Result>(folder: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw new InputError(
      'ENCODER_PREPROCESSOR',
      `@huggingface/transformers cannot prepare inputs by ${path.join(folder, 'preprocessor_config.json')}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

type Opener<M extends Modality> = (
  read: ReadDescription<TransformersDescription>,
  folder: string,
) => Promise<OpenEncoder<EncoderInputs[M]>>;

const openVisual: Opener<'visual'> = async (read, folder) => {
  const { model, transformers, output, opened, identity } = await openParts(read, folder, 'visual');
  const { RawImage, AutoImageProcessor } = transformers;
  return {
    ...opened,
    start({ threads }) {
      let processor: ReturnType<typeof AutoImageProcessor.from_pretrained> | undefined;
      return new OnnxEncoder({
        ...{ identity, model, output, threads },
        prepare: async ({ data, count, height, width }) => {
          processor ??= inPackage(folder, () => AutoImageProcessor.from_pretrained(folder, localOnly));
          const run = await processor;
          const bytes = height * width * 3;
          const images = Array.from({ length: count }, (_, i) => {
            return new RawImage(data.slice(i * bytes, (i + 1) * bytes), width, height, 3);
          });
          return joinInputs([await inPackage(folder, () => run(images))], model, output.toldBy);
        },
      });
    },
  };
};

const openAudio: Opener<'audio'> = async (read, folder) => {
  const { model, transformers, output, opened, identity } = await openParts(read, folder, 'audio');
  const { AutoFeatureExtractor } = transformers;
  return {
    ...opened,
    start({ threads, policy }) {
      let extractor: ReturnType<typeof AutoFeatureExtractor.from_pretrained> | undefined;
      const { meanRemoval } = policy;
      return new OnnxEncoder({
        ...{ identity: { ...identity, meanRemoval }, model, output, threads },
        prepare: async (clips) => {
          extractor ??= inPackage(folder, () => AutoFeatureExtractor.from_pretrained(folder, localOnly));
          const run = await extractor;
          // Normalisation is the extractor's own, a clip at a time.
          const { data } = preprocessWaveforms(clips, policy, false);
          const results: Prepared[] = [];
          for (let from = 0; from < data.length; from += clips.samples) {
            const clip = data.slice(from, from + clips.samples) as Float32Array;
            results.push(await inPackage(folder, () => run(clip)));
          }
          return joinInputs(results, model, output.toldBy);
        },
      });
    },
  };
};

const openers: { readonly [M in Modality]: Opener<M> } = { visual: openVisual, audio: openAudio };

const isFolder = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;

/**
 * A model in the layout of transformers.js: its preprocessor runs in that package, its ONNX file in onnxruntime.
 * @param given hub id, folder, or a description naming one of these
 * @throws InputError `ENCODER_DESCRIPTION_INVALID`; `open` also `ENCODER_DESCRIPTION_MISMATCH`, `MODEL_FILE_MISSING`
 * @throws EngineError `ENGINE_PACKAGE_MISSING`, `ENGINE_PACKAGE_BROKEN` on `open`
 */
export async function ownTransformersSource<M extends Modality>(
  modality: M,
  given: string,
): Promise<EncoderSource<EncoderInputs[M]>> {
  const open = (read: ReadDescription<TransformersDescription>, name: string) => ({
    // External data has the name of its ONNX file and something more.
    model: { name, include: ['*.json', `${read.description.file ?? anyOnnxFile}*`] },
    open: (folder: string | undefined) => openers[modality](read, folder!),
  });
  if (!isDescriptionFile(given)) return open(plainDescription(given, modality), given);
  const read = await readDescription(given, descriptionSchemas.transformers[modality], modality);
  const { model } = read.description;
  const beside = path.resolve(path.dirname(given), model);
  return open(read, isFolder(beside) ? beside : model);
}
