import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  type ImagePreprocessing,
  parseImagePreprocessing,
  preprocessFrames,
  resizeAndCrop,
} from '../../encoders/image-preprocessing.ts';
import { preprocessWaveforms } from '../../encoders/waveform-preprocessing.ts';
import { type AudioTail, audioClipStarts, audioClips } from '../../src/data/media/audio.ts';
import {
  audioClipStartsGraph,
  audioClipsGraph,
  preprocessClipsGraph,
} from '../../src/export/graphs/audio.ts';
import { preprocessFramesGraph } from '../../src/export/graphs/vision.ts';
import { Random } from '../../src/quickstart/random.ts';
import { openProgram } from '../support/onnx-program.ts';

const random = new Random(1, 'preprocessing');

/** Hard edges and noise: what shows a wrong weight or a wrong rounding. */
function picture(height: number, width: number): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, i) =>
    i % 7 < 3 ? (i % 2) * 255 : Math.floor(random.uniform() * 256),
  );
}

const openPictures = (settings: ImagePreprocessing) =>
  openProgram(
    [{ name: 'frames', type: 'uint8', shape: ['frames', 'height', 'width', 3] }],
    { type: 'float32', shape: ['frames', 3, 'h', 'w'] },
    (emitter) => preprocessFramesGraph(emitter, 'frames', settings),
  );

const clip = (size: object, more: object = {}): ImagePreprocessing =>
  parseImagePreprocessing({ ...size, ...more }, 'CLIPImageProcessor');

/** Odd, upright, wide, equal, tiny, and one whose height shrinks so much more that columns come first. */
const sizes = [
  [31, 57],
  [64, 40],
  [40, 90],
  [32, 32],
  [33, 32],
  [5, 7],
  [1, 3],
  [300, 36],
  [224, 224],
] as const;

describe('frames in the graph', () => {
  it.each([
    ['shortest edge and crop', clip({ size: 32, crop_size: 32 })],
    ['crop larger than the picture', clip({ size: 20, crop_size: 31 })],
    ['bilinear', clip({ size: 24, crop_size: 20 }, { resample: 2 })],
    ['Lanczos', clip({ size: 24, crop_size: 24 }, { resample: 1 })],
    ['exact size', parseImagePreprocessing({ size: { height: 20, width: 33 } }, 'SiglipImageProcessor')],
    ['crop alone', clip({ crop_size: 16 }, { do_resize: false })],
    ['neither', clip({}, { do_resize: false, do_center_crop: false })],
  ])('are prepared byte for byte as in training: %s', async (_, settings) => {
    const run = await openPictures(settings);
    for (const [height, width] of sizes) {
      const data = Uint8Array.from([...picture(height, width), ...picture(height, width)]);
      const made = resizeAndCrop({ data: data.subarray(0, height * width * 3), height, width }, settings);
      const expected = preprocessFrames({ data, count: 2, height, width }, settings, made);
      const given = await run({ frames: new ort.Tensor('uint8', data, [2, height, width, 3]) });
      expect(given.dims, `${height}x${width}`).toEqual(expected.shape);
      expect(Buffer.compare(bytes(given.data), bytes(expected.data)), `${height}x${width}`).toBe(0);
    }
  });
});

const bytes = (data: unknown): Uint8Array => {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
};

const float32 = (data: Float32Array, dims: number[]) => new ort.Tensor('float32', data, dims);

describe('sound in the graph', () => {
  it.each(['div8', 'div7'] as const)('begins clips at the exact samples: %s', async (tail: AudioTail) => {
    const run = await openProgram(
      [{ name: 'length', type: 'int64', shape: [] }],
      { type: 'int64', shape: [8] },
      (emitter) => audioClipStartsGraph(emitter, 'length', tail),
    );
    const lengths = [1, 31_999, 32_000, 32_001, 48_000, 16_000 * 3_600 * 10 + 1, 2 ** 31 - 1];
    for (let i = 0; i < 1500; i++) lengths.push(32_000 + Math.floor(random.uniform() * 4_000_000));
    for (const length of lengths) {
      const { data } = await run({ length: new ort.Tensor('int64', BigInt64Array.of(BigInt(length)), []) });
      expect(Array.from(data as BigInt64Array, Number), String(length)).toEqual(
        audioClipStarts(length, tail),
      );
    }
  });

  it.each([100, 32_000, 70_001])(
    'is cut into clips, short recordings filled up: %i samples',
    async (length) => {
      const samples = Float32Array.from({ length }, () => random.uniform() - 0.5);
      const run = await openProgram(
        [{ name: 'samples', type: 'float32', shape: ['length'] }],
        { type: 'float32', shape: [8, 32_000] },
        (emitter) => audioClipsGraph(emitter, 'samples', 'div7'),
      );
      const { data } = await run({ samples: float32(samples, [length]) });
      expect(Buffer.compare(bytes(data), bytes(audioClips(samples, 'div7')))).toBe(0);
    },
  );

  it.each([
    { meanRemoval: true, normalisation: 'sample', normalise: true },
    { meanRemoval: false, normalisation: 'clip', normalise: true },
    { meanRemoval: true, normalisation: 'sample', normalise: false },
  ] as const)('is normalised as %j says', async ({ normalise, ...rest }) => {
    const policy = { ...rest, clipsPerSample: 8 };
    const clips = Float32Array.from(
      { length: 8 * 32_000 },
      (_, i) => random.uniform() * (1 + (i >> 15)) + 0.3,
    );
    const run = await openProgram(
      [{ name: 'clips', type: 'float32', shape: [8, 32_000] }],
      { type: 'float32', shape: [8, 32_000] },
      (emitter) => preprocessClipsGraph(emitter, 'clips', policy, normalise),
    );
    const { data } = await run({ clips: float32(clips, [8, 32_000]) });
    const expected = preprocessWaveforms({ data: clips, count: 8, samples: 32_000 }, policy, normalise).data;
    let largest = 0;
    for (const [i, value] of (data as Float32Array).entries()) {
      largest = Math.max(largest, Math.abs(value - expected[i]!));
    }
    expect(largest).toBeLessThan(5e-7);
  });
});
