import { stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Waveforms } from '../../encoders/encoder.ts';
import { FeatureStore } from '../../src/data/feature-store.ts';
import { type FeatureEncoder, FeatureExtractor } from '../../src/data/features.ts';
import { fileIdentity } from '../../src/data/file-identity.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ffmpeg } from './make-media.ts';

it('a file is another one when its bytes, its size, its time or its name differ, wherever it lies', async () => {
  const folder = await temporaryFolder();
  const identity = async (name: string, text: string, seconds = 1) => {
    const file = join(folder, name);
    await writeFile(file, text);
    await utimes(file, seconds, seconds);
    return JSON.stringify(await fileIdentity(file));
  };
  const identities = [
    await identity('a.mp4', 'content'),
    await identity('a.mp4', 'CONTENT'),
    await identity('a.mp4', 'longer content'),
    await identity('a.mp4', 'content', 2),
    await identity('b.mp4', 'content'),
  ];
  expect(new Set(identities).size).toBe(identities.length);
  expect(identities[0]).not.toContain(folder);
});

it('a change at the end of a long file is one, too', async () => {
  const file = join(await temporaryFolder(), 'long.mp4');
  const identity = async (last: string) => {
    await writeFile(file, `${'x'.repeat(300_000)}${last}`);
    await utimes(file, 1, 1);
    return JSON.stringify(await fileIdentity(file));
  };
  const before = await identity('a');
  expect((await stat(file)).size).toBe(300_001);
  expect(await identity('b')).not.toBe(before);
});

it('features of another sound encoder are computed anew', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'sound.wav');
  await ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=16000', '-t', '0.2', file);
  const decodes = async (identity: string) => {
    const audio: FeatureEncoder<Waveforms> = {
      identity,
      encode: async ({ count }) => ({
        dtype: 'float32',
        shape: [count, 1],
        data: new Float32Array(count).fill(identity.length),
      }),
    };
    const extractor = new FeatureExtractor({
      store: new FeatureStore({ folder: join(folder, 'cache'), notify: () => {} }),
      ...{ audio, frames: 8, audioTail: 'div8', faceColors: { stored: 'bgr', encoded: 'bgr' } },
      notify: () => {},
    });
    await extractor.one({ name: 'a', origin: 'row 1' }, { kind: 'audio', file, column: 'audio' });
    return extractor.decodes;
  };
  expect([await decodes('one'), await decodes('one'), await decodes('other')]).toEqual([1, 0, 1]);
});

it('features that are not finite reach neither the model nor the cache', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'sound.wav');
  await ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=16000', '-t', '0.2', file);
  const store = new FeatureStore({ folder: join(folder, 'cache'), notify: () => {} });
  const audio: FeatureEncoder<Waveforms> = {
    identity: 'broken',
    encode: async () => ({ dtype: 'float32', shape: [2], data: Float32Array.of(1, Number.NaN) }),
  };
  const extractor = new FeatureExtractor({
    ...{ store, audio, frames: 8, audioTail: 'div8', faceColors: { stored: 'bgr', encoded: 'bgr' } },
    notify: () => {},
  });
  const one = () => extractor.one({ name: 'a', origin: 'row 1' }, { kind: 'audio', file, column: 'audio' });
  for (let time = 0; time < 2; time++) {
    await expect(one()).rejects.toMatchObject({
      code: 'FEATURES_NOT_FINITE',
      exitCode: 3,
      message: expect.stringContaining('row 1: the features of sample "a"'),
    });
  }
  expect(store.counts).toMatchObject({ computed: 0, fromMemory: 0, fromDisk: 0 });
});
