import type { EncoderFiles } from '../../encoders/encoder.ts';
import { createEncoder } from '../../encoders/registry.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { type DecoderConfig, decoderParameterCount, parseDecoderConfig } from '../../model/decoder.ts';
import type { Config } from '../config/schema.ts';
import { InputError } from '../errors.ts';
import { describeAffectGpt } from './affectgpt.ts';
import { configuredModels } from './configured-models.ts';
import type { Modality } from './encoders/open-encoder.ts';
import { findModelFolder, readModelJson, type WantedModel, wantedFiles } from './model-folder.ts';
import {
  publishedDecoder,
  publishedDecoders,
  publishedEncoder,
  publishedEncoders,
} from './published-shapes.ts';

/** A configured model of which nothing but shapes is known. */
export interface ModelShapes {
  readonly config: AffectGptConfig;
  /** Parameters of the frozen encoders; null where the inputs need none. */
  readonly visualParameters: number | null;
  readonly audioParameters: number | null;
}

interface EncoderShape {
  readonly outputDimension: number;
  readonly parameterCount: number;
}

async function decoderShape(name: string): Promise<DecoderConfig | undefined> {
  const folder = findModelFolder(name);
  const json = folder === undefined ? publishedDecoder(name) : await readModelJson(folder, 'config.json');
  return json === undefined ? undefined : parseDecoderConfig(json);
}

/**
 * Parameters of a language model, by its `config.json` or the table of published models.
 * @param name folder, or id of the Hugging Face hub
 * @returns undefined where nothing tells
 */
export async function decoderParameters(name: string): Promise<number | undefined> {
  const config = await decoderShape(name);
  return config === undefined ? undefined : decoderParameterCount(config);
}

async function encoderFiles(type: string, model: string): Promise<EncoderFiles | undefined> {
  const folder = findModelFolder(model);
  if (folder === undefined) {
    const known = publishedEncoder(model);
    return known?.type === type ? known : undefined;
  }
  return {
    config: await readModelJson(folder, 'config.json'),
    preprocessor: await readModelJson(folder, 'preprocessor_config.json'),
  };
}

/** An encoder of the registry; all that is stored of it counts, as where it is opened. */
async function registryShape(type: string, model: string): Promise<EncoderShape | undefined> {
  const files = await encoderFiles(type, model);
  if (files === undefined) return undefined;
  const { outputDimension, tensorShapes, intermediateTensorShapes } = createEncoder(type, files);
  const shapes = Object.values({ ...intermediateTensorShapes, ...tensorShapes });
  const parameterCount = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { outputDimension, parameterCount };
}

/**
 * The shapes of a configured model without its weights: from `config.json` where a model's folder is there, else from
 * the table of published models. Users' own encoders are opened, since their sizes stand in their files.
 *
 * @throws InputError `MODEL_SHAPES_UNKNOWN` with every model whose shapes nothing tells
 */
export async function modelShapes(config: Config): Promise<ModelShapes> {
  const sources = await configuredModels(config);
  const unknown: string[] = [];
  const known = async <Shape>(key: string, name: string, find: () => Promise<Shape | undefined>) => {
    const shape = await find();
    if (shape === undefined) unknown.push(`${key} "${name}"`);
    return shape;
  };
  const own = async (modality: Modality, model: WantedModel | undefined) => {
    const folder = model === undefined ? undefined : findModelFolder(wantedFiles(model).name);
    return model === undefined || folder !== undefined ? sources[modality]?.open(folder) : undefined;
  };
  const encoder = async (modality: Modality) => {
    const source = sources[modality];
    if (source === undefined) return null;
    const { type, model } = config.model[`${modality}Encoder`];
    const isOwn = type === 'onnx' || type === 'transformers';
    return known<EncoderShape>(`model.${modality}Encoder.model`, model, async () =>
      isOwn ? own(modality, source.model) : registryShape(type, model),
    );
  };
  const decoder = await known('model.llm', config.model.llm, () => decoderShape(config.model.llm));
  const visual = await encoder('visual');
  const audio = await encoder('audio');
  if (decoder === undefined || visual === undefined || audio === undefined) {
    const ids = [...Object.keys(publishedDecoders), ...Object.keys(publishedEncoders)];
    throw new InputError(
      'MODEL_SHAPES_UNKNOWN',
      `Nothing tells the shapes of ${unknown.join(', ')}: not on this machine, and none of the published models whose shapes are known: ${ids.join(', ')}.`,
    );
  }
  return {
    config: describeAffectGpt(config, {
      decoder,
      visualSize: visual?.outputDimension ?? null,
      audioSize: audio?.outputDimension ?? null,
    }),
    visualParameters: visual?.parameterCount ?? null,
    audioParameters: audio?.parameterCount ?? null,
  };
}
