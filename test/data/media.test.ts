import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { audioClipStarts, decodeAudio } from '../../src/data/media/audio.ts';
import { cropSquare, detectFaces } from '../../src/data/media/face-detector.ts';
import { loadFaces } from '../../src/data/media/faces.ts';
import { countFrames, decodeFrames, frameIndices } from '../../src/data/media/frames.ts';
import { probeMedia } from '../../src/data/media/probe.ts';
import { resizeBilinear } from '../../src/data/media/resize.ts';
import { writeNpy } from '../../src/io/npy.ts';
import { openSafetensors, readTensor } from '../../src/io/safetensors.ts';
import { compareTables } from '../parity/affectgpt/tables.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { ffmpeg, frameNumber, makeClip } from './make-media.ts';

const fixture = (name: string) => new URL(`../fixtures/affectgpt_reference/${name}`, import.meta.url);
const tables = JSON.parse(readFileSync(fixture('tables.json'), 'utf8'));
const golden = JSON.parse(readFileSync(fixture('golden.json'), 'utf8')).raw;

async function raw(name: string) {
  const { entries } = await openSafetensors(fixture('raw.safetensors').pathname);
  const entry = entries.get(name)!;
  return { shape: entry.shape, data: await readTensor(entry) };
}

const folder = folderForFile();
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  await makeClip(at('clip.mp4'));
});

describe('rules of the reference', () => {
  it('decide which frames are looked at and where audio clips begin', () => {
    expect(compareTables(tables).filter(({ ok }) => !ok)).toEqual([]);
    expect(frameIndices(17, 7)).toHaveLength(7);
    const toTheEnd = [0, 3336, 6673, 10010, 13346, 16683, 20020, 23356];
    expect(audioClipStarts(55357, 'div7')).toEqual(toTheEnd);
  });

  it('faces are resized to the same bytes', async () => {
    for (const index of [0, 1]) {
      const { data, shape } = await raw(`face_npy_${index}`);
      await writeNpy(at(`face${index}.npy`), { dtype: 'uint8', shape, data: data as Uint8Array });
      const options = { frames: 8, stored: 'bgr', wanted: 'bgr' } as const;
      const faces = await loadFaces(at(`face${index}.npy`), options);
      const planar = new Uint8Array(faces.data.length);
      const plane = planar.length / 3;
      for (let i = 0; i < planar.length; i++) planar[(i % 3) * plane + Math.floor(i / 3)] = faces.data[i]!;
      const expected = golden[`face_${index}_resized_sha256_cthw_uint8`];
      expect(createHash('sha256').update(planar).digest('hex')).toBe(expected);
      const swapped = await loadFaces(at(`face${index}.npy`), { ...options, wanted: 'rgb' });
      expect([...swapped.data.subarray(0, 3)]).toEqual([...faces.data.subarray(0, 3)].reverse());
    }
  });
});

describe('video', () => {
  it('gives the frames of the rule, at 224 by 224', async () => {
    const frames = await decodeFrames(at('clip.mp4'), 8);
    expect([frames.count, frames.height, frames.width]).toEqual([8, 224, 224]);
    const size = 224 * 224 * 3;
    const numbers = Array.from({ length: 8 }, (_, i) => frameNumber(frames.data[i * size + 999]!));
    expect(numbers).toEqual([0, 3, 7, 11, 15, 18, 22, 26]);
  });

  it('counts what decodes, not what the container says', async () => {
    // Matroska names no number of frames, and at these uneven times ffmpeg repeats some frames unless kept from it.
    const uneven = "setpts='if(lt(N,15),N,3*N-30)/25/TB'";
    await ffmpeg('-i', at('clip.mp4'), '-an', '-vf', uneven, '-c:v', 'ffv1', at('uneven.mkv'));
    const probe = await probeMedia(at('uneven.mkv'));
    expect(probe.video?.claimedFrames).toBeUndefined();
    expect(await countFrames(at('uneven.mkv'), probe)).toBe(30);
    const frames = await decodeFrames(at('uneven.mkv'), 30);
    const numbers = Array.from({ length: 30 }, (_, i) => frameNumber(frames.data[i * 224 * 224 * 3]!));
    expect(numbers).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it('repeats the last frame of a very short clip', async () => {
    await makeClip(at('short.mp4'), { frames: 3, sound: false });
    const { data } = await decodeFrames(at('short.mp4'), 8);
    const numbers = Array.from({ length: 8 }, (_, i) => frameNumber(data[i * 224 * 224 * 3]!));
    expect(numbers).toEqual([0, 1, 2, 2, 2, 2, 2, 2]);
  });

  it('that is missing, empty, cut off or no video is an error that names the file', async () => {
    await writeFile(at('empty.mp4'), '');
    await writeFile(at('text.mp4'), 'not a video');
    const bytes = await readFile(at('clip.mp4'));
    await writeFile(at('cut.mp4'), bytes.subarray(0, bytes.length / 2));
    await ffmpeg('-i', at('clip.mp4'), '-c', 'copy', '-movflags', 'faststart', at('fast.mp4'));
    const fast = await readFile(at('fast.mp4'));
    await writeFile(at('cutfast.mp4'), fast.subarray(0, fast.length / 2));
    await ffmpeg('-i', at('clip.mp4'), '-vn', at('sound.wav'));
    const codes: Record<string, string> = {
      'none.mp4': 'MEDIA_MISSING',
      'empty.mp4': 'MEDIA_EMPTY',
      'text.mp4': 'MEDIA_UNREADABLE',
      'cut.mp4': 'MEDIA_UNREADABLE',
      'cutfast.mp4': 'VIDEO_TRUNCATED',
      'sound.wav': 'VIDEO_MISSING',
    };
    for (const [file, code] of Object.entries(codes)) {
      const message = expect.stringContaining(file);
      await expect(decodeFrames(at(file), 8), file).rejects.toMatchObject({ code, message, exitCode: 2 });
    }
  });
});

describe('audio', () => {
  it('of 16-bit PCM at 16 kHz is what the file holds; two channels are averaged', async () => {
    const { data } = await raw('wave_int16_2');
    const [left, right] = [data.subarray(0, 35107), data.subarray(35107)];
    const pcm = new Int16Array(2 * 35107);
    for (let i = 0; i < 35107; i++) pcm.set([Number(left[i]), Number(right[i])], 2 * i);
    await writeFile(at('stereo.raw'), new Uint8Array(pcm.buffer));
    await ffmpeg('-f', 's16le', '-ar', '16000', '-ac', '2', '-i', at('stereo.raw'), at('stereo.wav'));
    const samples = await decodeAudio(at('stereo.wav'));
    expect(samples).toHaveLength(35107);
    const expected = Float32Array.from(samples, (_, i) => (pcm[2 * i]! + pcm[2 * i + 1]!) / 65536);
    expect(samples).toEqual(expected);
  });

  it('comes out of a video, resampled', async () => {
    const samples = await decodeAudio(at('clip.mp4'));
    expect(Math.abs(samples.length - 1.2 * 16000)).toBeLessThan(1600);
    const crossings = samples.filter((value, i) => i > 0 && value >= 0 !== samples[i - 1]! >= 0).length;
    expect(Math.abs(crossings - 2 * 300 * 1.2)).toBeLessThan(40);
  });

  it('that is not there is an error', async () => {
    await makeClip(at('silent.mp4'), { frames: 5, sound: false });
    await expect(decodeAudio(at('silent.mp4'))).rejects.toMatchObject({ code: 'AUDIO_MISSING' });
  });
});

describe('faces', () => {
  it('of a wrong shape or type are an error', async () => {
    await writeNpy(at('flat.npy'), { dtype: 'uint8', shape: [4, 6], data: new Uint8Array(24) });
    await writeNpy(at('none.npy'), { dtype: 'uint8', shape: [0, 4, 4, 3], data: new Uint8Array(0) });
    const options = { frames: 8, stored: 'bgr', wanted: 'bgr' } as const;
    await expect(loadFaces(at('flat.npy'), options)).rejects.toMatchObject({ code: 'FACES_SHAPE' });
    await expect(loadFaces(at('none.npy'), options)).rejects.toMatchObject({ code: 'FACES_NONE' });
  });

  it('are cut out of a video around the box, or around that of the nearest frame', async () => {
    const seen: number[] = [];
    const detector = {
      identity: 'test',
      detect: async ({
        data,
        count,
        height,
        width,
      }: {
        data: Uint8Array;
        count: number;
        height: number;
        width: number;
      }) => {
        seen.push(height, width);
        const third = { x: 10, y: 10, width: 20, height: 20 };
        return Array.from({ length: count }, (_, i) => (i === 2 && data.length > 0 ? third : undefined));
      },
    };
    const faces = await detectFaces(at('clip.mp4'), 8, detector);
    expect(seen).toEqual([64, 96]);
    const numbers = Array.from({ length: 8 }, (_, i) => frameNumber(faces!.data[i * 224 * 224 * 3]!));
    expect(numbers).toEqual(Array(8).fill(7));
    const none = { identity: 'none', detect: async () => Array(8).fill(undefined) };
    expect(await detectFaces(at('clip.mp4'), 8, none)).toBeUndefined();
  });

  it('are squares inside the picture', () => {
    expect(cropSquare({ x: 90, y: -5, width: 20, height: 10 }, 60, 100)).toEqual({ x: 74, y: 0, edge: 26 });
    expect(cropSquare({ x: 0, y: 0, width: 90, height: 90 }, 60, 100)).toEqual({ x: 15, y: 0, edge: 60 });
  });

  it('of the right size pass the resize unchanged', () => {
    const picture = { data: Uint8Array.from({ length: 48 }, (_, i) => i), count: 1, height: 4, width: 4 };
    expect(resizeBilinear(picture, 4, 4).data).toBe(picture.data);
  });
});
