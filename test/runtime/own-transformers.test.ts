import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Frames, WaveformPolicy, Waveforms } from '../../encoders/encoder.ts';
import type { OnnxGraph, OnnxNode } from '../../src/engine/onnxruntime/model-file.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { EncoderInputs, Modality } from '../../src/runtime/encoders/open-encoder.ts';
import { findTransformers } from '../../src/runtime/encoders/transformers-package.ts';
import { place, writeOnnx } from '../support/onnx-encoders.ts';
import { encode as encodeOwn, int64, openOwn } from '../support/own-encoders.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const isThere = findTransformers() !== undefined;
if (!isThere) {
  console.warn(
    'Skipped: encoders of type "transformers", because the optional package @huggingface/transformers is not installed ' +
      '(install it anywhere, and name its node_modules folder in NODE_PATH).',
  );
}

const folder = folderForFile();
const path = (...names: string[]) => join(folder, ...names);

const random = new RandomGenerator(5);
const frames: Frames = {
  data: Uint8Array.from(random.uniformFloat32(10 * 8 * 8 * 3, 0, 256)),
  ...{ count: 10, height: 8, width: 8 },
};
const clips: Waveforms = { data: random.normalFloat32(8 * 32_000, 0.1, 0.2), count: 8, samples: 32_000 };
const policy: WaveformPolicy = { meanRemoval: false, normalisation: 'sample', clipsPerSample: 8 };

const open = <M extends Modality>(modality: M, model: string) => openOwn(modality, 'transformers', model);
const encode = <M extends Modality>(
  modality: M,
  model: string,
  input: EncoderInputs[M],
  how: WaveformPolicy = policy,
) => encodeOwn(modality, 'transformers', model, input, how);

const reshape = (input: string, output: string): OnnxNode => ({
  ...{ op: 'Reshape', inputs: [input, `${output}_shape`], outputs: [output] },
});

interface PackageModels {
  readonly RawImage: new (data: Uint8Array, width: number, height: number, channels: number) => object;
  readonly AutoImageProcessor: {
    from_pretrained(folder: string, options: object): Promise<(images: readonly object[]) => Promise<object>>;
  };
  readonly AutoModel: {
    from_pretrained(
      folder: string,
      options: object,
    ): Promise<(inputs: object) => Promise<Record<string, { readonly data: Float32Array }>>>;
  };
}

/** A model that gives an image back as three tokens, red, green and blue, and as one vector. */
const imageModel: OnnxGraph = {
  name: 'image',
  nodes: [reshape('pixel_values', 'last_hidden_state'), reshape('pixel_values', 'image_embeds')],
  initializers: [int64('last_hidden_state_shape', [0, 3, 64]), int64('image_embeds_shape', [0, 192])],
  inputs: [{ name: 'pixel_values', type: 'float32', shape: ['n', 3, 8, 8] }],
  outputs: [
    { name: 'last_hidden_state', type: 'float32', shape: ['n', 3, 64] },
    { name: 'image_embeds', type: 'float32', shape: ['n', 192] },
  ],
};

/** A model that gives a clip back as 100 tokens of 320 samples. */
const soundModel: OnnxGraph = {
  name: 'sound',
  nodes: [reshape('input_values', 'last_hidden_state')],
  initializers: [int64('last_hidden_state_shape', [0, 100, 320])],
  inputs: [{ name: 'input_values', type: 'float32', shape: ['n', 'samples'] }],
  outputs: [{ name: 'last_hidden_state', type: 'float32', shape: ['n', 'tokens', 320] }],
};

/** Writes a model in the layout of transformers.js. */
async function writeModel(name: string, file: string, model: OnnxGraph, preprocessor: object) {
  await writeOnnx(path(name, 'onnx', file), model);
  await place(path(name, 'config.json'), JSON.stringify({ model_type: 'vit' }));
  await place(path(name, 'preprocessor_config.json'), JSON.stringify(preprocessor));
  return path(name);
}

const imagePreprocessor = {
  image_processor_type: 'ViTImageProcessor',
  ...{ do_resize: true, size: { height: 8, width: 8 }, do_rescale: true, do_normalize: true },
  ...{ image_mean: [0.5, 0.25, 0], image_std: [0.5, 0.25, 1] },
};
const soundPreprocessor = {
  feature_extractor_type: 'Wav2Vec2FeatureExtractor',
  ...{ do_normalize: true, sampling_rate: 16_000, feature_size: 1, padding_value: 0 },
};

/** Value of a pixel after preprocessing. */
const pixel = (frame: number, at: number, channel: number): number => {
  const byte = frames.data[(frame * 64 + at) * 3 + channel]! / 255;
  return (byte - [0.5, 0.25, 0][channel]!) / [0.5, 0.25, 1][channel]!;
};

function expectClose(given: ArrayLike<number>, expected: readonly number[]) {
  const errors = expected.map((value, i) => Math.abs(given[i]! - value));
  expect(Math.max(...errors)).toBeLessThan(1e-5);
}

describe.skipIf(!isThere)('a model in the layout of transformers.js', () => {
  let images: string;
  let sound: string;
  beforeAll(async () => {
    images = await writeModel('images', 'model.onnx', imageModel, imagePreprocessor);
    sound = await writeModel('sound', 'model.onnx', soundModel, soundPreprocessor);
  });

  it('gives the mean over the tokens of its last hidden state', async () => {
    const { features, opened, identity } = await encode('visual', images, frames);
    expect(features.shape).toEqual([10, 64]);
    expect(opened).toMatchObject({ outputDimension: 64, description: null });
    const expected = Array.from({ length: 640 }, (_, i) => {
      const [frame, at] = [Math.floor(i / 64), i % 64];
      return (pixel(frame, at, 0) + pixel(frame, at, 1) + pixel(frame, at, 2)) / 3;
    });
    expectClose(features.data, expected);
    expect(identity).toMatchObject({ type: 'transformers', transformers: expect.stringMatching(/^\d/) });
  });

  it("gives what the package's own model classes give", async () => {
    const { AutoModel, AutoImageProcessor, RawImage } = createRequire(import.meta.url)(
      findTransformers()!,
    ) as PackageModels;
    const from = { dtype: 'fp32', local_files_only: true };
    const processor = await AutoImageProcessor.from_pretrained(images, from);
    const model = await AutoModel.from_pretrained(images, from);
    const pictures = Array.from({ length: 10 }, (_, i) => {
      return new RawImage(frames.data.slice(i * 192, (i + 1) * 192), 8, 8, 3);
    });
    const { image_embeds: given } = await model(await processor(pictures));
    const described = {
      modality: 'visual',
      model: 'images',
      output: { name: 'image_embeds', pooling: 'none' },
    };
    const file = await place(path('same.yaml'), stringify(described));
    expect((await encode('visual', file, frames)).features.data).toEqual(given!.data);
  });

  it('gives what a description asks for', async () => {
    const described = {
      ...{ modality: 'visual', model: 'images', output: { name: 'image_embeds', pooling: 'none' } },
    };
    const file = await place(path('embeds.yaml'), stringify(described));
    const { features, opened } = await encode('visual', file, frames);
    expect(opened.outputDimension).toBe(192);
    expectClose(
      features.data,
      Array.from({ length: 1920 }, (_, i) => {
        return pixel(Math.floor(i / 192), i % 64, Math.floor((i % 192) / 64));
      }),
    );
    const named = { ...described, file: 'onnx/other.onnx' };
    await place(file, stringify(named));
    await expect(open('visual', file)).rejects.toMatchObject({ code: 'MODEL_FILE_MISSING' });
  });

  it('takes the tower of the modality where there are two', async () => {
    const both = await writeModel('both', 'vision_model.onnx', imageModel, imagePreprocessor);
    await writeOnnx(path('both', 'onnx', 'model.onnx'), soundModel);
    expect((await open('visual', both)).outputDimension).toBe(64);
  });

  it('normalises each clip by itself, without its mean where the configuration removes it', async () => {
    const { features, identity } = await encode('audio', sound, clips);
    expect(features.shape).toEqual([8, 320]);
    const normalised = Array.from({ length: 8 }, (_, clip) => {
      const values = Array.from(clips.data.subarray(clip * 32_000, (clip + 1) * 32_000));
      const mean = values.reduce((sum, value) => sum + value, 0) / 32_000;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 32_000;
      return values.map((value) => (value - mean) / Math.sqrt(variance + 1e-7));
    });
    const expected = normalised.flatMap((values) =>
      Array.from({ length: 320 }, (_, i) => {
        return (
          Array.from({ length: 100 }, (_, token) => values[token * 320 + i]!).reduce((a, b) => a + b) / 100
        );
      }),
    );
    expectClose(features.data, expected);
    const without = await encode('audio', sound, clips, { ...policy, meanRemoval: true });
    expectClose(without.features.data, expected);
    expect(without.identity).not.toEqual(identity);
  });

  it('is refused where its files do not fit', async () => {
    await expect(open('visual', sound)).rejects.toThrow(/model: its preprocessor is for sound/);
    await expect(open('audio', images)).rejects.toThrow(/model: its preprocessor is not for sound/);
    const strange = { ...soundPreprocessor, feature_extractor_type: 'StrangeExtractor' };
    const unknown = await writeModel('unknown', 'model.onnx', soundModel, strange);
    await expect(encode('audio', unknown, clips)).rejects.toMatchObject({
      code: 'ENCODER_PREPROCESSOR',
      message: expect.stringContaining('StrangeExtractor') as string,
    });
    const fast = await writeModel('fast', 'model.onnx', soundModel, {
      ...soundPreprocessor,
      sampling_rate: 48_000,
    });
    await expect(open('audio', fast)).rejects.toThrow(/takes sound of 48000 Hz; sound is decoded at 16000/);
    const [output] = imageModel.outputs;
    const renamed = { ...imageModel, outputs: [{ ...output!, name: 'image_embeds' }] };
    const other = await writeModel('other', 'model.onnx', renamed, imagePreprocessor);
    await expect(open('visual', other)).rejects.toThrow(
      /taken without a description.*"last_hidden_state" is no output of .*model\.onnx; it has image_embeds/s,
    );
    const needy = {
      ...imageModel,
      inputs: [...imageModel.inputs, { name: 'input_ids', type: 'int64', shape: ['n', 't'] } as const],
    };
    const towers = await writeModel('towers', 'model.onnx', needy, imagePreprocessor);
    await expect(encode('visual', towers, frames)).rejects.toMatchObject({
      code: 'ENCODER_INPUT',
      message: expect.stringMatching(
        /takes .*input_ids int64 .*preprocessor makes pixel_values only/,
      ) as string,
    });
  });
});

describe.skipIf(isThere)('without the optional package', () => {
  it('is refused with the command that gets it', async () => {
    const images = await writeModel('images', 'model.onnx', imageModel, imagePreprocessor);
    await expect(open('visual', images)).rejects.toMatchObject({
      code: 'ENGINE_PACKAGE_MISSING',
      exitCode: 4,
      message: expect.stringContaining('npm install @huggingface/transformers') as string,
    });
  });
});
