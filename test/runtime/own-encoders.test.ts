import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Frames, Waveforms } from '../../encoders/encoder.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { exportEncoder, place, writeOnnx } from '../support/onnx-encoders.ts';
import {
  asTheyAre,
  describeModel,
  encode,
  int64,
  openOwn,
  planes,
  policy,
  start,
  tiny,
  tinyModel,
  tokens,
} from '../support/own-encoders.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { writeTinyModels } from '../support/tiny-models.ts';

const folder = folderForFile();
const path = (...names: string[]) => join(folder, ...names);

const random = new RandomGenerator(5);
const frames: Frames = {
  data: Uint8Array.from(random.uniformFloat32(10 * 40 * 40 * 3, 0, 256)),
  ...{ count: 10, height: 40, width: 40 },
};
const clips: Waveforms = { data: random.normalFloat32(8 * 32_000, 0.1, 0.2), count: 8, samples: 32_000 };

describe('an encoder of the registry as an ONNX file', () => {
  const models = { visual: path('models', 'visual'), audio: path('models', 'audio') };
  beforeAll(async () => {
    await writeTinyModels(path('models'));
  });

  it('gives the same features of pictures', async () => {
    const { input, output } = await exportEncoder('clip', models.visual, 'visual', path('own', 'clip.onnx'));
    const preprocessor = JSON.parse(
      await readFile(join(models.visual, 'preprocessor_config.json'), 'utf8'),
    ) as object;
    await place(
      path('own', 'preprocessor.json'),
      JSON.stringify({ image_processor_type: 'CLIPImageProcessor', ...preprocessor }),
    );
    const described = {
      ...{ modality: 'visual', file: 'clip.onnx', input: { name: input } },
      output: { name: output, pooling: 'none' },
    };
    const byFile = await place(
      path('own', 'clip.yaml'),
      stringify({ ...described, preprocessing: 'preprocessor.json' }),
    );
    const inline = await place(
      path('own', 'clip-inline.yaml'),
      stringify({
        ...described,
        preprocessing: {
          ...{ size: { shortest_edge: 32 }, crop_size: 32 },
          image_mean: [0.48145466, 0.4578275, 0.40821073],
          image_std: [0.26862954, 0.26130258, 0.27577711],
        },
        size: 12,
      }),
    );
    const builtIn = await encode('visual', 'clip', models.visual, frames);
    for (const file of [byFile, inline]) {
      const own = await encode('visual', 'onnx', file, frames);
      expect(own.features).toEqual(builtIn.features);
      expect(own.opened.outputDimension).toBe(12);
      expect(own.identity).not.toEqual(builtIn.identity);
    }
    // Constants that the trace made count too: a few scales.
    const own = await openOwn('visual', 'onnx', byFile);
    expect(own.parameterCount / builtIn.opened.parameterCount).toBeCloseTo(1, 1);
  });

  it('gives the same features of sound, prepared as the configuration says', async () => {
    const { input, output } = await exportEncoder(
      'hubert',
      models.audio,
      'audio',
      path('own', 'hubert.onnx'),
    );
    const file = await place(
      path('own', 'hubert.yaml'),
      stringify({
        ...{ modality: 'audio', file: 'hubert.onnx', input: { name: input } },
        ...{ preprocessing: { do_normalize: true }, output: { name: output, pooling: 'none' } },
      }),
    );
    for (const how of [policy, { ...policy, normalisation: 'clip', meanRemoval: false } as const]) {
      const builtIn = await encode('audio', 'hubert', models.audio, clips, how);
      const own = await encode('audio', 'onnx', file, clips, how);
      expect(own.features).toEqual(builtIn.features);
      expect(own.identity).toMatchObject({ policy: how });
    }
  });
});

describe('what comes out', () => {
  const rows = (data: ArrayLike<number>, size: number) =>
    Array.from({ length: data.length / size }, (_, i) => Array.from(data).slice(i * size, (i + 1) * size));

  it('is the vector itself, its tokens averaged, or the first of them', async () => {
    const none = await encode('visual', 'onnx', await describeModel(folder, tinyModel()), tiny);
    expect(none.features.shape).toEqual([10, 48]);
    expect(rows(none.features.data, 48)).toEqual(Array.from({ length: 10 }, (_, i) => planes(i)));
    expect(none.opened.outputDimension).toBe(48);

    const pooled = async (pooling: string) => {
      const file = await describeModel(folder, tinyModel(tokens), { output: { name: 'vector', pooling } });
      return (await encode('visual', 'onnx', file, tiny)).features;
    };
    const mean = (frame: number) =>
      Array.from({ length: 16 }, (_, i) =>
        Math.fround((planes(frame)[i]! + planes(frame)[i + 16]! + planes(frame)[i + 32]!) / 3),
      );
    expect(rows((await pooled('mean')).data, 16)).toEqual(Array.from({ length: 10 }, (_, i) => mean(i)));
    const first = await pooled('first');
    expect(first.shape).toEqual([10, 16]);
    expect(rows(first.data, 16)[9]).toEqual(planes(9).slice(0, 16));
  });

  it.each([3, 10, 16])('is the same with a fixed batch of %i', async (batch) => {
    const fixed = await encode('visual', 'onnx', await describeModel(folder, tinyModel({ batch })), tiny);
    const free = await encode('visual', 'onnx', await describeModel(folder, tinyModel()), tiny);
    expect(fixed.features).toEqual(free.features);
  });

  it('passes through half precision', async () => {
    const file = await describeModel(folder, tinyModel({ type: 'float16' }), {
      preprocessing: { ...asTheyAre, rescale_factor: 1 / 255 },
    });
    const { features } = await encode('visual', 'onnx', file, tiny);
    const exact = planes(4).map((byte) => byte / 255);
    const errors = rows(features.data, 48)[4]!.map((value, i) => Math.abs(value - exact[i]!));
    expect(Math.max(...errors)).toBeLessThan(2 ** -12);
    expect(Math.max(...errors)).toBeGreaterThan(0);
  });

  it('may want its channels last', async () => {
    const model = tinyModel({ input: ['n', 4, 4, 3] });
    const file = await describeModel(folder, model, { input: { name: 'pixels', layout: 'nhwc' } });
    const { features } = await encode('visual', 'onnx', file, tiny);
    expect(Array.from(features.data)).toEqual(Array.from(tiny.data));
  });

  it('has clips with a channel axis and a mask of ones', async () => {
    const nodes = [
      { op: 'Cast', inputs: ['mask'], outputs: ['ones'], attributes: { to: 1 } },
      { op: 'Unsqueeze', inputs: ['ones', 'axis'], outputs: ['weights'] },
      { op: 'Mul', inputs: ['waves', 'weights'], outputs: ['vector'] },
    ];
    const name = 'sound';
    await writeOnnx(path(name, 'sound.onnx'), {
      ...{ name: 'sound', nodes, initializers: [int64('axis', [1])] },
      inputs: [
        { name: 'waves', type: 'float32', shape: ['n', 1, 32_000] },
        { name: 'mask', type: 'int64', shape: ['n', 32_000] },
      ],
      outputs: [{ name: 'vector', type: 'float32', shape: ['n', 1, 32_000] }],
    });
    const sound = {
      ...{ modality: 'audio', file: 'sound.onnx' },
      input: { name: 'waves', layout: 'nct', mask: 'mask' },
      ...{ preprocessing: { do_normalize: false }, output: { name: 'vector', pooling: 'mean' } },
    };
    const file = await place(path(name, 'encoder.yaml'), stringify(sound));
    const { features } = await encode('audio', 'onnx', file, clips, { ...policy, meanRemoval: false });
    expect(features.data).toEqual(clips.data);
    const unmasked = { ...sound, input: { name: 'waves', layout: 'nct' } };
    await writeFile(file, stringify(unmasked));
    await expect(openOwn('audio', 'onnx', file)).rejects.toThrow(
      /input: .*also takes mask int64 \[n, 32000\], which nothing is given for/,
    );
  });
});

describe('the identity of an encoder', () => {
  const identityOf = async (file: string) =>
    JSON.stringify(start(await openOwn('visual', 'onnx', file)).identity);
  const external = (offset: number) =>
    tinyModel({
      nodes: [
        { op: 'Flatten', inputs: ['pixels'], outputs: ['flat'], attributes: { axis: 1 } },
        { op: 'Add', inputs: ['flat', 'bias'], outputs: ['vector'] },
      ],
      initializers: [
        {
          ...{ name: 'bias', type: 'float32', shape: [48] },
          data: { location: 'weights/tiny.data', offset, length: 192 },
        },
      ],
    });

  it('covers the model, its external data and the description, and nothing else', async () => {
    const file = await describeModel(folder, external(0));
    const data = join(file, '..', 'weights', 'tiny.data');
    await place(data, new Uint8Array(new Float32Array(48).fill(1).buffer));
    const before = await identityOf(file);
    expect(await identityOf(file)).toBe(before);
    const { features, opened } = await encode('visual', 'onnx', file, tiny);
    expect(Array.from(features.data).slice(0, 48)).toEqual(planes(0).map((value) => value + 1));
    expect(opened.parameterCount).toBe(48);

    await place(data, new Uint8Array(new Float32Array(48).fill(2).buffer));
    const otherData = await identityOf(file);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('rescale_factor: 1', 'rescale_factor: 2'));
    const otherDescription = await identityOf(file);
    await utimes(join(file, '..', 'tiny.onnx'), 1, 1);
    const otherModel = await identityOf(file);
    expect(new Set([before, otherData, otherDescription, otherModel]).size).toBe(4);
  });

  it('needs the external data, in the folder of the model', async () => {
    const file = await describeModel(folder, external(0));
    await expect(openOwn('visual', 'onnx', file)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/weights.tiny\.data/) as string,
    });
    const outside = external(0);
    const [bias] = outside.initializers;
    const location = '../tiny.data';
    const initializers = [{ ...bias!, data: { location, offset: 0, length: 192 } }];
    await expect(
      openOwn('visual', 'onnx', await describeModel(folder, { ...outside, initializers })),
    ).rejects.toThrow(/keeps tensors in "\.\.\/tiny\.data", which is no file in its own folder/);
  });
});
