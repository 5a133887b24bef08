import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Frames, Waveforms } from '../../encoders/encoder.ts';
import { FeatureStore } from '../../src/data/feature-store.ts';
import type { FeatureEncoder, FeatureOptions } from '../../src/data/features.ts';
import { FeatureExtractor } from '../../src/data/features.ts';
import type { FeatureSource } from '../../src/data/records.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { makeClip } from './make-media.ts';

const folder = folderForFile();
let file: string;
const record = { name: 'a', origin: 'm.jsonl, row 1' };
const frame = (): FeatureSource => ({ kind: 'frame', file, column: 'video' });
const audio = (): FeatureSource => ({ kind: 'audio', file, column: 'video' });
beforeAll(async () => {
  file = await makeClip(join(folder, 'clip.mp4'));
});

/** First byte of each frame, and the count. */
const visual: FeatureEncoder<Frames> = {
  identity: 'visual 1',
  encode: async ({ data, count }) => ({
    dtype: 'float32',
    shape: [count, 2],
    data: Float32Array.from({ length: count * 2 }, (_, i) =>
      i % 2 === 0 ? data[(i / 2) * (data.length / count)]! + 0.1 : count,
    ),
  }),
};

/** The largest sample of all clips given: depends on neighbours. */
const loudest: FeatureEncoder<Waveforms> = {
  identity: 'loudest',
  encode: async ({ data, count }) => {
    const most = data.reduce((largest, value) => Math.max(largest, value), 0);
    return { dtype: 'float32', shape: [count, 1], data: new Float32Array(count).fill(most) };
  },
};

const make = (cache: string | null, options: Partial<FeatureOptions> & { storage?: 'F32' | 'BF16' } = {}) => {
  const notices: string[] = [];
  const notify = (message: string) => void notices.push(message);
  const { storage = 'F32', ...rest } = options;
  const store = new FeatureStore({ folder: cache && join(folder, cache), storage, notify });
  const extractor = new FeatureExtractor({
    store,
    visual,
    audio: loudest,
    frames: 8,
    audioTail: 'div8',
    faceColors: { stored: 'bgr', encoded: 'bgr' },
    notify,
    ...rest,
  });
  return { store, extractor, notices };
};

describe('the feature cache', () => {
  it('decodes nothing in a second run, and gives the same', async () => {
    const first = make('cache');
    const features = await first.extractor.batch([
      { record, source: frame() },
      { record, source: frame() },
    ]);
    expect(features.shape).toEqual([2, 8, 2]);
    expect(first.extractor.decodes).toBe(1);
    const second = make('cache');
    expect(await second.extractor.one(record, frame())).toEqual({
      dtype: 'float32',
      shape: [8, 2],
      data: features.data.slice(0, 16),
    });
    await second.extractor.one(record, frame());
    expect(second.extractor.decodes).toBe(0);
    expect(second.store.counts).toEqual({ fromMemory: 1, fromDisk: 1, computed: 0, damaged: 0 });
  });

  it('keeps apart what differs in encoder, policy, number format or source', async () => {
    const decodes = async (options: Parameters<typeof make>[1], source: FeatureSource) => {
      const { extractor } = make('apart', options);
      await extractor.one(record, source);
      return extractor.decodes;
    };
    expect(await decodes({}, frame())).toBe(1);
    expect(await decodes({}, frame())).toBe(0);
    expect(await decodes({ frames: 4 }, frame())).toBe(1);
    expect(await decodes({ visual: { ...visual, identity: 'visual 2' } }, frame())).toBe(1);
    expect(await decodes({ storage: 'BF16' }, frame())).toBe(1);
    expect(await decodes({}, audio())).toBe(1);
    expect(await decodes({ audioTail: 'div7' }, audio())).toBe(1);
    await utimes(file, 1, 1);
    expect(await decodes({}, frame())).toBe(1);
  });

  it('gives rounded numbers at once where it stores half precision', async () => {
    const first = await make('half', { storage: 'BF16' }).extractor.one(record, frame());
    const second = await make('half', { storage: 'BF16' }).extractor.one(record, frame());
    expect(second).toEqual(first);
    const exact = await make(null).extractor.one(record, frame());
    expect(first).not.toEqual(exact);
    first.data.forEach((value, i) => {
      expect(Math.abs(value - exact.data[i]!)).toBeLessThanOrEqual(exact.data[i]! / 256);
    });
  });

  it('computes a damaged entry again and says so', async () => {
    const expected = await make('damaged').extractor.one(record, frame());
    const [shard] = await readdir(join(folder, 'damaged'));
    const [name] = await readdir(join(folder, 'damaged', shard!));
    const path = join(folder, 'damaged', shard!, name!);
    const whole = await readFile(path);
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 3]! ^= 1;
    for (const bytes of [flipped, whole.subarray(0, whole.length - 5), Buffer.alloc(0)]) {
      await writeFile(path, bytes);
      const { extractor, store, notices } = make('damaged');
      expect(await extractor.one(record, frame())).toEqual(expected);
      expect([extractor.decodes, store.counts.damaged]).toEqual([1, 1]);
      expect(notices).toEqual([expect.stringContaining(path)]);
    }
    expect(await readFile(path)).toEqual(whole);
  });
});

describe('features', () => {
  it('that depend on neighbours are computed together, and refused with a cache', async () => {
    expect(() => make('joint', { jointAudio: true })).toThrow(/neighbours/);
    const quiet = await makeClip(join(folder, 'quiet.mp4'), { frames: 5 });
    const { extractor } = make(null, { jointAudio: true });
    const silent = { record: { ...record, name: 'b' }, source: { ...audio(), file: quiet } };
    const together = await extractor.batch([{ record, source: audio() }, silent]);
    expect(together.shape).toEqual([2, 8, 1]);
    expect(together.data[15]).toBe(together.data[0]);
    expect(extractor.decodes).toBe(2);
  });

  it('of faces fall back to whole frames, and say so once', async () => {
    const { extractor, notices } = make(null);
    const faces = await extractor.one(record, { kind: 'face', file, column: 'video' });
    expect(faces).toEqual(await extractor.one(record, frame()));
    await extractor.one(record, {
      kind: 'face',
      file: await makeClip(join(folder, 'c2.mp4')),
      column: 'video',
    });
    expect(notices).toEqual([expect.stringContaining('hole frames')]);
  });

  it('name the sample and its row where a file is bad, and are finite', async () => {
    const silent = await makeClip(join(folder, 'silent.mp4'), { frames: 3, sound: false });
    const { extractor } = make(null);
    await expect(extractor.one(record, { ...audio(), file: silent })).rejects.toMatchObject({
      code: 'AUDIO_MISSING',
      message: expect.stringMatching(/^m\.jsonl, row 1, sample "a": .*silent\.mp4/),
    });
    const broken = make(null, {
      visual: {
        identity: 'x',
        encode: async () => ({ dtype: 'float32', shape: [1], data: Float32Array.of(Number.NaN) }),
      },
    });
    await expect(broken.extractor.one(record, frame())).rejects.toMatchObject({
      code: 'FEATURES_NOT_FINITE',
      exitCode: 3,
    });
  });

  it('stay in memory up to a number of bytes', async () => {
    const store = new FeatureStore({ folder: null, memoryBytes: 100, notify: () => {} });
    const tensor = { dtype: 'float32', shape: [10], data: new Float32Array(10) } as const;
    for (const key of [1, 2, 1, 3, 1, 2]) await store.get({ key }, async () => tensor);
    expect(store.counts).toEqual({ fromMemory: 2, fromDisk: 0, computed: 4, damaged: 0 });
  });
});
