import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type CheckpointState, checkpointFormatVersion, saveCheckpoint } from '../../train/checkpoint.ts';
import { checkpointName, checkpointsFolder } from '../../train/checkpoint-folders.ts';
import { identityHash, runIdentity } from '../../train/identity.ts';
import { loadKnownConfig } from '../config/load.ts';
import { renderConfig } from '../config/save.ts';
import type { Config } from '../config/schema.ts';
import type { HostTensorMap, State } from '../engine/types.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic.ts';
import { sha256File } from '../io/checksum.ts';
import { readFloat32, type SafetensorsEntry } from '../io/safetensors.ts';
import { openAffectGpt } from '../runtime/affectgpt.ts';
import { checkNames, matchTensors } from './match-tensors.ts';
import { type ConfigKeys, unknownModelName } from './published-config.ts';
import { type ImportSource, openImportSource } from './source.ts';

export interface ImportRequest {
  /** A `.pth` of the published code, or a folder with a PEFT adapter. */
  readonly from: string;
  /** Run folder to be made. */
  readonly output: string;
  /** `--config`: needed where the file does not say what it was trained with. */
  readonly config?: string | undefined;
  readonly set: readonly string[];
}

export interface ImportedRun {
  /** Checkpoint folder that was written. */
  readonly checkpoint: string;
  readonly step: number;
  readonly epoch: number | undefined;
  readonly tensors: number;
  readonly parameters: number;
  /** What of the file was not taken over, in words. */
  readonly leftOut: readonly string[];
  /** Keys of the user's file that the checkpoint knows better, in words. */
  readonly corrected: readonly string[];
}

const valueAt = (config: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (value as ConfigKeys | undefined)?.[key], config);

function leaves(keys: ConfigKeys, prefix = ''): string[] {
  return Object.entries(keys).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? leaves(value as ConfigKeys, `${prefix}${key}.`)
      : [`${prefix}${key}`],
  );
}

/** The configuration of the run, of what the checkpoint knows and what the user gives. */
function importedConfig(request: ImportRequest, source: ImportSource) {
  const { from, output, config: file } = request;
  if (source.known === undefined && file === undefined) {
    throw new InputError(
      'IMPORT_CONFIG_MISSING',
      `${from} does not say what it was trained with. Give the configuration, as in --config prefusion-attn.`,
    );
  }
  const { defaults, facts } = source.known ?? { defaults: {}, facts: {} };
  // The folder is a folder, whatever its name means in YAML.
  const set = [...request.set, `output=${JSON.stringify(output)}`];
  const label = `what ${from} says of its training`;
  const loaded = loadKnownConfig({ label, defaults, facts, config: file, set });
  checkModelsKnown(loaded.config, from);
  const corrected: string[] = [];
  if (file !== undefined) {
    const without = loadKnownConfig({ label, defaults, facts: {}, config: file, set });
    for (const key of leaves(facts).filter((leaf) => without.sources.has(leaf))) {
      const [theirs, ours] = [without.config, loaded.config].map((one) => JSON.stringify(valueAt(one, key)));
      if (theirs !== ours) corrected.push(`${key} is ${ours}, not ${theirs}`);
    }
  }
  return { ...loaded, corrected };
}

/** @throws InputError `IMPORT_MODEL_UNKNOWN` with every published model that has to be named by the user */
function checkModelsKnown({ model }: Config, from: string): void {
  const references = {
    'model.llm': model.llm,
    'model.visualEncoder.model': model.visualEncoder.model,
    'model.audioEncoder.model': model.audioEncoder.model,
  };
  const unknown = Object.entries(references).flatMap(([key, reference]) => {
    const name = unknownModelName(reference);
    return name === undefined ? [] : [`${key} is "${name}"`];
  });
  if (unknown.length > 0) {
    throw new InputError(
      'IMPORT_MODEL_UNKNOWN',
      `${from} was trained with models that are not known here: ${unknown.join('; ')}. Name them with --set KEY=FOLDER (for an encoder its type too, as in --set model.visualEncoder.type=clip).`,
    );
  }
}

/** Reads tensors from their file when they are asked for. */
function tensorReader(tensors: ReadonlyMap<string, SafetensorsEntry>): Pick<State, 'read'> {
  return {
    read: async (names = [...tensors.keys()]) => {
      const values: HostTensorMap = {};
      for (const name of names) {
        const entry = tensors.get(name)!;
        values[name] = { dtype: 'float32', shape: entry.shape, data: await readFloat32(entry) };
      }
      return values;
    },
  };
}

/**
 * Turns weights of the published code, or of PEFT, into a run folder that can be asked and evaluated. All models that the
 * configuration names have to be on this machine: names and shapes are checked against them.
 *
 * @throws InputError `RUN_EXISTS`, `IMPORT_CONFIG_MISSING`, `IMPORT_MODEL_UNKNOWN`, `IMPORT_MISMATCH` with every tensor that
 *   does not fit, and those of `openImportSource`, `checkNames`, `loadKnownConfig` and `openAffectGpt`. Nothing is written then.
 */
export async function importRun(request: ImportRequest): Promise<ImportedRun> {
  const { from, output } = request;
  if (existsSync(output)) {
    throw new InputError(
      'RUN_EXISTS',
      `${output} is there already, and is not overwritten. Choose another output folder, or move this one away.`,
    );
  }
  const source = await openImportSource(from);
  // Whatever is wrong with the file comes before what is missing around it.
  checkNames(source.file, source.tensors);
  const { config, sources, corrected } = importedConfig(request, source);
  const model = await openAffectGpt(config);
  const shapes = model.trainable;
  const { tensors, leftOut } = matchTensors(source.file, source.tensors, shapes, model.config);
  const step = (source.epoch ?? 0) * (source.known?.stepsPerEpoch ?? 0);
  const state: CheckpointState = {
    formatVersion: checkpointFormatVersion,
    step,
    epoch: Math.max(1, source.epoch ?? 1),
    sampler: { index: 0, samples: 0, namesHash: '' },
    rng: { seed: config.train.seed },
    tokensSeen: 0,
    samplesSeen: 0,
    seconds: 0,
    configHash: identityHash(runIdentity(config)),
    config: { ...runIdentity(config) },
    imported: { file: source.file, sha256: await sha256File(source.file) },
  };
  const adapter =
    model.config.lora === null ? undefined : { settings: config.lora, baseModel: config.model.llm };
  await writeFolderAtomic(output, async (folder) => {
    await writeFileAtomic(join(folder, 'config.yaml'), renderConfig(config, sources));
    const saved = { runFolder: folder, state, shapes, tensors: tensorReader(tensors), adapter };
    await saveCheckpoint({ ...saved, keep: 1, moments: false });
  });
  return {
    checkpoint: join(checkpointsFolder(output), checkpointName(step)),
    step,
    epoch: source.epoch,
    tensors: tensors.size,
    parameters: model.parameterCounts.trainable,
    leftOut: [...source.leftOut, ...[...leftOut].map(([reason, names]) => `${reason}: ${names.join(', ')}`)],
    corrected,
  };
}
