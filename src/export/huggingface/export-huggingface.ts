import { mkdir } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { adapterConfigJson } from '../../../lora/config.ts';
import { toPeftName } from '../../../lora/names.ts';
import { isAdapterTensor, loadWeights } from '../../../train/checkpoint.ts';
import { writeChecksums } from '../../../train/checkpoint-checksums.ts';
import type { Config } from '../../config/schema.ts';
import type { HostTensorMap } from '../../engine/types.ts';
import { parseReference } from '../../hub/reference.ts';
import { writeFileAtomic, writeFolderAtomic } from '../../io/atomic.ts';
import { fileError } from '../../io/filesystem.ts';
import { writeSafetensors } from '../../io/safetensors.ts';
import type { AffectGpt } from '../../runtime/affectgpt.ts';
import { openDecoder } from '../../runtime/pretrained.ts';
import type { ExportWeights } from '../graphs/model-graph.ts';
import { trainedModel } from '../weights.ts';
import { type BaseModel, type Described, describeFusion, readmeText } from './description.ts';
import { copyModelFiles } from './model-files.ts';
import { type Dtype, writeShards } from './shards.ts';

export interface HuggingFaceOptions {
  readonly config: Config;
  /** Checkpoint folder. */
  readonly checkpoint: string;
  readonly model: AffectGpt;
  /** Number format of the merged decoder; adapter, fusion and projectors stay in float32. */
  readonly dtype: Dtype;
  /** Bytes of a shard; 5 GB unless given. */
  readonly largestShard?: number;
}

export interface HuggingFaceExport {
  /** Every file but the checksums, relative to the folder. */
  readonly files: readonly string[];
  /** Files that readers usually find beside weights and the base model does not have. */
  readonly missing: readonly string[];
}

/** What PEFT and transformers find the base model by: an id of the hub with its revision, or a folder. */
function baseModelOf(config: Config, model: AffectGpt): BaseModel {
  const { folder } = model.decoder;
  const reference = resolve(config.model.llm) === folder ? undefined : parseReference(config.model.llm);
  if (reference === undefined) return { name: folder, revision: null };
  return { name: reference.id, revision: reference.revision === 'main' ? null : reference.revision };
}

/** Makes a folder in one that is there. */
async function subfolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path).catch((error: unknown) => {
    throw fileError(error, path, 'write');
  });
  return path;
}

async function writeAdapter(
  folder: string,
  { config, model }: HuggingFaceOptions,
  parameters: HostTensorMap,
): Promise<string[]> {
  const { name, revision } = baseModelOf(config, model);
  const paths = [join(folder, 'adapter_model.safetensors'), join(folder, 'adapter_config.json')] as const;
  const tensors = Object.entries(parameters)
    .filter(([tensor]) => isAdapterTensor(tensor))
    .map(([tensor, { shape, data }]) => {
      return [toPeftName(tensor), { dtype: 'F32', shape, data: data as Float32Array }] as const;
    });
  await writeSafetensors(paths[0], Object.fromEntries(tensors), { format: 'pt' });
  const json = { ...adapterConfigJson(config.lora, name), ...(revision !== null && { revision }) };
  await writeFileAtomic(paths[1], `${JSON.stringify(json, null, 2)}\n`);
  return [...paths];
}

/** Fusion and projectors, trained or not. */
async function writeFusion(file: string, fusion: ExportWeights): Promise<void> {
  const tensors = Object.entries(fusion).map(([name, { shape, read }]) => {
    return [name, { dtype: 'F32', shape, data: read }] as const;
  });
  await writeSafetensors(file, Object.fromEntries(tensors), { format: 'pt' });
}

/**
 * Writes the model of a checkpoint in layouts that transformers, peft and safetensors read: the decoder with its adapter
 * merged, the adapter alone, and fusion and projectors. The folder is put in place when all of it is written.
 *
 * @param output does not exist yet
 * @throws InputError `FOLDER_EXISTS`, `DISK_FULL`, `EXPORT_FLOAT16_RANGE`, those of `loadWeights`
 */
export async function exportHuggingFace(
  output: string,
  options: HuggingFaceOptions,
): Promise<HuggingFaceExport> {
  const { config, checkpoint, model, dtype, largestShard } = options;
  return writeFolderAtomic(output, async (folder) => {
    const { parameters, state } = await loadWeights(checkpoint, model.trainable);
    const { weights } = trainedModel(model, parameters, model.config.lora, false);
    const part = (isDecoder: boolean): ExportWeights =>
      Object.fromEntries(
        Object.entries(weights).filter(([name]) => name in model.decoder.weights === isDecoder),
      );
    const fusion = part(false);

    const merged = await subfolder(folder, 'merged');
    const written = await writeShards(merged, part(true), dtype, largestShard);
    const copied = await copyModelFiles(model.decoder.folder, merged, model.config.decoder.modelType, dtype);
    // Names and shapes are what config.json promises, or nothing is put in place.
    await openDecoder(merged);
    written.push(...copied.written);

    const hasAdapter = model.config.lora !== null;
    if (hasAdapter)
      written.push(...(await writeAdapter(await subfolder(folder, 'adapter'), options, parameters)));

    const place = (name: string): string => {
      written.push(join(folder, name));
      return join(folder, name);
    };
    const described: Described = {
      config,
      model,
      dtype,
      baseModel: baseModelOf(config, model),
      source: {
        checkpoint: basename(checkpoint),
        step: state.step,
        configHash: state.configHash,
        settings: state.config,
      },
      fusion,
      hasAdapter,
      missing: copied.missing,
    };
    await writeFusion(place('affectgpt.safetensors'), fusion);
    const json = `${JSON.stringify(describeFusion(described), null, 2)}\n`;
    await writeFileAtomic(place('affectgpt.json'), json);
    await writeFileAtomic(place('README.md'), readmeText(described));
    const files = written.map((path) => relative(folder, path).replaceAll('\\', '/')).toSorted();
    await writeChecksums(folder, files);
    return { files, missing: copied.missing };
  });
}
