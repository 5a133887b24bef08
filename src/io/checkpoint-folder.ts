import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { firstOf, InputError } from '../errors.ts';
import { fileError, readText } from './filesystem.ts';
import { isJsonObject } from './json.ts';
import { openSafetensors, type SafetensorsEntry } from './safetensors.ts';
import { openTorchCheckpoint, topLevelTensors } from './torch.ts';

/** Tensors of one file, by name. */
type Entries = ReadonlyMap<string, SafetensorsEntry>;

async function openWeights(path: string): Promise<Entries> {
  return (await openSafetensors(path)).entries;
}

async function openTorchWeights(path: string): Promise<Entries> {
  return topLevelTensors(await openTorchCheckpoint(path));
}

/** The layouts of a model folder in the order in which they are looked for: one file, or an index of shards. */
const layouts: readonly {
  readonly file: string;
  readonly isIndex: boolean;
  readonly open: (path: string) => Promise<Entries>;
}[] = [
  { file: 'model.safetensors', open: openWeights, isIndex: false },
  { file: 'model.safetensors.index.json', open: openWeights, isIndex: true },
  { file: 'pytorch_model.bin', open: openTorchWeights, isIndex: false },
  { file: 'pytorch_model.bin.index.json', open: openTorchWeights, isIndex: true },
];

/** Faults named in one message; an index may hold thousands of tensors. */
const faultsShown = 20;

function badIndex(path: string, what: string, cause?: unknown): InputError {
  return new InputError(
    'CHECKPOINT_BAD_INDEX',
    `${path} is not an index of shards: ${what} Expected is {"weight_map": {"tensor": "file"}}.`,
    { cause },
  );
}

async function readIndex(path: string): Promise<Map<string, string>> {
  const text = await readText(path);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw badIndex(path, 'it is not JSON.', error);
  }
  if (!isJsonObject(parsed) || !isJsonObject(parsed.weight_map)) {
    throw badIndex(path, 'it has no "weight_map".');
  }
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(parsed.weight_map)) {
    if (typeof shard !== 'string' || shard === '') {
      throw badIndex(path, `the file of tensor "${tensor}" is not a string.`);
    }
    // Shards lie beside their index; anything else could reach any file of the machine.
    if (/[/\\:\0]/.test(shard) || shard === '.' || shard === '..') {
      throw new InputError(
        'CHECKPOINT_OUTSIDE_FOLDER',
        `${path} places tensor "${tensor}" in "${shard}"; a shard must be a file in the same folder, named without a path.`,
      );
    }
    shardOf.set(tensor, shard);
  }
  return shardOf;
}

async function openShards(
  folder: string,
  shardOf: Map<string, string>,
  openShard: (path: string) => Promise<Entries>,
): Promise<Map<string, SafetensorsEntry>> {
  const faults: string[] = [];
  const shards = new Map<string, Entries>();
  await Promise.all(
    [...new Set(shardOf.values())].sort().map(async (shard) => {
      try {
        shards.set(shard, await openShard(join(folder, shard)));
      } catch (error) {
        if (!(error instanceof InputError)) {
          throw error;
        }
        faults.push(error.code === 'FILE_NOT_FOUND' ? `${shard} is missing.` : error.message);
      }
    }),
  );
  faults.sort();
  const entries = new Map<string, SafetensorsEntry>();
  for (const [tensor, shard] of shardOf) {
    const file = shards.get(shard);
    const entry = file?.get(tensor);
    if (entry !== undefined) {
      entries.set(tensor, entry);
    } else if (file !== undefined) {
      faults.push(`${shard} does not contain tensor "${tensor}".`);
    }
  }
  if (faults.length > 0) {
    throw new InputError(
      'CHECKPOINT_INCOMPLETE',
      `The checkpoint in ${folder} is not complete; download what is missing or damaged again:\n  - ${firstOf(faults, faultsShown, '\n  - ')}`,
    );
  }
  return entries;
}

/**
 * The tensors of a model folder in Hugging Face layout: `model.safetensors`, the shards named by
 * `model.safetensors.index.json`, `pytorch_model.bin`, or the shards named by `pytorch_model.bin.index.json`, whichever
 * is there first. Of a shard, only the tensors that the index places there are returned.
 *
 * @throws InputError `CHECKPOINT_NOT_FOUND`, `CHECKPOINT_BAD_INDEX`, `CHECKPOINT_OUTSIDE_FOLDER`,
 *   `CHECKPOINT_INCOMPLETE` (all missing and damaged shards and tensors at once), and those of `openSafetensors`,
 *   `openTorchCheckpoint` and `topLevelTensors`
 */
export async function openCheckpoint(folder: string): Promise<Map<string, SafetensorsEntry>> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const known = fileError(error, folder, 'read');
    if (known instanceof InputError && known.code === 'FILE_NOT_FOUND') {
      throw new InputError('CHECKPOINT_NOT_FOUND', `${folder} is not a folder, so no checkpoint is there.`, {
        cause: error,
      });
    }
    throw known;
  }
  const layout = layouts.find(({ file }) => names.includes(file));
  if (layout === undefined) {
    const known = layouts.map(({ file }) => file);
    throw new InputError(
      'CHECKPOINT_NOT_FOUND',
      `${folder} holds none of ${known.join(', ')}, so there are no weights to read.`,
    );
  }
  const path = join(folder, layout.file);
  return layout.isIndex
    ? openShards(folder, await readIndex(path), layout.open)
    : new Map(await layout.open(path));
}
