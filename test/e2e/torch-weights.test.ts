import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { float32ToBfloat16 } from '../../src/io/float16.ts';
import { openSafetensors, readFloat32, writeSafetensors } from '../../src/io/safetensors.ts';
import { TensorToWrite, torchMembers, type ValueToWrite, zipArchive } from '../support/torch-file.ts';
import { makeWorkspace, readLines, run, set, succeed } from './workspace.ts';

const { path, config, manifest, rows } = await makeWorkspace();
await succeed('train', '--config', config, ...set({ 'train.steps': 2 }));

type Storage = 'F32' | 'F16' | 'BF16';
interface Stored {
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint16Array;
}

/** Half precision by cutting bits off: exactness does not matter here, sameness does. */
function toHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (one) => {
    const exponent = ((one >>> 23) & 0xff) - 112;
    const sign = (one >>> 16) & 0x8000;
    return exponent <= 0 ? sign : sign | (Math.min(exponent, 30) << 10) | ((one >>> 13) & 0x3ff);
  });
}

async function readModel(folder: string, storage: Storage): Promise<[string, Stored][]> {
  const { entries } = await openSafetensors(join(folder, 'model.safetensors'));
  return Promise.all(
    [...entries.values()].map(async (entry): Promise<[string, Stored]> => {
      const values = await readFloat32(entry);
      const bfloat16 = new Uint16Array(values.length);
      float32ToBfloat16(values, bfloat16);
      const data = { F32: values, F16: toHalf(values), BF16: bfloat16 }[storage];
      return [entry.name, { shape: entry.shape, data }];
    }),
  );
}

/** The other name under which torch keeps the weights of HuBERT's positions. */
const newName = (name: string): string =>
  name
    .replace('conv.weight_g', 'conv.parametrizations.weight.original0')
    .replace('conv.weight_v', 'conv.parametrizations.weight.original1');

/** Writes a tiny model's folder anew, in one format and then in the other, with the same numbers. */
async function bothFormats(
  model: string,
  storage: Storage,
  torch: (folder: string, tensors: [string, Stored][]) => Promise<void>,
): Promise<{ safetensors: string; torch: string }> {
  const from = path('models', model);
  const tensors = await readModel(from, storage);
  const folders = { safetensors: path(`${model}-safetensors`), torch: path(`${model}-torch`) };
  for (const folder of Object.values(folders)) {
    await mkdir(folder);
    for (const name of (await readdir(from)).filter((file) => !file.endsWith('.safetensors'))) {
      await cp(join(from, name), join(folder, name));
    }
  }
  await writeSafetensors(
    join(folders.safetensors, 'model.safetensors'),
    Object.fromEntries(tensors.map(([name, stored]) => [name, { dtype: storage, ...stored }])),
  );
  await torch(folders.torch, tensors);
  return folders;
}

const written = (storage: Storage, tensors: [string, Stored][]): Record<string, ValueToWrite> =>
  Object.fromEntries(
    tensors.map(([name, { shape, data }]) => [name, new TensorToWrite(storage, shape, data)]),
  );

/** A matrix stored the other way round, as a transposed view. */
function transposed({ shape, data }: Stored): TensorToWrite {
  const [rowCount, columns] = shape as [number, number];
  const turned = Float32Array.from(
    data,
    (_, i) => data[(i % rowCount) * columns + Math.floor(i / rowCount)]!,
  );
  return new TensorToWrite('F32', shape, turned, { strides: [1, rowCount] });
}

const llm = await bothFormats('llm', 'F16', async (folder, tensors) => {
  // Two shards, their tensors at odd places of the file.
  const half = Math.ceil(tensors.length / 2);
  const shards = [tensors.slice(0, half), tensors.slice(half)];
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = `pytorch_model-0000${i + 1}-of-00002.bin`;
    await writeFile(join(folder, name), zipArchive(torchMembers(written('F16', shard)), 1));
    for (const [tensor] of shard) weightMap[tensor] = name;
  }
  await writeFile(join(folder, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: weightMap }));
});
const visual = await bothFormats('visual', 'F32', async (folder, tensors) => {
  const values = written('F32', tensors);
  const projection = tensors.find(([name]) => name === 'visual_projection.weight')!;
  values[projection[0]] = transposed(projection[1]);
  await writeFile(join(folder, 'pytorch_model.bin'), zipArchive(torchMembers(values)));
});
const audio = await bothFormats('audio', 'BF16', async (folder, tensors) => {
  const renamed = tensors.map(([name, stored]): [string, Stored] => [`hubert.${newName(name)}`, stored]);
  await writeFile(join(folder, 'pytorch_model.bin'), zipArchive(torchMembers(written('BF16', renamed))));
});

const asking = (format: 'safetensors' | 'torch') =>
  set({
    'model.llm': llm[format],
    'model.visualEncoder.model': visual[format],
    'model.audioEncoder.model': audio[format],
    'data.featureCache': null,
  });
const answersOf = async (format: 'safetensors' | 'torch') => {
  const file = path(`${format}.jsonl`);
  await succeed(
    ...['predict', '--checkpoint', path('run'), '--data', manifest, '--output', file],
    ...asking(format),
  );
  return readLines(file);
};

describe('weights in the format of torch', () => {
  it('give the answers of the same weights as safetensors: sharded fp16, bf16, strided, older and newer names', async () => {
    const expected = await answersOf('safetensors');
    expect(new Set(expected.map(({ text }) => text)).size).toBeGreaterThan(2);
    expect(await answersOf('torch')).toEqual(expected);
  });

  it.each([
    ['llm', 'DECODER_WEIGHTS_MISMATCH', 'model.norm.weight'],
    ['visual', 'ENCODER_WEIGHTS_MISMATCH', 'visual_projection.weight'],
  ] as const)('have all that does not fit named at once: %s', async (model, code, name) => {
    const folder = path(`${model}-wrong`);
    await cp(path('models', model), folder, { recursive: true });
    await rm(join(folder, 'model.safetensors'));
    const tensors = await readModel(path('models', model), 'F32');
    const values = written(
      'F32',
      tensors.filter(([tensor]) => tensor !== name),
    );
    const other = tensors.find(([tensor]) => tensor !== name)![0];
    values[other] = new TensorToWrite('F32', [1], new Float32Array(1));
    await writeFile(join(folder, 'pytorch_model.bin'), zipArchive(torchMembers(values)));
    const key = model === 'llm' ? 'model.llm' : 'model.visualEncoder.model';
    const clip = path('clips', 'videos', `${rows[0]!.name}.mp4`);
    const { exitCode, err } = await run(
      'predict',
      '--checkpoint',
      path('run'),
      clip,
      ...set({ [key]: folder }),
    );
    expect(exitCode).toBe(2);
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: .*${name} is missing`));
    expect(err).toContain(`${other} has shape [1]`);
  });

  it('are refused where they would run code, without a stack trace', async () => {
    const folder = path('llm-hostile');
    await cp(path('models', 'llm'), folder, { recursive: true });
    await rm(join(folder, 'model.safetensors'));
    const hostile = await readFile(new URL('../fixtures/torch/forbidden-eval.pth', import.meta.url));
    await writeFile(join(folder, 'pytorch_model.bin'), hostile);
    const clip = path('clips', 'videos', `${rows[0]!.name}.mp4`);
    const argv = ['predict', '--checkpoint', path('run'), clip, ...set({ 'model.llm': folder })];
    const { exitCode, out, err } = await run(...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(
      /^error\[PICKLE_FORBIDDEN\]: [^\n]*pytorch_model\.bin[^\n]*__builtin__\.eval[^\n]*\n$/,
    );
  });
});
