import { basename, join } from 'node:path';
import { writeFileAtomic } from '../../io/atomic.ts';
import { type SafetensorsTensor, writeSafetensors } from '../../io/safetensors.ts';
import { type ExportWeight, type ExportWeights, elementsOf } from '../graphs/model-graph.ts';
import { toHalf } from '../half.ts';

/** Number formats of the merged decoder, as transformers names them. */
export const dtypes = ['float32', 'bfloat16', 'float16'] as const;
export type Dtype = (typeof dtypes)[number];

const elementBytes: Readonly<Record<Dtype, number>> = { float32: 4, bfloat16: 2, float16: 2 };

/** Largest shard, unless a single tensor is larger: what `save_pretrained` takes for 5 GB. */
const largestShard = 5_000_000_000;

/** Rounded to nearest even where the format is narrower; read when its turn to be written comes. */
function tensorOf(name: string, { shape, read }: ExportWeight, dtype: Dtype): SafetensorsTensor {
  if (dtype === 'float16')
    return {
      dtype: 'F16',
      shape,
      data: async () => toHalf(name, await read(), '--dtype bfloat16 or float32'),
    };
  return { dtype: 'F32', shape, data: read, ...(dtype === 'bfloat16' && { storage: 'BF16' }) };
}

/** Names of tensors, shard by shard, in the order of the model. */
export function planShards(
  sizes: ReadonlyMap<string, number>,
  largest: number = largestShard,
): readonly (readonly string[])[] {
  const shards: string[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const [name, bytes] of sizes) {
    if (filled + bytes > largest) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(name);
    filled += bytes;
  }
  return shards;
}

/**
 * Writes weights as transformers lays them out: `model.safetensors`, or shards with an index. One tensor is in memory at a
 * time.
 *
 * @param largest bytes of a shard
 * @returns paths of the files
 * @throws InputError `DISK_FULL` and others of `fileError`, `EXPORT_FLOAT16_RANGE`
 */
export async function writeShards(
  folder: string,
  weights: ExportWeights,
  dtype: Dtype,
  largest?: number,
): Promise<string[]> {
  const sizes = new Map(
    Object.entries(weights).map(([name, { shape }]) => [name, elementsOf(shape) * elementBytes[dtype]]),
  );
  const shards = planShards(sizes, largest);
  const number = (index: number): string => String(index).padStart(5, '0');
  const files = shards.map((names, i) => {
    const file =
      shards.length === 1
        ? 'model.safetensors'
        : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    return { path: join(folder, file), names };
  });
  for (const { path, names } of files) {
    const tensors = names.map((name) => [name, tensorOf(name, weights[name]!, dtype)] as const);
    await writeSafetensors(path, Object.fromEntries(tensors), { format: 'pt' });
  }
  const paths = files.map(({ path }) => path);
  if (files.length === 1) return paths;
  const index = {
    metadata: { total_size: [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0) },
    weight_map: Object.fromEntries(
      files.flatMap(({ path, names }) => names.map((name) => [name, basename(path)])),
    ),
  };
  const indexFile = join(folder, 'model.safetensors.index.json');
  await writeFileAtomic(indexFile, `${JSON.stringify(index, null, 2)}\n`);
  return [...paths, indexFile];
}
