import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { descriptionSchemas } from '../../src/runtime/encoders/description.ts';
import { place } from '../support/onnx-encoders.ts';
import {
  asTheyAre,
  describeModel,
  encode,
  openOwn,
  planes,
  tiny,
  tinyModel,
} from '../support/own-encoders.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
const path = (...names: string[]) => join(folder, ...names);

describe('a description with faults', () => {
  it('is refused with all of them, each with its line', async () => {
    const file = await place(
      path('faults.yaml'),
      [
        'modality: visual',
        'file: tiny.onnx',
        'inputs: {name: pixels}',
        'preprocessing: {size: 4, image_men: [0, 0, 0], image_std: [1, 1, 1]}',
        'output:',
        '  nam: vector',
        '  pooling: average',
        'size: 12.5',
      ].join('\n'),
    );
    await expect(openOwn('visual', 'onnx', file)).rejects.toMatchObject({
      code: 'ENCODER_DESCRIPTION_INVALID',
      exitCode: 2,
    });
    const message = await openOwn('visual', 'onnx', file).catch((error: Error) => error.message);
    for (const part of [
      'faults.yaml:3  inputs: unknown key; did you mean "input"?',
      'input: missing',
      'faults.yaml:4  preprocessing.image_men: unknown key; did you mean "image_mean"?',
      'faults.yaml:4  preprocessing.image_mean: missing',
      'faults.yaml:6  output.nam: unknown key; did you mean "name"?',
      'faults.yaml:7  output.pooling: found "average"',
      'faults.yaml:8  size: found 12.5',
    ]) {
      expect(message).toContain(part);
    }
  });

  it('is refused where it is for another modality, not there, or not YAML', async () => {
    const file = await describeModel(folder, tinyModel());
    await expect(openOwn('audio', 'onnx', file)).rejects.toMatchObject({
      code: 'ENCODER_MODALITY',
      message: expect.stringContaining('model.audioEncoder needs an audio one') as string,
    });
    await expect(openOwn('visual', 'onnx', path('nowhere.yaml'))).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
    await writeFile(file, 'modality: visual\n  file: x');
    await expect(openOwn('visual', 'onnx', file)).rejects.toThrow(/encoder\.yaml:\d+ {2}not valid YAML/);
  });

  it.each([
    [
      'input.name',
      { input: { name: 'pixel' } },
      /"pixel" is no input .*did you mean "pixels"\?; it has pixels float32 \[n, 3, 4, 4\]/,
    ],
    [
      'output.name',
      { output: { name: 'vectors', pooling: 'none' } },
      /"vectors" is no output .*it has vector float32 \[n, 48\]/,
    ],
    [
      'output.pooling',
      { output: { name: 'vector', pooling: 'mean' } },
      /"mean" takes \[n, tokens, size\], but the output is vector float32 \[n, 48\]/,
    ],
    ['size', { size: 12 }, /12, but the output is vector float32 \[n, 48\]/],
    [
      'input.name',
      { preprocessing: { ...asTheyAre, size: 8 } },
      /is given \[n, 3, 8, 8\], but .* takes pixels float32 \[n, 3, 4, 4\]/,
    ],
    ['input.name', { input: { name: 'pixels', layout: 'nhwc' } }, /is given \[n, 4, 4, 3\]/],
  ])('is refused where %s does not fit the ONNX file', async (key, changes, reason) => {
    const file = await describeModel(folder, tinyModel(), changes);
    const error = await openOwn('visual', 'onnx', file).catch((one: Error) => one);
    expect(error).toMatchObject({ code: 'ENCODER_DESCRIPTION_MISMATCH' });
    const { message } = error as Error;
    expect(message).toMatch(new RegExp(`${file}:\\d+ {2}${key.replace('.', '\\.')}: `));
    expect(message).toMatch(reason);
  });

  it('is refused where the ONNX file takes or gives whole numbers', async () => {
    await expect(
      openOwn('visual', 'onnx', await describeModel(folder, tinyModel({ type: 'int32' }))),
    ).rejects.toThrow(
      /input\.name: pixels int32 .* is not of type float32 or float16\n.*output\.name: vector int32 .* is not of type/,
    );
  });

  it('has to say the size where the ONNX file does not, and is held to it', async () => {
    const model = tinyModel({ output: ['n', 'size'] });
    await expect(openOwn('visual', 'onnx', await describeModel(folder, model))).rejects.toThrow(
      /size: missing, and the file does not say it: the output is vector float32 \[n, size\]/,
    );
    const right = await encode('visual', 'onnx', await describeModel(folder, model, { size: 48 }), tiny);
    expect(right.features.shape).toEqual([10, 48]);
    const wrong = await describeModel(folder, model, { size: 47 });
    await expect(encode('visual', 'onnx', wrong, tiny)).rejects.toMatchObject({
      code: 'ENCODER_OUTPUT',
      message: expect.stringMatching(
        /encoder\.yaml: the output "vector" came as \[8, 48\] .*size 47 expect \[8, 47\]/,
      ) as string,
    });
  });

  it('is refused where the ONNX file is none, is cut off, or does not load', async () => {
    const file = await describeModel(folder, tinyModel());
    const model = join(file, '..', 'tiny.onnx');
    const bytes = await readFile(model);
    for (const content of ['version https://git-lfs.github.com/spec/v1\n', '', bytes.subarray(0, -20)]) {
      await writeFile(model, content);
      await expect(openOwn('visual', 'onnx', file)).rejects.toMatchObject({ code: 'ONNX_INVALID' });
    }
    await rm(model);
    await expect(openOwn('visual', 'onnx', file)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    const nodes = [{ op: 'NoSuchOperator', inputs: ['pixels'], outputs: ['vector'] }];
    await expect(
      encode('visual', 'onnx', await describeModel(folder, tinyModel({ nodes })), tiny),
    ).rejects.toMatchObject({
      code: 'ONNX_UNUSABLE',
      message: expect.stringMatching(/tiny\.onnx is not loaded by onnxruntime \d.*NoSuchOperator/s) as string,
    });
  });

  it('is refused where preprocessing is not understood', async () => {
    const file = await describeModel(folder, tinyModel(), { preprocessing: 'preprocessor_config.json' });
    const preprocessor = join(file, '..', 'preprocessor_config.json');
    await writeFile(preprocessor, JSON.stringify({ image_processor_type: 'PerceiverImageProcessor' }));
    await expect(openOwn('visual', 'onnx', file)).rejects.toMatchObject({
      code: 'ENCODER_CONFIG_INVALID',
      message: expect.stringMatching(/encoder\.yaml, preprocessing: .*PerceiverImageProcessor/) as string,
    });
    const settings = { size: 4, image_mean: [0, 0, 0], image_std: [1, 1, 1], rescale_factor: 1 };
    await writeFile(preprocessor, JSON.stringify({ image_processor_type: 'ViTImageProcessor', ...settings }));
    const { features } = await encode('visual', 'onnx', file, tiny);
    expect(Array.from(features.data).slice(0, 48)).toEqual(planes(0));
  });
});

describe('docs/own-encoders.md', () => {
  it('names every key of a description', async () => {
    const page = await readFile('docs/own-encoders.md', 'utf8');
    const schemas = Object.values(descriptionSchemas).flatMap((kind) => Object.values(kind));
    const keys = schemas.flatMap((schema) =>
      Object.entries(schema.shape as Record<string, object>).flatMap(([key, value]) => {
        const inner = 'shape' in value ? Object.keys(value.shape as object) : [];
        return [key, ...inner.map((name) => `${key}.${name}`)];
      }),
    );
    expect(keys).toContain('input.mask');
    expect([...new Set(keys)].filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
  });
});
