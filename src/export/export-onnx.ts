import { existsSync } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { encoderRegistry } from '../../encoders/registry.ts';
import { placeholderRuns } from '../../model/affectgpt.ts';
import { inputMode } from '../../model/modes.ts';
import { loadWeights } from '../../train/checkpoint.ts';
import { packageVersion } from '../config/package-folder.ts';
import type { Config } from '../config/schema.ts';
import { clipCount } from '../data/media/audio.ts';
import type { SampleRecord } from '../data/records.ts';
import { tokenizerWithPlaceholders } from '../data/tokenizer.ts';
import { contribDomains } from '../engine/onnxruntime/model-file.ts';
import type { Engine, HostTensorMap } from '../engine/types.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic.ts';
import { sha256File } from '../io/checksum.ts';
import { fileError } from '../io/filesystem.ts';
import { defaultQuestion } from '../predict/question.ts';
import type { AffectGpt } from '../runtime/affectgpt.ts';
import { configuredModels } from '../runtime/configured-models.ts';
import { findModelFolders } from '../runtime/model-folder.ts';
import { openEncoder } from '../runtime/pretrained.ts';
import { formatOf } from '../runtime/samples.ts';
import { audioGraph } from './graphs/audio.ts';
import { decoderGraph } from './graphs/decoder.ts';
import { fusionGraph } from './graphs/fusion.ts';
import type { ExportGraph } from './graphs/model-graph.ts';
import { visionGraph } from './graphs/vision.ts';
import {
  type ExportDescription,
  exportFormatVersion,
  type GraphEntry,
  type Manifest,
  manifestFile,
  type Precision,
} from './manifest.ts';
import { checkParity, measureParity } from './parity.ts';
import { precisionRules } from './precision.ts';
import { promptSegments } from './prompt.ts';
import { generationConfig, preprocessorConfig, readmeText } from './texts.ts';
import { exportWeights, trainedModel } from './weights.ts';
import { writeGraph } from './write-graph.ts';

export interface ExportOptions {
  readonly config: Config;
  /** Checkpoint folder. */
  readonly checkpoint: string;
  readonly model: AffectGpt;
  readonly engine: Engine;
  readonly precision: Precision;
  /** Leaves the adapter apart, as inputs of the decoder. */
  readonly keepAdapter: boolean;
  /** Samples that the graphs are compared on. */
  readonly records: readonly SampleRecord[];
  readonly notify: (message: string) => void;
}

const adapterFiles = { file: 'adapter_model.safetensors', config: 'adapter_config.json' } as const;

/**
 * Refuses what has no form as graphs of this layout, before anything is opened.
 * @throws InputError `EXPORT_ENCODER_OWN`, `EXPORT_AUDIO_BATCH`, `EXPORT_NO_ADAPTER`
 */
export function checkExportable(config: Config, keepAdapter: boolean): void {
  const { needs } = inputMode(config.model.inputs);
  const used = {
    visualEncoder: needs.some((kind) => kind !== 'audio'),
    audioEncoder: needs.includes('audio'),
  };
  for (const key of ['visualEncoder', 'audioEncoder'] as const) {
    const { type, model } = config.model[key];
    if (!used[key] || (type !== 'onnx' && type !== 'transformers')) continue;
    throw new InputError(
      'EXPORT_ENCODER_OWN',
      `model.${key} is an encoder of your own (${type}: ${model}). Its preprocessing and its file are not of this program, so it cannot be exported; the encoders that come with it can: ${encoderRegistry.map((encoder) => encoder.type).join(', ')}.`,
    );
  }
  if (used.audioEncoder && config.compat.audioNormalisation === 'batch') {
    throw new InputError(
      'EXPORT_AUDIO_BATCH',
      'With compat.audioNormalisation "batch" the features of a clip depend on its neighbours, which an exported graph does not see. Give --set compat.audioNormalisation=sample, as the published inference does.',
    );
  }
  if (keepAdapter && config.train.parts.decoder !== 'lora') {
    throw new InputError(
      'EXPORT_NO_ADAPTER',
      `There is no adapter to keep: train.parts.decoder of the run is "${config.train.parts.decoder}". Leave --keep-adapter out.`,
    );
  }
}

/** All graphs that the inputs need. */
async function buildGraphs(
  { config, model, keepAdapter }: ExportOptions,
  parameters: HostTensorMap,
): Promise<{ graphs: ExportGraph[]; preprocessor: Record<string, unknown> }> {
  const { wanted } = await configuredModels(config);
  const folders = findModelFolders(wanted);
  const { visualEncoder, audioEncoder } = config.model;
  const { audioTail, audioMeanRemoval, audioNormalisation } = config.compat;
  const open = async <M extends 'visual' | 'audio'>(modality: M, type: string) => {
    const folder = folders[`model.${modality}Encoder.model`];
    return folder === undefined ? undefined : openEncoder(type, folder, modality);
  };
  const visual = await open('visual', visualEncoder.type);
  const audio = await open('audio', audioEncoder.type);
  const policy = {
    meanRemoval: audioMeanRemoval,
    normalisation: audioNormalisation,
    clipsPerSample: clipCount,
  };
  const trained = trainedModel(model, parameters, model.config.lora, keepAdapter);
  const runs = placeholderRuns(model.config, model.tokenizer.placeholderIds);
  const graphs = [
    visual && visionGraph(visual, exportWeights(visual.weights)),
    audio && audioGraph(audio, exportWeights(audio.weights), { tail: audioTail, policy }),
    runs.length > 0 ? fusionGraph(trained.model, trained.weights) : undefined,
    decoderGraph(trained.model, trained.weights, runs),
  ].filter((graph) => graph !== undefined);
  const preprocessor = preprocessorConfig(
    config,
    visual?.encoder.preprocessing,
    audio?.encoder.preprocessing,
  );
  return { graphs, preprocessor };
}

/** Manifest entry of a graph that was written. */
const graphEntry = (graph: ExportGraph, [file, data]: readonly string[]): GraphEntry => {
  const values = (list: ExportGraph['inputs']) =>
    list.map(({ name, type, shape }) => ({ name, dtype: type, shape: [...shape] }));
  return { file: file!, data: data ?? null, inputs: values(graph.inputs), outputs: values(graph.outputs) };
};

/** What the manifest says of the checkpoint. */
async function sourceEntry({ config, checkpoint }: ExportOptions, step: number, configHash: string) {
  const names = ['adapter_model.safetensors', 'affectgpt.safetensors'];
  const files: Record<string, string> = {};
  for (const name of names) {
    const file = join(checkpoint, name);
    if (existsSync(file)) files[name] = await sha256File(file);
  }
  const { llm, visualEncoder, audioEncoder } = config.model;
  return {
    checkpoint: basename(checkpoint),
    step,
    configHash,
    files,
    models: {
      llm,
      visualEncoder: `${visualEncoder.type} ${visualEncoder.model}`,
      audioEncoder: `${audioEncoder.type} ${audioEncoder.model}`,
    },
  };
}

/** Everything of the manifest that is known before the folder is run. */
async function describeExport(
  options: ExportOptions,
  source: Manifest['source'],
  graphs: Manifest['graphs'],
  operatorSets: Readonly<Record<string, number>>,
): Promise<ExportDescription> {
  const { config, model, precision, keepAdapter } = options;
  const { decoder, mode } = model.config;
  const format = formatOf(config);
  const { tokenizer } = model;
  const { temperature, topP, topK, maxNewTokens } = config.generation;
  return {
    format: 'affectgpt-onnx',
    version: exportFormatVersion,
    affectgpt: packageVersion(),
    source,
    precision,
    arithmetic: precisionRules[precision].arithmetic,
    opset: precisionRules[precision].opset,
    operatorSets,
    graphs,
    adapter: keepAdapter ? { ...adapterFiles } : null,
    inputs: { mode: config.model.inputs, features: [...mode.needs], frames: config.model.frames },
    prompt: {
      segments: promptSegments(format, model.config, tokenizer),
      startToken: format.begin.asking ? (tokenizer.bosId ?? null) : null,
      question: defaultQuestion(config),
      maxTokens: decoder.maxPositionEmbeddings,
    },
    generation: {
      maxNewTokens,
      stopSequences: tokenizer.stopSequences(format.stop),
      temperature,
      topP,
      topK,
      repetitionPenalty: 1,
      answer: { decode: 'all', ...tokenizer.answerRule(format.stop) } as Manifest['generation']['answer'],
    },
    decoder: {
      layers: decoder.numHiddenLayers,
      keyValueHeads: decoder.numKeyValueHeads,
      headDim: decoder.headDim,
      hiddenSize: decoder.hiddenSize,
      vocabSize: decoder.vocabSize,
    },
  };
}

/** Copies a file where there is one. @returns whether there was */
async function copyIfThere(from: string, to: string): Promise<boolean> {
  if (!existsSync(from)) return false;
  await copyFile(from, to).catch((error: unknown) => {
    throw fileError(error, to, 'write');
  });
  return true;
}

/**
 * Exports the model of a checkpoint to a folder of ONNX files that runs without this program. Before the folder is put in
 * place it is run beside the training engine, and is put in place only if it computes the same.
 *
 * @param output does not exist yet
 * @returns the manifest
 * @throws CheckError `EXPORT_PARITY`; InputError `FOLDER_EXISTS`, `DISK_FULL`, those of `checkExportable` and
 *   `loadWeights`
 */
export async function exportOnnx(output: string, options: ExportOptions): Promise<Manifest> {
  const { config, checkpoint, model, precision, keepAdapter } = options;
  checkExportable(config, keepAdapter);
  return writeFolderAtomic(output, async (folder) => {
    const { parameters, state } = await loadWeights(checkpoint, model.trainable);
    const { graphs, preprocessor } = await buildGraphs(options, parameters);
    const written: string[] = [];
    const entries: Record<string, GraphEntry> = {};
    const rule = precisionRules[precision];
    const domains: Record<string, number> = { 'ai.onnx': rule.opset };
    for (const built of graphs) {
      const graph = rule.pass(built);
      Object.assign(domains, contribDomains(graph));
      const files = await writeGraph(folder, graph, rule.opset);
      entries[graph.name] = graphEntry(graph, files);
      written.push(...files);
    }
    const text = async (name: string, content: string): Promise<void> => {
      await writeFileAtomic(join(folder, name), content);
      written.push(name);
    };
    const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
    await text('tokenizer.json', await tokenizerWithPlaceholders(model.decoder.folder));
    for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
      if (await copyIfThere(join(model.decoder.folder, name), join(folder, name))) written.push(name);
    }
    if (keepAdapter) {
      for (const name of Object.values(adapterFiles)) {
        if (await copyIfThere(join(checkpoint, name), join(folder, name))) written.push(name);
      }
    }
    await text('generation_config.json', json(generationConfig(config, model.tokenizer)));
    await text('preprocessor_config.json', json(preprocessor));
    const source = await sourceEntry(options, state.step, state.configHash);
    const described = await describeExport(options, source, entries as Manifest['graphs'], domains);
    const comparison = { ...options, parameters, rule };
    const parity = await measureParity(folder, described, comparison);
    checkParity(parity);
    await text('README.md', readmeText(described));
    const files: Manifest['files'] = {};
    for (const name of written.toSorted()) {
      const path = join(folder, name);
      files[name] = { bytes: (await stat(path)).size, sha256: await sha256File(path) };
    }
    const manifest: Manifest = { ...described, parity, files };
    await writeFileAtomic(join(folder, manifestFile), json(manifest));
    return manifest;
  });
}
