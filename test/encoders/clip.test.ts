import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { clip, clipVisionForward, parseClipConfig } from '../../encoders/clip.ts';
import {
  parseImagePreprocessing,
  preprocessFrames,
  resizeAndCrop,
} from '../../encoders/clip-preprocessing.ts';
import { selectEncoderTensors } from '../../encoders/encoder.ts';
import { resizeBicubic } from '../../encoders/image-resize.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import {
  expectGolden,
  type Fixture,
  loadFixture,
  readJson,
  toTensor,
  toTensors,
} from '../support/fixture.ts';

let fixture: Fixture;
let preprocessor: unknown;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('clip_vision');
  preprocessor = await readJson(`${fixture.folder}/preprocessor_config.json`);
});

const image = (name: string) => {
  const { data, shape } = fixture.tensors[name]!;
  return { data: Uint8Array.from(data), height: shape[0]!, width: shape[1]! };
};

describe('the CLIP vision tower', () => {
  it('agrees with Hugging Face at every stage', () => {
    const config = parseClipConfig(fixture.config);
    const pixelValues = toTensor(fixture.tensors.pixel_values!);
    const output = clipVisionForward(config, new Parameters(toTensors(fixture.weights)), pixelValues);
    expectGolden(fixture, 'last_hidden_state', output.intermediates.lastHiddenState as tf.Tensor);
    expectGolden(fixture, 'post_layernorm_cls', output.intermediates.postLayernormCls as tf.Tensor);
    expectGolden(fixture, 'image_features', output.features);
  });

  it('takes its tensors out of a whole CLIP checkpoint and leaves the rest', () => {
    const encoder = clip.create({ config: fixture.config, preprocessor });
    const selected = selectEncoderTensors(encoder, new Map(Object.entries(fixture.weights)));
    const tower = Object.keys(fixture.weights).filter(
      (name) => /^(vision_model|visual_projection)\./.test(name) && !name.endsWith('position_ids'),
    );
    expect(Object.keys(selected).sort()).toEqual(tower.sort());
    const broken = { ...fixture.weights };
    delete broken['vision_model.pre_layrnorm.bias'];
    broken['visual_projection.weight'] = { ...broken['visual_projection.weight']!, shape: [64, 48] };
    expect(() => selectEncoderTensors(encoder, new Map(Object.entries(broken)))).toThrow(
      /pre_layrnorm\.bias is missing; visual_projection\.weight has shape \[64,48\] instead of \[48,64\]/,
    );
  });

  it('reads the configuration of the tower alone like that of the whole model', () => {
    const whole = fixture.config as { vision_config: object };
    expect(parseClipConfig(whole.vision_config)).toEqual(parseClipConfig(whole));
    // Published whole models may leave the inner size at its default: the outer one counts.
    const published = { ...whole, vision_config: { ...whole.vision_config, projection_dim: 512 } };
    expect(parseClipConfig(published).projectionDim).toBe(48);
  });

  it('names all faults of a configuration', () => {
    const config = {
      vision_config: { hidden_size: 30, num_attention_heads: 4, image_size: 56, patch_size: 15 },
    };
    expect(() => parseClipConfig(config)).toThrow(/multiple of num_attention_heads.*multiple of patch_size/);
  });
});

describe('image preprocessing', () => {
  it.each(['preprocessor_config.json', 'preprocessor_config.old-form.json'])(
    'resizes, crops and normalises exactly as Pillow and the image processor do (%s)',
    async (file) => {
      const settings = parseImagePreprocessing(await readJson(`${fixture.folder}/${file}`));
      const expectedBytes = fixture.tensors.resized_u8!.data;
      const expectedValues = fixture.tensors.pixel_values!.data;
      const plane = 56 * 56;
      ['image.0', 'image.1'].forEach((name, i) => {
        const resized = resizeAndCrop(image(name), settings);
        const planar = Array.from({ length: 3 * plane }, (_, at) => {
          return resized.data[(at % plane) * 3 + Math.floor(at / plane)]!;
        });
        expect(planar).toEqual(Array.from(expectedBytes.subarray(i * 3 * plane, (i + 1) * 3 * plane)));
        const { data } = preprocessFrames({ ...image(name), count: 1 }, settings, 56);
        data.forEach((value, at) => {
          expect(Math.abs(value - expectedValues[i * 3 * plane + at]!)).toBeLessThan(1e-6);
        });
      });
    },
  );

  it('leaves frames of the right size untouched', () => {
    const data = Uint8Array.from({ length: 56 * 56 * 3 }, (_, i) => (i * 37) % 256);
    const frame = { data, height: 56, width: 56 };
    expect(resizeAndCrop(frame, parseImagePreprocessing(preprocessor)).data).toEqual(data);
    expect(resizeBicubic(frame, 56, 56).data).toBe(data);
  });

  it('refuses a crop that is larger than the image', () => {
    const settings = { ...parseImagePreprocessing(preprocessor), resize: null };
    expect(() => resizeAndCrop(image('image.1'), settings)).toThrow(
      /crop of 56x56 pixels out of an image of 41x37/,
    );
  });
});
