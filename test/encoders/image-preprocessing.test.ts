import { beforeAll, describe, expect, it } from 'vitest';
import {
  type ImagePreprocessing,
  parseImagePreprocessing,
  preprocessedSize,
  preprocessFrames,
  resizeAndCrop,
} from '../../encoders/image-preprocessing.ts';
import { centreCrop, type Image, resizeImage } from '../../encoders/image-resize.ts';
import { type Fixture, loadFixture, readJson } from '../support/fixture.ts';
import references from './references/images.json' with { type: 'json' };

let fixture: Fixture;
let preprocessor: object;

beforeAll(async () => {
  fixture = await loadFixture('clip_vision');
  preprocessor = (await readJson(`${fixture.folder}/preprocessor_config.json`)) as object;
});

const fixtureImage = (name: string): Image => {
  const { data, shape } = fixture.tensors[name]!;
  return { data: Uint8Array.from(data), height: shape[0]!, width: shape[1]! };
};

/** The image that the references were made from. */
const patterned = (height: number, width: number): Image => ({
  data: Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * i * 7 + i * 13) % 256),
  height,
  width,
});

const kernels = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' } as const;

const parseClip = (keys: object): ImagePreprocessing => parseImagePreprocessing(keys, 'CLIPImageProcessor');

describe('resizing and cropping', () => {
  it.each(references.resized)('$from to $to as Pillow does it (resample $resample)', (reference) => {
    const [height, width] = reference.to as [number, number];
    const image = patterned(reference.from[0]!, reference.from[1]!);
    const resized = resizeImage(image, { height, width }, kernels[reference.resample as 1 | 2 | 3]);
    expect(resized).toMatchObject({ height, width });
    expect(Buffer.from(resized.data).toString('base64')).toBe(reference.bytes);
  });

  it.each(references.cropped)('$from to the middle $to, black where there is none', (reference) => {
    const [height, width] = reference.to as [number, number];
    const cropped = centreCrop(patterned(reference.from[0]!, reference.from[1]!), { height, width });
    expect(cropped).toMatchObject({ height, width });
    expect(Buffer.from(cropped.data).toString('base64')).toBe(reference.bytes);
  });

  it('leaves images of the right size untouched', () => {
    const image = patterned(56, 56);
    expect(resizeImage(image, image, 'bicubic').data).toBe(image.data);
    expect(resizeAndCrop(image, parseClip(preprocessor)).data).toEqual(image.data);
  });
});

describe('preprocessor_config.json', () => {
  it.each(['preprocessor_config.json', 'preprocessor_config.old-form.json'])(
    'is followed to the bit (%s)',
    async (file) => {
      const settings = parseClip((await readJson(`${fixture.folder}/${file}`)) as object);
      const plane = 56 * 56;
      ['image.0', 'image.1'].forEach((name, i) => {
        const image = fixtureImage(name);
        const expected = (tensor: string) =>
          fixture.tensors[tensor]!.data.slice(i * 3 * plane, (i + 1) * 3 * plane);
        const resized = resizeAndCrop(image, settings);
        const planar = Array.from({ length: 3 * plane }, (_, at) => {
          return resized.data[(at % plane) * 3 + Math.floor(at / plane)]!;
        });
        expect(planar).toEqual(Array.from(expected('resized_u8')));
        const { data } = preprocessFrames({ ...image, count: 1 }, settings, { height: 56, width: 56 });
        expect(data).toEqual(expected('pixel_values'));
      });
    },
  );

  it('has the defaults of the class that it names, else of the model', () => {
    const clip = parseClip({});
    expect(clip).toMatchObject({ resize: { shortestEdge: 224 }, resampling: 'bicubic' });
    expect(clip.crop).toEqual({ height: 224, width: 224 });
    expect(parseImagePreprocessing({}, 'BitImageProcessor')).toEqual(clip);
    const siglip = parseImagePreprocessing({}, 'SiglipImageProcessor');
    expect(siglip).toMatchObject({ resize: { height: 224, width: 224 }, crop: null, mean: [0.5, 0.5, 0.5] });
    expect(parseClip({ image_processor_type: 'SiglipImageProcessorFast', do_center_crop: null })).toEqual(
      siglip,
    );
    // A size that is one number: the shorter edge to the others, both edges to SigLIP's.
    expect(parseClip({ size: 30 }).resize).toEqual({ shortestEdge: 30 });
    expect(parseImagePreprocessing({ size: 30 }, 'SiglipImageProcessor').resize).toEqual({
      height: 30,
      width: 30,
    });
    const older = { feature_extractor_type: 'CLIPFeatureExtractor' };
    expect(parseImagePreprocessing(older, 'SiglipImageProcessor')).toEqual(clip);
  });

  it('says which size comes out', () => {
    const size = (keys: object) => preprocessedSize(parseClip(keys));
    expect(size({ size: 30, crop_size: { height: 20, width: 24 } })).toEqual({ height: 20, width: 24 });
    expect(size({ size: { height: 30, width: 28 }, do_center_crop: false })).toEqual({
      height: 30,
      width: 28,
    });
    expect(size({ size: 30, do_center_crop: false })).toEqual({ height: 30, width: 30 });
    expect(size({ do_resize: false, do_center_crop: false })).toBeNull();
  });

  it('may leave steps out', () => {
    const whole = { count: 1, ...patterned(2, 2) };
    const values = (keys: object) => {
      const settings = parseClip({ do_resize: false, do_center_crop: false, ...keys });
      return preprocessFrames(whole, settings, { height: 2, width: 2 }).data;
    };
    const red = [0, 3, 6, 9].map((i) => whole.data[i]!);
    const first = (data: ArrayLike<number>) => Array.from(data).slice(0, 4);
    expect(first(values({ do_rescale: false, do_normalize: false }))).toEqual(red);
    expect(first(values({ do_normalize: false }))).toEqual(red.map((byte) => Math.fround(byte / 255)));
    const scaled = values({ rescale_factor: 0.5, image_mean: 1, image_std: [2, 2, 2] });
    expect(first(scaled)).toEqual(red.map((byte) => (byte / 2 - 1) / 2));
  });

  it('refuses what it cannot follow', () => {
    expect(() => parseClip({ resample: 0 })).toThrow(/resample: is 0; supported are 1 \(lanczos\)/);
    expect(() => parseClip({ size: { longest_edge: 20 } })).toThrow(/size: .*"shortest_edge"/);
    expect(() => parseClip({ do_pad: true })).toThrow(/do_pad: is true; only false/);
    expect(() => parseClip({ image_processor_type: 'ViTImageProcessor' })).toThrow(/ViTImageProcessor/);
    expect(() => parseClip({ image_std: [1, 0, 1] })).toThrow(/image_std: has to be positive/);
  });

  it('refuses images of a size that the tower does not take', () => {
    const settings = parseClip({ size: 8, do_center_crop: false });
    const tall = { count: 1, ...patterned(20, 10) };
    expect(() => preprocessFrames(tall, settings, { height: 8, width: 8 })).toThrow(
      /16x8 pixels of an image of 20x10, but the tower takes 8x8/,
    );
  });
});
