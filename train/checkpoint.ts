import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { adapterConfigJson, type LoraSettings } from '../lora/config.ts';
import { fromPeftName, toPeftName } from '../lora/names.ts';
import type { HostTensor, HostTensorMap, State } from '../src/engine/types.ts';
import { firstOf, InputError } from '../src/errors.ts';
import { makeFolder, writeFileAtomic, writeFolderAtomic } from '../src/io/atomic.ts';
import { isJsonObject, type JsonValue } from '../src/io/json.ts';
import {
  openSafetensors,
  readFloat32,
  type SafetensorsEntry,
  type SafetensorsTensor,
  writeSafetensors,
} from '../src/io/safetensors.ts';
import { readCheckedJson, verifyChecksums, writeChecksums } from './checkpoint-checksums.ts';
import {
  checkpointName,
  checkpointsFolder,
  type Keeping,
  pruneCheckpoints,
  writeLatest,
} from './checkpoint-folders.ts';
import { expAvgName, expAvgSqName } from './step.ts';

/** Version of the layout of a checkpoint folder. */
export const checkpointFormatVersion = 1;

const files = {
  adapter: 'adapter_model.safetensors',
  adapterConfig: 'adapter_config.json',
  other: 'affectgpt.safetensors',
  optimizer: 'optimizer.safetensors',
  state: 'state.json',
} as const;

const count = z.number().int().min(0);
const stateSchema = z.strictObject({
  formatVersion: z.literal(checkpointFormatVersion),
  /** Optimizer steps done. */
  step: count,
  /** Epoch of the next sample, from 1. */
  epoch: count.min(1),
  sampler: z.strictObject({
    /** Samples of this epoch that have been used. */
    index: count,
    /** Number of samples, and a hash of their names in the data's order. */
    samples: count,
    namesHash: z.string(),
  }),
  /** All draws are functions of the seed and of step, epoch and names; no generator has a state beyond it. */
  rng: z.strictObject({ seed: z.number().int() }),
  /** Without padding. */
  tokensSeen: count,
  samplesSeen: count,
  /** Steps among those done that were skipped for NaN or infinity: they updated nothing. Absent where there are none. */
  skippedSteps: count.optional(),
  /** Processes that trained together. Absent where there was one. */
  ranks: count.min(2).optional(),
  /** Time spent in steps. */
  seconds: z.number().min(0),
  /** Stands for what the data tell about the samples, as `dataDigest` gives it. Absent in older checkpoints. */
  dataDigest: z.string().optional(),
  configHash: z.string(),
  /** The settings behind the hash, by dotted key. */
  config: z.record(z.string(), z.json()) as z.ZodType<Record<string, JsonValue>>,
  /** Where the weights come from, if not from training here. Nothing more than they is known then. */
  imported: z.strictObject({ file: z.string(), sha256: z.string() }).optional(),
});

/** `state.json`: everything of a run that is not a tensor. */
export type CheckpointState = z.infer<typeof stateSchema>;

/** Shapes of the trainable tensors, by name. */
export type TensorShapes = Readonly<Record<string, readonly number[]>>;

/** What `adapter_config.json` says; needed where adapters are trained. */
export interface AdapterDescription {
  readonly settings: LoraSettings;
  /** Hugging Face id or folder of the model under the adapter. */
  readonly baseModel: string | null;
}

export interface SaveOptions extends Keeping {
  readonly runFolder: string;
  readonly state: CheckpointState;
  /** Trainable tensors; `tensors` holds them and their moments. */
  readonly shapes: TensorShapes;
  readonly tensors: Pick<State, 'read'>;
  readonly adapter?: AdapterDescription | undefined;
  /** False where there are no moments, as of imported weights: the checkpoint can be used, not trained on. */
  readonly moments?: boolean;
}

/** Is this our name of an adapter's tensor? Those are saved apart, in PEFT's layout. */
export const isAdapterTensor = (name: string): boolean => fromPeftName(name) === name;

/** The optimizer's tensors. */
function momentShapes(shapes: TensorShapes): TensorShapes {
  const entries = Object.entries(shapes);
  return Object.fromEntries(
    [expAvgName, expAvgSqName].flatMap((moment) => entries.map(([name, shape]) => [moment(name), shape])),
  );
}

/**
 * Adapters are saved with what they mean.
 * @throws InputError `CHECKPOINT_ADAPTER_UNDESCRIBED`
 */
export function checkAdapterDescribed(shapes: TensorShapes, adapter: AdapterDescription | undefined): void {
  if (adapter === undefined && Object.keys(shapes).some(isAdapterTensor)) {
    throw new InputError(
      'CHECKPOINT_ADAPTER_UNDESCRIBED',
      'Adapters are trained, and their settings (rank, alpha, targets), which belong into every checkpoint, were not given.',
    );
  }
}

/**
 * Writes `checkpoints/step-<step>`, complete or not at all, then makes `latest` name it, then deletes old ones. Tensors
 * are read from the engine one by one. The name of a tensor in `optimizer.safetensors` is that of its parameter after
 * `exp_avg:` or `exp_avg_sq:`.
 *
 * @returns the folder
 * @throws InputError `DISK_FULL` and others of `fileError`; the former checkpoint and `latest` are then as before
 */
export async function saveCheckpoint(options: SaveOptions): Promise<string> {
  const { runFolder, state, shapes, tensors, adapter, moments = true } = options;
  const parent = checkpointsFolder(runFolder);
  await makeFolder(parent);
  const folder = join(parent, checkpointName(state.step));
  const stored = (entry: string, shape: readonly number[]): SafetensorsTensor => ({
    dtype: 'F32',
    shape,
    data: async () => (await tensors.read([entry]))[entry]!.data as Float32Array,
  });
  const names = Object.keys(shapes);
  const adapterNames = names.filter(isAdapterTensor);
  checkAdapterDescribed(shapes, adapter);
  await writeFolderAtomic(
    folder,
    async (temporary) => {
      const written: string[] = [];
      const text = async (name: string, content: unknown) => {
        await writeFileAtomic(join(temporary, name), `${JSON.stringify(content, null, 2)}\n`);
        written.push(name);
      };
      const safetensors = async (name: string, content: Record<string, SafetensorsTensor>) => {
        // PEFT and transformers ask for the "format".
        await writeSafetensors(join(temporary, name), content, { format: 'pt' });
        written.push(name);
      };
      if (adapter !== undefined && adapterNames.length > 0) {
        const renamed = adapterNames.map((name) => [toPeftName(name), stored(name, shapes[name]!)] as const);
        await safetensors(files.adapter, Object.fromEntries(renamed));
        await text(files.adapterConfig, adapterConfigJson(adapter.settings, adapter.baseModel));
      }
      const others = names.filter((name) => !isAdapterTensor(name));
      await safetensors(
        files.other,
        Object.fromEntries(others.map((name) => [name, stored(name, shapes[name]!)])),
      );
      if (moments) {
        const entries = Object.entries(momentShapes(shapes));
        await safetensors(
          files.optimizer,
          Object.fromEntries(entries.map(([name, shape]) => [name, stored(name, shape)])),
        );
      }
      await text(files.state, state);
      await writeChecksums(temporary, written);
    },
    // A folder of this step is one that a crash, or a run set back, left after `latest`.
    { existing: 'replace' },
  );
  await writeLatest(runFolder, state.step);
  await pruneCheckpoints(runFolder, state.step, options);
  return folder;
}

/** The trainable tensors of a checkpoint. */
export interface CheckpointWeights {
  readonly parameters: HostTensorMap;
  readonly state: CheckpointState;
}

/** A checkpoint with all that a run needs to go on. */
export interface Checkpoint extends CheckpointWeights {
  /** The optimizer's, under the names of `expAvgName` and `expAvgSqName`. */
  readonly moments: HostTensorMap;
}

/** Mismatches named in one message. */
const faultsShown = 50;

/** Compares the tensors of a file, or of several, with what the model has. */
function tensorFaults(entries: ReadonlyMap<string, SafetensorsEntry>, expected: TensorShapes): string[] {
  const faults: string[] = [];
  for (const [name, shape] of Object.entries(expected)) {
    const entry = entries.get(name);
    if (entry === undefined) faults.push(`missing: ${name} [${shape.join(', ')}]`);
    else if (entry.shape.join() !== shape.join()) {
      faults.push(`wrong shape: ${name} is [${entry.shape.join(', ')}], the model has [${shape.join(', ')}]`);
    } else if (entry.dtype !== 'F32') faults.push(`wrong type: ${name} is ${entry.dtype} instead of F32`);
  }
  for (const name of entries.keys()) {
    if (expected[name] === undefined) faults.push(`unexpected: ${name}`);
  }
  return faults;
}

async function readAll(entries: ReadonlyMap<string, SafetensorsEntry>): Promise<HostTensorMap> {
  const tensors: Record<string, HostTensor> = {};
  for (const [name, entry] of entries) {
    tensors[name] = { dtype: 'float32', shape: [...entry.shape], data: await readFloat32(entry) };
  }
  return tensors;
}

/** Parameters under our names, from both files that hold them. */
async function openParameters(folder: string, hasAdapter: boolean): Promise<Map<string, SafetensorsEntry>> {
  const entries = new Map((await openSafetensors(join(folder, files.other))).entries);
  if (hasAdapter) {
    for (const [name, entry] of (await openSafetensors(join(folder, files.adapter))).entries) {
      entries.set(fromPeftName(name) ?? name, entry);
    }
  }
  return entries;
}

async function open(folder: string, shapes: TensorShapes, withOptimizer: boolean) {
  if ((await stat(folder).catch(() => undefined))?.isDirectory() !== true) {
    throw new InputError('CHECKPOINT_NOT_FOUND', `${folder} is not a folder, so no checkpoint is there.`);
  }
  await checkState(folder, withOptimizer);
  const listed = await verifyChecksums(folder, {
    required: [files.state, files.other, ...(withOptimizer ? [files.optimizer] : [])],
    optional: [files.adapter, files.adapterConfig],
  });
  const state = await readCheckedJson(join(folder, files.state), stateSchema);
  const parameters = await openParameters(folder, listed.has(files.adapter));
  const faults = tensorFaults(parameters, shapes);
  const moments = withOptimizer
    ? (await openSafetensors(join(folder, files.optimizer))).entries
    : new Map<string, SafetensorsEntry>();
  if (withOptimizer) faults.push(...tensorFaults(moments, momentShapes(shapes)));
  if (faults.length > 0) {
    throw new InputError(
      'CHECKPOINT_MISMATCH',
      `The checkpoint ${folder} does not fit the model: its tensors are not those that the configuration trains. ` +
        `Use the configuration it was trained with.\n  - ${firstOf(faults, faultsShown, '\n  - ')}`,
    );
  }
  return { state, parameters, moments };
}

/**
 * Says so where a later version wrote the folder, or where a run shall go on from imported weights, before anything else is
 * looked at.
 */
async function checkState(folder: string, withOptimizer: boolean): Promise<void> {
  const path = join(folder, files.state);
  const json = await readCheckedJson(path, z.unknown()).catch((error: unknown) => {
    // Whatever else is wrong with the file is told with the checksums of all files.
    if (error instanceof InputError) return undefined;
    throw error;
  });
  const version = isJsonObject(json) ? json.formatVersion : undefined;
  if (typeof version === 'number' && version > checkpointFormatVersion) {
    throw new InputError(
      'CHECKPOINT_VERSION',
      `The checkpoint ${folder} has format version ${version}; this version of affectgpt reads version ${checkpointFormatVersion}. Use the version it was written with, or a later one.`,
    );
  }
  if (withOptimizer && isJsonObject(json) && json.imported !== undefined) {
    throw new InputError(
      'RESUME_IMPORTED',
      `${folder} was imported: it holds weights, and neither the optimizer's moments nor the place in the data that training would go on from. It can be asked and evaluated. To train, choose another output folder.`,
    );
  }
}

/**
 * What a checkpoint says of its run, before its tensors are looked at. What can be told at once is checked: that all files
 * are there with the size they were saved with, and every byte of `state.json`.
 *
 * @throws InputError `CHECKPOINT_VERSION`, `RESUME_IMPORTED`, those of `verifyChecksums`
 */
export async function readCheckpointState(folder: string): Promise<CheckpointState> {
  await checkState(folder, true);
  await verifyChecksums(folder, {
    required: [files.state, files.other, files.optimizer],
    optional: [files.adapter, files.adapterConfig],
    contents: [files.state, files.adapterConfig],
  });
  return readCheckedJson(join(folder, files.state), stateSchema);
}

/**
 * Reads the trainable tensors of a checkpoint; checks its files and that they are what the model expects.
 *
 * @param shapes of the trainable tensors
 * @throws InputError `CHECKPOINT_NOT_FOUND`, `CHECKPOINT_VERSION`, those of `verifyChecksums`, and
 *   `CHECKPOINT_MISMATCH` with every missing, unexpected and wrongly shaped tensor
 */
export async function loadWeights(folder: string, shapes: TensorShapes): Promise<CheckpointWeights> {
  const { state, parameters } = await open(folder, shapes, false);
  return { state, parameters: await readAll(parameters) };
}

/**
 * As `loadWeights`, with the optimizer's moments: what a run needs to go on, bit for bit.
 * @throws InputError those of `loadWeights`; `RESUME_IMPORTED` where the weights were imported
 */
export async function loadCheckpoint(folder: string, shapes: TensorShapes): Promise<Checkpoint> {
  const { state, parameters, moments } = await open(folder, shapes, true);
  return { state, parameters: await readAll(parameters), moments: await readAll(moments) };
}
